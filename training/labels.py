"""The labels of a model in a folder: of a Hugging Face directory, of a run, of an import."""

from pathlib import Path
from typing import Any

from etils import epath

from inference.labels import HEADS, Labels, read
from interop import labels as their_labels
from interop.huggingface import CHOICES
from runtime import json_file, records
from runtime.errors import StateError
from training import stacked


def of_huggingface(
  directory: Path, theirs: dict[str, Any], mask: str, heads: tuple[str, ...], outputs: int
) -> Labels | None:
  """The labels of a Hugging Face directory; None of a model without a head for them.

  Args:
    theirs: its config.json.
    mask: of the family.
    outputs: how many classes the head has.

  Raises:
    WeightsError: as `interop.labels.read_labels`.
  """
  head = next((head for head in heads if head in their_labels.KINDS), None)
  if head is None:
    return None
  if architecture(theirs).endswith(CHOICES):
    head = 'choices'
  return their_labels.read_labels(theirs, head, outputs, mask, str(directory / 'config.json'))


def architecture(theirs: dict[str, Any]) -> str:
  """The class of transformers that a config.json names; '' where it names none."""
  classes = theirs.get('architectures')
  return str(classes[0]) if isinstance(classes, list) and classes else ''


def of_workdir(directory: Path, about: dict[str, Any]) -> Labels | None:
  """The labels of a run that was fine-tuned, or that weights were imported with.

  Args:
    about: what weights.json says of an import; {} of a run.

  Raises:
    WeightsError, StateError: a file is damaged.
  """
  if about:
    return read(about['labels'], str(directory / 'weights.json')) if 'labels' in about else None
  path = directory / 'labels.json'
  if not path.exists():
    return None
  record = records.read_labels(path)
  return read(record, str(path)) if record['kind'] in HEADS else None


def seed_of(directory: epath.PathLike, config) -> int:
  """Which seed of a run of several is used: the best one, or before the end the first.

  Raises:
    StateError: labels.json is missing or damaged, or names a seed that the run does not have.
  """
  path = epath.Path(directory) / 'labels.json'
  seed, seeds = records.read_labels(path).get('seed'), stacked.numbers(config)
  if seed not in seeds:
    raise StateError(
      f'{path}: seed is {seed!r}, and this run has {seeds[0]} to {seeds[-1]}. Bring a copy back.'
    )
  return seed


def columns(directory: Path) -> str:
  """Which columns the texts were in that a run was fine-tuned on, as `config.data.columns`."""
  config = json_file.peek(directory / 'config.json') or {}
  data = config.get('data')
  named = data.get('columns', '') if isinstance(data, dict) else ''
  return named if isinstance(named, str) and 'text' in named else ''
