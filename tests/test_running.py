"""A running text keeps every character, is cut once, and is read
in windows that predict each character once.
"""

import json

import ml_collections
import numpy as np
import pytest
import runs

from configs import base
from data import pipeline
from data.errors import DataError
from data.tokens import vocabulary

TEXT = 'First Citizen:\nBefore we proceed, hear me.\n\n\n  All:\tSpeak ' * 40 + 'Ω\n\n'
T = 17


def settings(folder, text: str = TEXT, **changes) -> ml_collections.ConfigDict:
  (folder / 'text.txt').write_text(text, encoding='utf-8', newline='')
  data = base.get_config().data
  data.update(
    corpus=f'text:{folder}/text.txt',
    cache=str(folder / 'cache'),
    tokenizer='characters',
    split='tail',
    validation_share=0.1,
    **changes,
  )
  return data


def prepare(data, pairs=None) -> pipeline.Prepared:
  return pipeline.prepare(data, vocab_size=64, sequence_lengths=(T,), pairs=pairs)


def batches(prepared, split, **changes):
  return pipeline.batches(
    prepared, **dict(split=split, sequence_length=T, pairs=None, batch_size=8, seed=3) | changes
  )


def windows(prepared, split, epochs=1, **changes) -> dict[int, list[np.ndarray]]:
  """The tokens of every row, in the order of its number, for each epoch."""
  found = {epoch: {} for epoch in range(epochs + 1)}
  source = batches(prepared, split, **changes)
  for step in range(epochs * len(source)):
    batch = source[step]
    for row in np.flatnonzero(batch['id'] >= 0):
      found[batch['epoch'][row]][batch['id'][row]] = batch['token'][row][batch['segment'][row] == 1]
  return {epoch: [rows[index] for index in sorted(rows)] for epoch, rows in found.items()}


def test_characters_come_back_exactly_and_a_new_one_is_unknown():
  tokenizer = vocabulary.train_characters([TEXT, 'ab[MASK]##Ġ▁'], 64)
  for text in (TEXT, ' \n\n a', '[MASK]', '##a'):
    (ids,) = tokenizer.encode([text])
    assert len(ids) == len(text) and tokenizer.decode(ids) == text
    assert not tokenizer.special_V[ids].any()
  assert tokenizer.encode(['a$b'])[0][1] == tokenizer.unknown
  characters = [tokenizer.token(index) for index in range(5, tokenizer.size)]
  assert characters == sorted(set(TEXT + 'ab[MASK]##Ġ▁'))
  with pytest.raises(DataError, match='needs at least'):
    vocabulary.train_characters([TEXT], 8)


def test_the_end_of_the_text_is_held_out_and_no_character_is_lost(tmp_path):
  prepared = prepare(settings(tmp_path))
  cut = int(len(TEXT) * 0.9)
  for split, text in (('train', TEXT[:cut]), ('validation', TEXT[cut:])):
    rows = windows(prepared, split)[0]
    assert all(len(row) == T for row in rows[:-1]) and 2 <= len(rows[-1]) <= T
    # the first token of a row is only read
    tokens = np.concatenate([rows[0][:1], *(row[1:] for row in rows)])
    assert len(tokens) == len(text)
    assert [prepared.tokenizer.token(t) for t in tokens] == [
      c if c in TEXT[:cut] else '[UNK]' for c in text
    ]
  assert prepared.report['replaced'] == {}


def test_each_look_cuts_the_training_text_elsewhere_and_depends_on_the_seed_alone(tmp_path):
  prepared = prepare(settings(tmp_path))
  epochs = windows(prepared, 'train', epochs=3)
  text = ''.join(
    map(
      prepared.tokenizer.token, np.concatenate([epochs[0][0][:1], *(row[1:] for row in epochs[0])])
    )
  )
  offsets = [
    next(
      s
      for s in range(T - 1)
      if text[s : s + T] == ''.join(map(prepared.tokenizer.token, epochs[epoch][0]))
    )
    for epoch in range(3)
  ]
  assert offsets[0] == 0 and len(set(offsets)) > 1
  halves = [
    batches(prepared, 'train', local_rows=range(first, first + 4))[40]['token'] for first in (0, 4)
  ]
  np.testing.assert_array_equal(np.concatenate(halves), batches(prepared, 'train')[40]['token'])


def test_a_text_that_is_too_short_or_has_no_documents_for_pairs_says_so(tmp_path):
  with pytest.raises(DataError, match='too short for data.split=tail'):
    prepare(settings(tmp_path, 'abc'))
  with pytest.raises(DataError, match='no documents to draw sentence pairs from'):
    prepare(settings(tmp_path), pairs='random')


@pytest.mark.slow
def test_a_run_scores_every_character_but_the_first_and_only_at_its_end(tmp_path):
  """A real run of gpt_char, small, by Muon."""
  text = TEXT.replace('Ω', '')
  (tmp_path / 'text.txt').write_text(text)
  changes = {
    'validation.every': 100,
    'validation.batch_size': 4,
    'model.vocab_size': 64,
    'data.sequence_length': T,
  }
  done = runs.run(runs.command('gpt_char', tmp_path / 'run', tmp_path / 'text.txt', **changes))
  assert done.returncode == 0, done.stderr
  rows = runs.rows(tmp_path / 'run')
  assert [row['step'] for row in rows if 'val/loss' in row] == [12]
  result = json.loads((tmp_path / 'run/result.json').read_text())
  report = json.loads((tmp_path / 'run/data_report.json').read_text())
  characters = report['validation']['tokens']
  assert characters == report['validation']['bytes'] == len(text) - int(len(text) * 0.9)
  # the first is not predicted
  known = result['validation']['clm_loss'] * (characters - 1) / np.log(2) / characters
  assert result['validation']['bits_per_byte'] == pytest.approx(known, rel=1e-6)
