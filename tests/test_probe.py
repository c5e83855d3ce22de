"""A probe finds what a frozen trunk says, reports chance where it
says nothing, and reads the layer it names.
"""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
import small

from data.tasks.labelled import Example, Task
from data.tokens import tokenizer as tokenizers
from evaluation import probe
from evaluation.subject import Subject
from inference.model import Model

WORDS = (
  '[PAD] [UNK] [CLS] [SEP] [MASK] the bank of a river he paid cash into ##s . , old fish boat'
).split()
PLAIN = WORDS[5:14]


@functools.cache
def frozen(mask: str = 'bidirectional', layer: int = 2, max_length: int = 16) -> probe.Frozen:
  shape = dict(init_scale=0.3, max_length=max_length)
  network, params = small.network('bert_base', mask=mask, packed=False, **shape)
  tokenizer = tokenizers.from_vocabulary(WORDS, lowercase=True)
  model = Model(small.model(**shape), mask, (), network, params, tokenizer, True, 'a small model')
  return probe.Frozen(model, layer, batch_size=32)


def word_states(one: probe.Frozen, examples: list[Example]):
  return probe._word_states(one, probe._word_reader(one), None, '', examples)


def texts(rng, count: int, planted: bool) -> list[Example]:
  """Random words; label 1 says that "fish" is among them, or is a coin's."""
  found = []
  for _ in range(count):
    label = int(rng.integers(2))
    words = [*rng.choice(PLAIN, 4), 'fish' if label else 'boat']
    rng.shuffle(words)
    found.append(Example((' '.join(words),), label if planted else int(rng.integers(2))))
  return found


def text_task(planted: bool) -> Task:
  rng = np.random.default_rng(0)
  splits = dict(
    train=texts(rng, 200, planted),
    validation=texts(rng, 20, planted),
    test=texts(rng, 200, planted),
  )
  return Task('sst2', 'text', ('without', 'with'), splits)


def test_a_planted_signal_is_found():
  found = probe.probe(frozen(), text_task(planted=True), split='test')
  assert found['value'] > 0.85 and found['unit'] == 'accuracy' and found['side'] == 'understanding'
  assert found['rows'] == found['train_rows'] == 200 and found['baselines']['majority'] < 0.6


def test_shuffled_labels_give_chance():
  found = probe.probe(frozen(), text_task(planted=False), split='test')
  assert abs(found['value'] - 0.5) < 0.11  # three standard errors of 200 coins


def test_the_result_names_mask_layer_and_split():
  found = probe.probe(frozen('causal', layer=1), text_task(planted=True), split='validation')
  assert (found['mask'], found['layer'], found['layers'], found['split']) == (
    'causal',
    1,
    2,
    'validation',
  )
  assert found['rows'] == 20


def test_a_layer_is_that_layer():
  one = frozen(layer=1)
  states, rows, encoded = word_states(one, [Example(('fish', 'boat'), (0, 1))])
  batch = {name: jnp.asarray(x) for name, x in encoded.batch.items() if name != 'label'}
  _, inside = one.model.network.inspect(
    one.model.params, batch | dict(mlm_position=jnp.zeros((1, 1), jnp.int32))
  )
  np.testing.assert_allclose(states, inside['hidden'][0, 0, 1:3], atol=1e-5)
  last = word_states(frozen(layer=2), [Example(('fish', 'boat'), (0, 1))])[0]
  np.testing.assert_allclose(last, inside['hidden'][1, 0, 1:3], atol=1e-5)
  assert np.abs(states - last).max() > 0.1 and rows.tolist() == [0, 0]


@pytest.mark.parametrize('mask, sees', [('causal', False), ('bidirectional', True)])
def test_the_mask_says_what_a_word_has_seen(mask, sees):
  pair = [Example(('fish', 'boat'), (0, 1)), Example(('fish', 'river'), (0, 1))]
  states, rows, _ = word_states(frozen(mask), pair)
  first = states[np.flatnonzero(np.diff(rows, prepend=-1))]
  assert (np.abs(first[0] - first[1]).max() > 1e-3) == sees


