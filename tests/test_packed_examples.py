"""Several labelled texts a row: the same numbers as a row each, and every text once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from data.tasks import packing, rows
from data.tasks.files import Example
from data.tasks.labelled import LISTS
from data.tasks.packing import LabelArray, PackedBatches, Split, StackedBatches
from data.tokens import tokenizer as tokenizers
from objectives.mix import make_objective
from objectives.term import Labels, Setup

WORDS = '[PAD] [UNK] [CLS] [SEP] [MASK] the bank of a river he paid cash ##s . , old'.split()
KINDS = {
  'one class': ('text', LabelArray(False, 0, False), Labels(), 'classify'),
  'pairs': ('pair', LabelArray(False, 0, False), Labels(pooling='last'), 'classify'),
  'several classes': ('text', LabelArray(False, 3, False), Labels(kind='several'), 'classify'),
  'a number': (
    'pair',
    LabelArray(False, 0, True),
    Labels(kind='number', pooling='mean'),
    'classify',
  ),
  'choices': ('choices', LabelArray(False, 0, False, choice=True), Labels(), 'choose'),
  'ranked': (
    'ranked',
    LabelArray(False, 0, True, ranked=True),
    Labels(kind='number', pooling='mean'),
    'rank',
  ),
  'words': ('words', LabelArray(True, 0, False), Labels(), 'tag'),
  'weighted': (
    'text',
    LabelArray(False, 0, False),
    Labels(smoothing=0.1, class_weight_C=jnp.array([0.5, 1.0, 2.0])),
    'classify',
  ),
}


@functools.cache
def tokenizer():
  return tokenizers.from_vocabulary(WORDS, lowercase=True)


def examples(kind: str, labels: LabelArray, count: int = 23) -> list[Example]:
  random = np.random.default_rng(0)
  found = []
  for number in range(count):
    words = [*random.choice(WORDS[5:], random.integers(1, 9))]
    words = [str(word).removeprefix('##') for word in words]
    texts = tuple(words) if labels.words else (' '.join(words),)
    label = number % 3
    if kind == 'pair':
      texts += (' '.join(words[::-1][:4]),)
    if kind in LISTS:
      texts = tuple(' '.join(words[:place]) for place in (1, 2, 1 + number % 2))
      label = number % 2
    if kind == 'ranked':
      texts += texts[1:2] * (number % 2)  # lists of two and of three
      label = tuple(float(place * number % 5) for place in range(len(texts) - 1))
    if labels.words:
      label = tuple(int(each) for each in random.integers(0, 3, len(words)))
    elif labels.several:
      label = tuple(range(number % 4))
    elif labels.number and not labels.ranked:
      label = number / 7
    found.append(Example(texts, None if number == 5 and not labels.words else label))
  return found


def split(kind: str, labels: LabelArray) -> Split:
  found = examples(kind, labels)
  return Split(found, rows.frame(kind, found, tokenizer(), max_length=24))


def batches(kind: str, labels: LabelArray, *, T=32, shuffled=False, batch_size=8, seed=0, **more):
  chosen = split(kind, labels)
  S = packing.slots([chosen], T)
  return PackedBatches(
    chosen,
    tokenizer(),
    labels,
    T=T,
    S=S,
    batch_size=batch_size,
    seed=seed,
    shuffled=shuffled,
    **more,
  )


@pytest.mark.parametrize('multiple', [1, 4])
@pytest.mark.parametrize('name', KINDS)
def test_orders_side_by_side_are_the_same_orders_alone(name, multiple):
  kind, labels, *_ = KINDS[name]
  orders = [
    batches(kind, labels, shuffled=True, seed=seed, multiple=multiple) for seed in (3, 4, 5)
  ]
  together = StackedBatches(orders)
  halves = [StackedBatches(orders, lambda R, half=half: range(half, R, 2)) for half in (0, 1)]
  for step in range(7):  # three epochs and a bit
    batch = together[step]
    for half, each in enumerate(halves):
      for key, x_Bx in each[step].items():
        np.testing.assert_array_equal(x_Bx, batch[key][half::2])
    for n, order in enumerate(orders):
      alone = order[step]
      own = {key: x_Bx[n::3] for key, x_Bx in batch.items()}
      R = len(alone['id'])
      assert len(own['id']) >= R and (own['id'][R:] == -1).all()
      assert (own['segment'][R:] == 0).all() and (own['example'][R:] == -1).all()
      for key, x_Bx in alone.items():
        np.testing.assert_array_equal(x_Bx, own[key][:R])
  assert len(together) == len(orders[0]) and together.rows == 23


@pytest.mark.parametrize('name', KINDS)
def test_texts_side_by_side_are_the_same_texts_alone(name):
  kind, label_array, labels, objective_name = KINDS[name]
  mask = 'causal' if labels.pooling == 'last' else 'bidirectional'
  classes = 1 if kind in LISTS else 3
  objective = make_objective({objective_name: 1.0}, Setup(None, None, 0, labels=labels))
  network, params = small.network(
    'bert_base', mask=mask, packed=True, heads=objective.heads, classes=classes, layers=1
  )

  def sums(T: int, batch_size: int):
    """(loss, weight, gradient) over the whole split, and what is said of each text."""

    def total(params, batch):
      batch = objective.prepare(jax.random.key(0), batch, batch['id'])
      outputs = network.apply(params, batch)
      term = objective.terms(outputs, batch)[objective_name]['loss']
      said = objective.answers(outputs, batch)
      return term.total, (term.weight, said.get('probability', said.get('value')))

    loss, weight, gradient, said = 0.0, 0.0, None, {}
    slope_of = jax.jit(jax.value_and_grad(total, has_aux=True))
    found = batches(kind, label_array, T=T, batch_size=batch_size)
    for step in range(len(found)):
      batch = found[step]
      (one, (counted, answer)), slope = slope_of(params, batch)
      loss, weight = loss + float(one), weight + float(counted)
      gradient = slope if gradient is None else jax.tree.map(jnp.add, gradient, slope)
      for row, slot in np.argwhere(batch['example'] >= 0):
        own = batch['segment'][row] == slot + 1
        number = int(batch['example'][row, slot])
        said[number] = np.asarray(answer)[row, own if label_array.words else slot]
    return loss, weight, gradient, said

  loss, weight, gradient, said = sums(T=32, batch_size=12)
  alone_loss, alone_weight, alone_gradient, alone_said = sums(T=24, batch_size=1)
  assert sorted(said) == sorted(alone_said) == list(range(23))
  assert weight == pytest.approx(alone_weight) and loss == pytest.approx(alone_loss, rel=1e-5)
  for number, answer in said.items():
    np.testing.assert_allclose(answer, alone_said[number], atol=1e-5)
  scale = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(alone_gradient))
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5 * scale), gradient, alone_gradient
  )


def test_the_answers_to_a_question_stand_side_by_side_and_one_is_right():
  kind, labels, *_ = KINDS['choices']
  chosen, batch = split(kind, labels), batches(kind, labels, batch_size=23)[0]
  for number, example in enumerate(chosen.examples):
    rows_of, slots = np.nonzero(batch['example'] == number)
    assert len(set(rows_of)) == 1 and len(slots) == len(example.texts) - 1
    assert (np.diff(slots) == 1).all()
    label_S = batch['label'][rows_of[0], slots]
    if example.label is None:
      assert (label_S < 0).all()
    else:
      assert label_S.tolist() == [place == example.label for place in range(len(slots))]


@pytest.mark.parametrize('name', [name for name in KINDS if name not in LISTS])
def test_each_text_is_read_once_an_epoch_with_its_own_label(name):
  kind, labels, *_ = KINDS[name]
  chosen = split(kind, labels)
  for shuffled in (False, True):
    found, seen = batches(kind, labels, shuffled=shuffled, batch_size=23), []
    batch = found[0]
    for row, slot in np.argwhere(batch['example'] >= 0):
      number = batch['example'][row, slot]
      own = np.flatnonzero(batch['segment'][row] == slot + 1)
      ids = np.concatenate(chosen.framed.parts[number])
      special = np.isin(batch['token'][row, own], (tokenizer().bos, tokenizer().eos))
      np.testing.assert_array_equal(batch['token'][row, own][~special], ids)
      label = chosen.examples[number].label
      if labels.words:
        assert [x for x in batch['label'][row, own] if x >= 0] == list(label)
      elif labels.several and label is not None:
        assert np.flatnonzero(batch['label'][row, slot]).tolist() == list(label)
      elif label is not None:
        assert batch['label'][row, slot] == pytest.approx(label)
      seen.append(int(number))
    assert sorted(seen) == list(range(23))
    assert (seen == sorted(seen)) != shuffled or not shuffled


def test_rows_of_several_processes_are_those_of_one():
  kind, labels, *_ = KINDS['one class']
  whole = batches(kind, labels, shuffled=True, multiple=4)
  parts = [
    batches(
      kind,
      labels,
      shuffled=True,
      multiple=4,
      local_rows=lambda R, half=half: np.arange(R).reshape(2, -1)[half],
    )
    for half in (0, 1)
  ]
  for step in range(4):
    for name, x_Rx in whole[step].items():
      assert len(x_Rx) % 4 == 0
      np.testing.assert_array_equal(np.concatenate([part[step][name] for part in parts]), x_Rx)


def test_little_of_a_batch_is_padding():
  kind, labels, *_ = KINDS['one class']
  batch = batches(kind, labels, shuffled=True, batch_size=16)[0]
  lengths = split(kind, labels).framed.lengths()
  needed = lengths[batch['example'][batch['example'] >= 0]].sum()
  assert (batch['segment'] > 0).sum() == needed
  assert needed > 0.8 * batch['token'].size and batch['token'].shape[0] < 16
