"""Linear probes: logistic regression on the hidden states of a frozen trunk.

The features of a text are the mean of its tokens' states. Those of a pair are |u - v| and u * v of
the two means, each text encoded by itself (Conneau and Kiela 2018). Those of a word are the state
of its first sub-word, which under a causal mask has not seen the rest of the word.
"""

from collections.abc import Callable
import functools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.stats

from data.rows.batches import in_batches
from data.tasks import labelled, rows
from data.tasks.labelled import Example, Task
from evaluation import labels
from inference.embed import Embedder
from inference.model import Model

_L2 = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # strong to weak: each fit starts from the previous one
_HELD_OUT = 5  # one of so many training examples is held out to choose the strength
_ITERATIONS = 200  # of L-BFGS, at most


class Frozen(NamedTuple):
  """A frozen trunk, and which of its hidden states are the features; the mask is the model's.

  Attributes:
    layer: whose output is taken, from 1; that of the last layer after the final norm, if any.
    batch_size: texts per batch.
  """

  model: Model
  layer: int
  batch_size: int = 64


def run(subject, task: str) -> dict[str, dict]:
  """Returns {'probe_TASK': ...}: a probe of the last layer, under the mask of pre-training.

  Args:
    subject: an `evaluation.subject.Subject`.
    task: name of a task of data.tasks.labelled.TASKS.
  """
  frozen = Frozen(subject.model, subject.model.config.layers)
  loaded = labelled.load(task, subject.folder or 'tfds').limited(subject.limit)
  split = 'test' if 'test' in loaded.splits else 'validation'
  return {f'probe_{task}': probe(frozen, loaded, split=split, progress=subject.progress)}


# Name in evaluations.json -> function of a Subject.
PROBES = {f'probe_{name}': functools.partial(run, task=name) for name in labelled.TASKS}


def probe(
  frozen: Frozen, task: Task, *, split: str, progress: Callable[[str, int, int], None] | None = None
) -> dict:
  """Fits a linear classifier to a task and scores it; returns the entry of evaluations.json.

  Args:
    split: the split to score; the classifier is fitted to 'train'.
    progress: called with (what, rows done, rows in all).
  """
  started = time.monotonic()
  probe_task = _probe_words if task.kind == 'words' else _probe_texts
  fitted, answer, notes = probe_task(frozen, task, split, progress)
  gold = [example.label for example in task.splits[split]]
  scores = labels.score(task, gold, answer)
  headline = labels.HEADLINE[task.kind]
  about = dict(
    mask=frozen.model.mask,
    layer=frozen.layer,
    layers=frozen.model.config.layers,
    split=split,
    pooling='first piece of a word' if task.kind == 'words' else 'mean',
  )
  return (
    dict(value=scores.pop(headline), unit=headline, higher_is_better=True, side='understanding')
    | about
    | notes
    | dict(
      other_scores=scores,
      baselines=labels.baselines(task, split),
      l2=fitted.l2,
      train_rows=len(task.splits['train']),
      rows=len(gold),
      seconds=round(time.monotonic() - started, 1),
    )
  )


def _held_out(examples: list[Example]) -> np.ndarray:
  """Returns which training examples choose the strength of regularisation, bool N."""
  return np.arange(len(examples)) % _HELD_OUT == 0


def _probe_texts(frozen: Frozen, task: Task, split: str, progress):
  """Returns (classifier, its prediction for each example, more for evaluations.json)."""
  train, scored = task.splits['train'], task.splits[split]
  embed = Embedder(frozen.model, normalize=False, read=_reader(frozen))
  states = functools.partial(_text_states, embed, frozen.batch_size, progress)
  train_NxD = states(f'{task.name} train', train)
  scored_NxD = states(f'{task.name} {split}', scored)
  held_N = _held_out(train)
  label_N = np.array([example.label for example in train])
  fitted = fit(train_NxD, label_N, len(task.classes), held_N)
  notes = {}
  if train[0].score is not None:
    wanted_N = np.array([example.score for example in train])
    found_N = fit_ridge(train_NxD, wanted_N, held_N)(scored_NxD)
    notes['relatedness_spearman'] = spearman(found_N, [example.score for example in scored])
  return fitted, fitted.predict(scored_NxD), notes


