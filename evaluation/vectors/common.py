"""What the tasks on sentence vectors share: where their files are, vectors, cosines, entries."""

from collections.abc import Callable, Iterable, Sequence
import hashlib
import math
from pathlib import Path

import numpy as np

from data import compressed
from data.errors import DataError
from evaluation.errors import TaskError
from evaluation.subject import Subject
from inference.embed import Embedder

_BATCH = 64  # rows of texts at once; changes speed only
# Names of the prompts of a role, the first that a model has.
_PROMPTS = dict(query=('query',), document=('document', 'passage', 'corpus'))


def folder(subject: Subject, task: str) -> Path:
  """The folder of a task's files: `<task>` in that of --task_data, or that itself.

  Raises:
    TaskError: there is no --task_data.
  """
  if subject.folder is None:
    raise TaskError(
      f'{task}: --task_data=FOLDER is missing, the folder with its files (docs/evaluation.md)'
    )
  own = subject.folder / task
  return own if own.is_dir() else subject.folder


def files(subject: Subject, task: str, endings: Sequence[str]) -> dict[str, Path]:
  """{name of a set: its file}: <task>/NAME.jsonl, or one file <task>.jsonl, whose name is ''.

  Raises:
    TaskError, DataError: there is none.
  """
  where = folder(subject, task)
  found: dict[str, Path] = {}
  for path in sorted(where.iterdir()):
    plain = Path(path.stem) if path.suffix in compressed.ENDINGS.values() else path
    if plain.suffix.lower() not in endings or (where.name != task and plain.stem != task):
      continue
    name = '' if plain.stem == task else plain.stem
    if name in found:
      raise DataError(f'{path} and {found[name].name} are both the set {plain.stem!r}: move one')
    found[name] = path
  if not found:
    raise DataError(
      f'{where} has no files of {task}: {task}/NAME{endings[0]} or {task}{endings[0]} is needed'
    )
  return found


def encoder(subject: Subject, what: str) -> Callable[..., np.ndarray]:
  """A function (texts, role='') -> vectors of length 1, NxD, pooled as the model says of itself.

  Queries and documents stand behind the model's prompts of these names, where it has them, and
  other texts behind its default one, as in sentence-transformers. Equal texts of a call have equal
  vectors: each is read once.
  """
  embed, prompts = Embedder(subject.model), subject.model.prompts

  def encode(texts: Sequence[str], role: str = '') -> np.ndarray:
    prompt = next((prompts[name] for name in _PROMPTS.get(role, ()) if name in prompts), None)
    place = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    report = lambda done: subject.progress(what, done, len(place))
    vector_NxD = embed(list(place), _BATCH, report, prompt=prompt)
    return vector_NxD[[place[text] for text in texts]]

  return encode


def cosines(u_NxD: np.ndarray, v_NxD: np.ndarray) -> np.ndarray:
  """The cosine of each row with the same row of the other, float64, N; 1 if they are equal."""
  u_NxD, v_NxD = u_NxD.astype(np.float64), v_NxD.astype(np.float64)
  product_N = (u_NxD * v_NxD).sum(axis=1)
  squares_N = (u_NxD * u_NxD).sum(axis=1) * (v_NxD * v_NxD).sum(axis=1)
  return product_N / np.sqrt(np.maximum(squares_N, 1e-24))


def entry(
  subject: Subject,
  metric: str,
  scores: dict[str, float],
  unit: str,
  notes: Sequence[str] = (),
  **more,
) -> dict:
  """An entry of evaluations.json: `metric` of the scores is its value, the others are beside it."""
  model, notes = subject.model, list(notes)
  if model.sentences is not None and model.sentences.similarity != 'cosine':
    notes.append(
      f"the model's files compare by {model.sentences.similarity}; here it is the cosine"
    )
  return dict(
    value=scores[metric],
    unit=unit,
    higher_is_better=True,
    side='understanding',
    split='test',
    metric=metric,
    other_scores={name: value for name, value in scores.items() if name != metric},
    pooling=model.config.pooling,
    mask=model.mask,
    prompts=model.prompts,
    limit=subject.limit,
    notes=notes,
    **more,
  )


def mean(
  subject: Subject, metric: str, unit: str, found: dict[str, dict], notes: Sequence[str] = ()
) -> dict:
  """The entry of the mean of several entries."""
  values = [one['value'] for one in found.values()]
  return entry(
    subject,
    metric,
    {metric: math.fsum(values) / len(values)},
    f'{unit}, mean of {", ".join(found)}',
    notes,
    mean_of=list(found),
    data_sha256=digest(one['data_sha256'] for one in found.values()),
  )


def named(subject: Subject, task: str, unit: str, sets: dict[str, dict]) -> dict[str, dict]:
  """Entries of the sets of a task: <task>_NAME each, and <task>, their mean or the only one."""
  if set(sets) == {''}:
    return {task: sets['']}
  found = {f'{task}_{name}' if name else f'{task}_{task}': one for name, one in sets.items()}
  metric = next(iter(sets.values()))['metric']
  return {task: mean(subject, metric, unit, found)} | found


def digest(lines: Iterable[str]) -> str:
  """The SHA-256 of lines."""
  sha256 = hashlib.sha256()
  for line in lines:
    sha256.update(f'{line}\n'.encode())
  return sha256.hexdigest()
