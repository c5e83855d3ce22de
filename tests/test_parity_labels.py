"""An exported classifier says in transformers what it says here: texts in, labels out."""

import json

import numpy as np
import pytest
from test_convert import CASES, random_weights
from test_predict_runs import table, tune

from inference.labels import Labels
from inference.predict import Predictor
from interop.export import export
from training import load

torch = pytest.importorskip('torch', reason="needs the extra parity: pip install -e '.[parity]'")
transformers = pytest.importorskip(
  'transformers', reason="needs the extra parity: pip install -e '.[parity]'"
)

TEXTS = [('the old boat',), ('he',), ('a river , cash ' * 4,), ('fish ' * 60,)]
PAIRS = [('the old boat', 'fish'), ('he', 'a river , cash ' * 3), ('old ' * 20, 'boat ' * 40)]
LONGEST = 32  # of a pair of which both are cut, an odd number is left
CLASSES = ('boat', 'fish', 'ünï')
NAMES = [name for name, case in CASES.items() if set(case[2]) & {'sequence', 'tokens'}]


def labelled(name: str, labels: str = 'class'):
  """A random model of a family with names of its labels."""
  model = random_weights(name)
  kind = 'words' if 'tokens' in model.heads else ''
  names = (*CLASSES, 'old', 'bank')[: model.config.classes]
  pooling = 'last' if model.mask == 'causal' else 'first'
  return model._replace(labels=Labels(kind, labels, names, pooling, LONGEST, True))


def theirs_of(folder, kind: str):
  """(their model, their tokenizer) of an export, found by the names in its files."""
  model = getattr(transformers, f'AutoModelFor{kind}Classification').from_pretrained(folder)
  return model.eval(), transformers.AutoTokenizer.from_pretrained(folder)


def logits_of(model, tokenizer, texts: list[tuple[str, ...]]) -> torch.Tensor:
  """Their logits of texts or pairs, padded together, cut as long as the tokenizer says."""
  columns = [list(column) for column in zip(*texts)]
  fed = tokenizer(*columns, padding=True, truncation=True, return_tensors='pt')
  with torch.no_grad():
    return model(**fed).logits


@pytest.mark.parametrize('labels', ['class', 'several'])
@pytest.mark.parametrize('name', NAMES)
def test_an_export_says_of_texts_and_pairs_what_we_say(name, labels, tmp_path):
  mine = labelled(name, labels)
  export(mine, tmp_path, tmp_path / 'out')
  words = 'tokens' in mine.heads
  model, tokenizer = theirs_of(tmp_path / 'out', 'Token' if words else 'Sequence')
  assert type(model).__name__ == CASES[name][4]
  assert model.config.id2label == dict(enumerate(mine.labels.classes))
  assert model.config.label2id == {label: at for at, label in enumerate(mine.labels.classes)}
  squash = torch.sigmoid if labels == 'several' else lambda logits: logits.softmax(dim=-1)
  for reader in (Predictor(mine), Predictor(load.load(tmp_path / 'out'), max_length=LONGEST)):
    if words:
      texts = ['the old boat', 'he paid cash into a bank']
      said = reader.words([tuple(text.split()) for text in texts])
      for text, one in zip(texts, said):
        logits_TxC = logits_of(model, tokenizer, [(text,)])[0]
        assert one.label == tuple(logits_TxC[1 : 1 + len(text.split())].argmax(dim=-1).tolist())
      continue
    for texts in (TEXTS, PAIRS):
      found = np.array([one.probability for one in reader.texts(texts)])
      expected = squash(logits_of(model, tokenizer, texts))
      np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
  kind = 'multi' if labels == 'several' else 'single'
  assert model.config.problem_type == (None if words else f'{kind}_label_classification')


def test_a_number_stays_a_number(tmp_path):
  mine = random_weights('bert-sequence')
  mine = mine._replace(labels=Labels('text', 'number', (), 'first', 32, True))
  export(mine, tmp_path, tmp_path / 'out')
  with pytest.raises(load.WeightsError, match='regression of 3 numbers'):
    load.load(tmp_path / 'out')


def test_a_token_that_ends_texts_is_no_padding(tmp_path):
  """GPT-2's vocabulary has one special token: their class would then read the token before it."""
  mine = labelled('gpt2-sequence')
  mine.tokenizer.pad = mine.tokenizer.eos
  with pytest.warns(UserWarning, match='one text at a time'):
    export(mine, tmp_path, tmp_path / 'out')
  model, tokenizer = theirs_of(tmp_path / 'out', 'Sequence')
  for text, said in zip(TEXTS, Predictor(mine).texts(TEXTS)):
    logits = logits_of(model, tokenizer, [text])[0]
    np.testing.assert_allclose(said.probability, logits.softmax(-1).numpy(), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['class', 'number'])
def test_a_run_that_was_tuned_here_says_the_same_there(kind, tmp_path):
  table(tmp_path, kind)
  columns = {'data.columns': 'text=review,label=stars', 'data.labels': kind}
  run = tune(tmp_path, 'classify', f'csv:{tmp_path}', **columns)
  export(load.load(run), run, tmp_path / 'out')
  model, tokenizer = theirs_of(tmp_path / 'out', 'Sequence')
  before = [json.loads(line) for line in (run / 'predictions_test.jsonl').open()]
  logits = logits_of(model, tokenizer, [(line['text'],) for line in before])
  if kind == 'number':
    found = [line['prediction'] for line in before]
    np.testing.assert_allclose(found, logits[:, 0].numpy(), atol=1e-5)
    assert model.config.problem_type == 'regression'
  else:
    found = [[*line['probabilities'].values()] for line in before]
    np.testing.assert_allclose(found, logits.softmax(-1).numpy(), atol=1e-5)
    labels = [model.config.id2label[index] for index in logits.argmax(-1).tolist()]
    assert labels == [line['prediction'] for line in before]
  card = (tmp_path / 'out/README.md').read_text()
  assert 'pipeline_tag: text-classification' in card and 'wiki_leads' not in card
  result = json.loads((run / 'result.json').read_text())
  name = 'pearson' if kind == 'number' else 'accuracy'
  assert f'| test/{name} | {result["test"][name]} |' in card