def _probe_words(frozen: Frozen, task: Task, split: str, progress):
  """As `_probe_texts`; the predictions are one label for each word of each example."""
  train, scored = task.splits['train'], task.splits[split]
  states = functools.partial(_word_states, frozen, _word_reader(frozen), progress)
  train_NxD, row_N, encoded = states(f'{task.name} train', train)
  label_N = encoded.batch['label'][encoded.batch['label'] != rows.NOT_SCORED]
  fitted = fit(train_NxD, label_N, len(task.classes), _held_out(train)[row_N])
  scored_NxD, _, encoded = states(f'{task.name} {split}', scored)
  predicted_NxT = np.zeros_like(encoded.batch['label'])
  predicted_NxT[encoded.batch['label'] != rows.NOT_SCORED] = fitted.predict(scored_NxD)
  answer = rows.by_word(encoded, predicted_NxT, task.classes.index('O'))
  return fitted, answer, dict(cut_rows=encoded.cut)


class Linear(NamedTuple):
  """Multinomial logistic regression on standardised features.

  Attributes:
    mean_D, deviation_D: of the features of the training examples.
    l2: strength of the penalty.
  """

  mean_D: np.ndarray
  deviation_D: np.ndarray
  kernel_DxC: np.ndarray
  bias_C: np.ndarray
  l2: float

  def predict(self, x_NxD: np.ndarray) -> np.ndarray:
    """Returns the most likely class of each row, N."""
    return ((x_NxD - self.mean_D) / self.deviation_D @ self.kernel_DxC + self.bias_C).argmax(axis=1)


def fit(x_NxD: np.ndarray, label_N: np.ndarray, classes: int, held_N: np.ndarray) -> Linear:
  """Fits a classifier: least mean nats per row + l2 / 2 x the squared norm of the kernel.

  Args:
    label_N: class of each row, from 0.
    held_N: bool; rows on whose loss l2 is chosen. The final fit includes them.
  """
  mean_D, deviation_D = x_NxD.mean(axis=0), np.maximum(x_NxD.std(axis=0), 1e-6)
  x_NxD = ((x_NxD - mean_D) / deviation_D).astype(np.float32)
  size = x_NxD.shape[1], classes
  weights, losses = np.zeros((size[0] + 1) * classes), []
  for l2 in _L2:
    weights = _minimise(weights, x_NxD[~held_N], label_N[~held_N], size, l2)
    losses.append(_loss(weights, x_NxD[held_N], label_N[held_N], size, 0.0)[0])
  best = _L2[int(np.argmin(losses))]
  weights = _minimise(np.zeros_like(weights), x_NxD, label_N, size, best)
  kernel_DxC, bias_C = _parts(weights, size)
  return Linear(mean_D, deviation_D, kernel_DxC, bias_C, best)


def _minimise(weights, x_NxD, label_N, size, l2: float) -> np.ndarray:
  """Returns the kernel and bias of least loss as one vector; `size` is (D, C)."""
  return scipy.optimize.minimize(
    _loss,
    weights,
    args=(x_NxD, label_N, size, l2),
    jac=True,
    method='L-BFGS-B',
    options=dict(maxiter=_ITERATIONS),
  ).x


def _parts(weights, size) -> tuple[np.ndarray, np.ndarray]:
  """Returns (kernel_DxC, bias_C) from the one vector that scipy optimises."""
  D, C = size
  return weights[: D * C].reshape(D, C), weights[D * C :]


def _loss(weights, x_NxD, label_N, size, l2: float) -> tuple[float, np.ndarray]:
  """Returns (nats per row plus the penalty, gradient of all weights)."""
  kernel_DxC, bias_C = _parts(weights, size)
  logits_NxC = x_NxD @ kernel_DxC.astype(np.float32) + bias_C.astype(np.float32)
  logits_NxC -= logits_NxC.max(axis=1, keepdims=True)
  rows, N = np.arange(len(label_N)), max(1, len(label_N))
  exp_NxC = np.exp(logits_NxC)
  total_Nx1 = exp_NxC.sum(axis=1, keepdims=True)
  nats = float((np.log(total_Nx1[:, 0]) - logits_NxC[rows, label_N]).sum(dtype=np.float64)) / N
  gradient_NxC = exp_NxC / total_Nx1
  gradient_NxC[rows, label_N] -= 1
  gradient_DxC = (x_NxD.T @ gradient_NxC).astype(np.float64) / N + l2 * kernel_DxC
  gradient_C = gradient_NxC.sum(axis=0, dtype=np.float64) / N
  penalty = l2 / 2 * float((kernel_DxC**2).sum())
  return nats + penalty, np.concatenate([gradient_DxC.ravel(), gradient_C])


