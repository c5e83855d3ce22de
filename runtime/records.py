"""The JSON files that a run leaves: each is read whole and of its shape, or refused in words."""

import math

from etils import epath

from runtime import finite, json_file, lock, storage
from runtime.errors import StateError

_EVALUATIONS = 'evaluations.json'


def read_config(path: epath.Path) -> dict:
  """A config.json as it was written, in the words of its time.

  Raises:
    StateError: it is damaged.
  """
  return json_file.read_object(
    path,
    refuse=StateError,
    todo='Bring a copy back, or name another --workdir.',
  )


def read_result(path: epath.Path, **more: type) -> dict:
  """What a run's result.json says.

  Args:
    more: fields that the caller needs besides step and validation, with their types.

  Raises:
    StateError: it is damaged.
  """
  return json_file.read_object(
    path,
    dict(step=int, validation=dict) | more,
    refuse=StateError,
    todo='Remove it: the command that trained the run then writes it anew, from the checkpoint.',
  )


def read_fingerprint(path: epath.Path) -> dict:
  """What a run's data.json says: the hashes of its data and of its tokenizer.

  Raises:
    StateError: it is damaged.
  """
  return json_file.read_object(
    path,
    dict(data=str, tokenizer=str),
    refuse=StateError,
    todo='Remove it if the data are the same as ever: the next start of the run writes it anew.',
  )


def read_labels(path: epath.Path) -> dict:
  """What a fine-tuned run's labels.json says (`data.tasks.prepared.describe`).

  Raises:
    StateError: it is missing or damaged.
  """
  return json_file.read_object(
    path,
    dict(objective=str, kind=str, labels=str, classes=list, pooling=str, max_length=int),
    refuse=StateError,
    todo='Bring a copy back: without it no output of the head has a name.',
  )


def note_evaluations(
  directory: epath.PathLike, results: dict[str, dict], *, keep: bool = False
) -> bool:
  """Merges what evaluations found into evaluations.json: these names are replaced, others stay.

  Several programs may do so at once. Nothing is written into a Hugging Face directory, which is
  somebody else's.

  Args:
    keep: into imported weights, too; otherwise only into a run.

  Returns:
    Whether they are kept.

  Raises:
    StateError: the file is damaged.
    NumericalError: the value of a result is not finite.
  """
  path = epath.Path(directory) / _EVALUATIONS
  for name, entry in results.items():
    finite.check(entry['value'], f'the value of {name}')
  theirs = 'model_type' in (json_file.peek(path.with_name('config.json')) or {})
  if theirs or path.with_name('modules.json').exists():
    return False
  if path.with_name('weights.json').exists() and not keep:
    return False
  with lock.briefly(path.with_name(f'{_EVALUATIONS}.lock')):
    storage.write_json(path, read_evaluations(directory) | results, racing=True)
  return True


def read_evaluations(directory: epath.PathLike) -> dict[str, dict]:
  """{name: entry} of a run's evaluations.json; {} if there is no such file.

  Raises:
    StateError: the file is damaged, or the value of an entry is no number.
  """
  path, advice = epath.Path(directory) / _EVALUATIONS, 'Move it away, and evaluate again.'
  if not path.exists():
    return {}
  entries = json_file.read_object(path, refuse=StateError, todo=advice)
  for name, entry in entries.items():
    value = entry.get('value') if isinstance(entry, dict) else None
    if type(value) not in (int, float) or not math.isfinite(value):
      raise StateError(f'{path}: {name!r} has no finite number as its value. {advice}')
  return entries