def test_words_are_scored_by_chunks():
  rng = np.random.default_rng(1)
  tags = ('O', 'B-NP', 'I-NP')

  def sentence():
    words = tuple(str(word) for word in rng.choice(['the', 'boat', 'into'], 6))
    return Example(words, tuple(dict(the=1, boat=2, into=0)[word] for word in words))

  task = Task(
    'conll2000',
    'words',
    tags,
    {name: [sentence() for _ in range(60)] for name in ('train', 'test')},
  )
  found = probe.probe(frozen(), task, split='test')
  assert found['unit'] == 'chunk_f1' and found['value'] > 0.95 and found['cut_rows'] == 0
  cut = probe.probe(frozen(max_length=5), task, split='test')  # three words of six are read
  assert cut['cut_rows'] == 60 and cut['other_scores']['chunk_recall'] < 0.75


def test_relatedness_of_pairs_by_ridge():
  rng = np.random.default_rng(2)

  def pair():
    first = list(rng.choice(PLAIN, 5, replace=False))
    kept = int(rng.integers(6))
    second = first[:kept] + ['fish'] * (5 - kept)
    return Example((' '.join(first), ' '.join(second)), int(kept > 2), 1 + 0.8 * kept)

  task = Task(
    'sick',
    'pair',
    ('b', 'a', 'c'),
    {name: [pair() for _ in range(300)] for name in ('train', 'test')},
  )
  found = probe.probe(frozen(), task, split='test')
  assert (
    found['value'] > found['baselines']['majority'] + 0.1 and found['relatedness_spearman'] > 0.7
  )


def test_the_gradient_is_the_derivative():
  rng = np.random.default_rng(0)
  x, label, size = rng.normal(size=(20, 3)).astype(np.float32), rng.integers(4, size=20), (3, 4)
  weights, direction = rng.normal(size=16), rng.normal(size=16)
  at = lambda t: probe._loss(weights + t * direction, x, label, size, 0.3)
  numeric = (at(1e-2)[0] - at(-1e-2)[0]) / 2e-2
  assert numeric == pytest.approx(at(0.0)[1] @ direction, rel=1e-3)


def test_the_strength_is_chosen_on_rows_that_are_not_fitted():
  rng = np.random.default_rng(0)
  x, noise = rng.normal(size=(60, 40)), rng.integers(2, size=60)
  held = np.arange(60) % 5 == 0
  assert probe.fit(x, noise, 2, held).l2 == max(probe._L2)  # nothing to learn: the strongest
  x[:, 0] = 3 * (2 * noise - 1)
  assert probe.fit(x, noise, 2, held).l2 < max(probe._L2)


def test_a_constant_has_no_rank():
  assert probe.spearman([1, 1, 1], [1, 2, 3]) == 0 and probe.spearman(
    [1, 2, 3], [2, 4, 9]
  ) == pytest.approx(1)


def test_a_subject_is_probed_from_a_folder(tmp_path):
  (tmp_path / 'sst2').mkdir()
  for name, examples in text_task(planted=True).splits.items():
    file = dict(validation='dev').get(name, name)
    lines = [f'{example.label} {example.texts[0]}' for example in examples]
    (tmp_path / f'sst2/{file}.txt').write_text('\n'.join(lines) + '\n')
  seen = []
  subject = Subject(frozen().model, tmp_path, 100, None, lambda *args: seen.append(args))
  [(name, found)] = probe.PROBES['probe_sst2'](subject).items()
  assert (
    name == 'probe_sst2'
    and found['value'] > 0.8
    and found['rows'] == 100
    and found['split'] == 'test'
  )
  assert {what for what, *_ in seen} == {'sst2 train', 'sst2 test'}
