"""The documents of the synthetic languages: the same in every
process, and with the frequencies that were declared.
"""

from collections import Counter
import hashlib

import numpy as np
import pytest

from configs import synthetic as config_file
from data import pipeline
from data.corpora import sources, synthetic
from data.errors import DataError
from data.tokens import reading, vocabulary

SHA256 = dict(
  ambiguous='115093d0493b2aa38cc99c263470b7a884a22ac17bf095025360491737b04275',
  hidden_markov='5e89ed61385ba9398e3c6472d46d71b30897a5039ebe43e453abfc67cf2bfc03',
  brackets='ba3a2e81c9f9a07be548bb46375360fca8398784c1ce2c13b6318780469179cd',
)


@pytest.fixture(params=synthetic.LANGUAGES)
def name(request):
  return request.param


def test_a_language_is_made_of_probabilities(name):
  language = synthetic.open_language(name)
  np.testing.assert_allclose(language.step_WxZxZ.sum(axis=(0, 2)), 1)
  assert language.start_Z.sum() == pytest.approx(1) and (language.step_WxZxZ >= 0).all()
  assert len(language.words) == len(set(language.words)) == len(language.step_WxZxZ)
  assert language.hope_TxZ().shape == (language.length + 1, len(language.start_Z))


def test_documents_never_change(name):
  language = synthetic.open_language(name)
  text = '\n'.join(synthetic.documents(language, count=1_500))
  assert hashlib.sha256(text.encode()).hexdigest() == SHA256[name]
  assert text.startswith('\n'.join(synthetic.documents(language, count=7)))
  assert next(synthetic.documents(language, seed=1, count=1)) != text.split('\n')[0]


def test_brackets_are_balanced_and_of_all_kinds():
  nests = Counter()
  for document in synthetic.documents(synthetic.brackets(), count=2_000):
    words = document.split()
    for one, two, three, four, letter in zip(*(words[slot::5] for slot in range(5)), strict=True):
      assert {one + four, two + three} <= {'()', '[]', '{}', '<>'} and letter in 'xy'
      nests[one, two, letter] += 1
  assert len(nests) == 32 and all(abs(count / 12_000 - 1 / 32) < 0.01 for count in nests.values())


def test_the_last_word_of_a_clause_settles_the_sense():
  seen = Counter()
  for document in synthetic.documents(synthetic.ambiguous(), count=2_000):
    words = document.split()
    seen.update((words[t + 1], words[t + 4]) for t in range(0, 30, 5))
  assert len(seen) == 8  # two senses, four cues each, and no cue with the other sense
  assert all(abs(count / 12_000 - 1 / 8) < 0.015 for count in seen.values())


def test_topics_stay():
  """How often neighbours have the same letter, against the sum by hand."""
  agree = total = 0
  for document in synthetic.documents(synthetic.hidden_markov(), count=2_000):
    letters = [word[0] for word in document.split()]
    agree += sum(a == b for a, b in zip(letters, letters[1:]))
    total += len(letters) - 1
  same = 0.8 * 0.8 + 2 * 0.1 * 0.1  # two words of one topic agree; the others have 0.1 a letter
  other = 2 * 0.8 * 0.1 + 0.1 * 0.1
  assert agree / total == pytest.approx(0.9 * same + 0.1 * other, abs=0.01)


def test_a_corpus_of_one_token_a_word_and_one_document_a_row(name, tmp_path, monkeypatch):
  monkeypatch.setattr(synthetic, 'DOCUMENTS', 300)
  config = config_file.get_config()
  config.data.update(corpus=f'synthetic:{name}', cache=str(tmp_path), validation_share=0.1)
  prepared = pipeline.prepare(
    config.data, vocab_size=config.model.vocab_size, pairs=False, sequence_lengths=(32,)
  )
  tokenizer = prepared.tokenizer
  assert tokenizer.size == 5 + len(synthetic.open_language(name).words)
  batches = pipeline.batches(prepared, sequence_length=32, pairs=False, batch_size=16, seed=0)
  batch = batches[0]
  assert (batch['segment'] == 1).all()
  assert (batch['token'][:, 0] == tokenizer.bos).all() and (
    batch['token'][:, -1] == tokenizer.eos
  ).all()
  documents = set(synthetic.documents(synthetic.open_language(name), 300))
  assert all(' '.join(tokenizer.token(t) for t in row[1:-1]) in documents for row in batch['token'])
  assert prepared.report['documents'] == 300 and prepared.report['unknown_share'] == 0


def test_another_language_of_the_same_name_is_another_corpus(tmp_path, monkeypatch):
  before = sources.open_corpus('synthetic:brackets', tmp_path).identity
  assert sources.open_corpus('synthetic:brackets', tmp_path).identity == before
  monkeypatch.setitem(synthetic.LANGUAGES, 'brackets', lambda: synthetic.brackets(kinds=3))
  assert sources.open_corpus('synthetic:brackets', tmp_path).identity != before


def test_an_unknown_language_names_those_there_are(tmp_path):
  with pytest.raises(DataError, match='did you mean synthetic:brackets'):
    sources.open_corpus('synthetic:bracket', tmp_path)


def test_words_are_split_at_spaces_and_ranked(tmp_path):
  tokenizer = vocabulary.train_words(['b a, a,', 'c b a, [MASK]'], 7)
  assert [tokenizer.token(index) for index in range(tokenizer.size)] == [
    # the two most frequent; no room for c
    '[PAD]',
    '[UNK]',
    '[CLS]',
    '[SEP]',
    '[MASK]',
    'a,',
    'b',
  ]
  [ids] = tokenizer.encode(['b a, c [MASK] a'])
  assert ids.tolist() == [6, 5, 1, 1, 1]
  tokenizer.save(tmp_path / 'tokenizer.json')
  again = reading.load(tmp_path / 'tokenizer.json', lowercase=True)
  assert again.sha256 == tokenizer.sha256 and again.encode(['b a, c [MASK] a'])[0].tolist() == [
    6,
    5,
    1,
    1,
    1,
  ]
  with pytest.raises(DataError, match='at least 6'):
    vocabulary.train_words(['a'], 5)