def fit_ridge(
  x_NxD: np.ndarray, wanted_N: np.ndarray, held_N: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
  """Fits a ridge regression; returns its function from x_NxD to predictions, N.

  Args:
    held_N: bool; rows on whose Spearman correlation the strength is chosen. The final fit includes
      them.
  """
  mean_D, deviation_D = x_NxD.mean(axis=0), np.maximum(x_NxD.std(axis=0), 1e-6)
  x_NxD = ((x_NxD - mean_D) / deviation_D).astype(np.float64)

  def solve(x_NxD, wanted_N, l2):
    gram_DxD = x_NxD.T @ x_NxD / len(x_NxD) + l2 * np.eye(x_NxD.shape[1])
    return np.linalg.solve(gram_DxD, x_NxD.T @ (wanted_N - wanted_N.mean()) / len(x_NxD))

  def held_out_spearman(l2):
    weights_D = solve(x_NxD[~held_N], wanted_N[~held_N], l2)
    return spearman(x_NxD[held_N] @ weights_D, wanted_N[held_N])

  best = max(_L2, key=held_out_spearman)
  weights_D = solve(x_NxD, wanted_N, best)
  return lambda x_NxD: (x_NxD - mean_D) / deviation_D @ weights_D + wanted_N.mean()


def spearman(a_N, b_N) -> float:
  """Returns Spearman's rank correlation; 0 if one side is constant."""
  if np.ptp(a_N) == 0 or np.ptp(b_N) == 0:
    return 0.0
  return float(scipy.stats.spearmanr(a_N, b_N).statistic)


def _reader(frozen: Frozen) -> Callable:
  """Returns a function (params, batch) -> dict(hidden=BxTxD), the states of the probed layer."""
  trunk = frozen.model.trunk
  if frozen.layer == frozen.model.config.layers:
    return trunk.apply

  def read(params, batch):
    _, inside = trunk.inspect(params, batch)
    return dict(hidden=inside['hidden'][frozen.layer - 1])

  return read


def _word_reader(frozen: Frozen) -> Callable:
  """Returns a compiled function (params, batch) -> hidden_BxTxD, float32."""
  reader = _reader(frozen)
  return jax.jit(lambda params, batch: reader(params, batch)['hidden'].astype(jnp.float32))


def _text_states(
  embed: Embedder, batch_size: int, progress, what: str, examples: list[Example]
) -> np.ndarray:
  """Returns the features of texts, NxD, or of pairs of texts, Nx2D."""
  texts = sorted({text for example in examples for text in example.texts})
  report = progress and (lambda done: progress(what, done, len(texts)))
  vectors_NxD = embed(texts, batch_size, report)
  index_of = {text: index for index, text in enumerate(texts)}
  u_NxD = vectors_NxD[[index_of[example.texts[0]] for example in examples]]
  if len(examples[0].texts) == 1:
    return u_NxD
  v_NxD = vectors_NxD[[index_of[example.texts[1]] for example in examples]]
  return np.concatenate([np.abs(u_NxD - v_NxD), u_NxD * v_NxD], axis=1)


def _word_states(frozen: Frozen, read: Callable, progress, what: str, examples: list[Example]):
  """Returns (states, rows, encoded) of the words' first sub-words.

  Returns:
    The state of each word, NxD, in the order of the rows; the row of each word, N; and the rows as
    `data.tasks.rows.encode` returns them.
  """
  encoded = rows.encode(
    'words', examples, frozen.model.need_tokenizer(), max_length=frozen.model.context
  )
  params = jax.tree.map(jnp.asarray, frozen.model.params)
  chosen_NxT = encoded.batch['label'] != rows.NOT_SCORED
  found, done = [], 0
  for index_B, new in in_batches(len(examples), frozen.batch_size):
    batch = {name: encoded.batch[name][index_B] for name in ('token', 'segment', 'type')}
    batch['mlm_position'] = np.zeros((len(index_B), 1), np.int32)
    hidden_BxTxD = np.asarray(read(params, batch))
    found.append(hidden_BxTxD[:new][chosen_NxT[index_B[:new]]])
    done += new
    if progress is not None:
      progress(what, done, len(examples))
  return np.concatenate(found), np.nonzero(chosen_NxT)[0], encoded
