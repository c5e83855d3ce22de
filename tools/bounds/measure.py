"""Runs on synthetic languages, measured against what a reader with their eyes could know."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from configs.schema.check import ConfigError
from data.corpora import synthetic
from data.corpora.synthetic import Language
from evaluation.synthetic import bounds, exact
from runtime import workdir
from runtime.errors import StateError
from training import load as loading


@dataclasses.dataclass(frozen=True)
class Cell:
  """A run: what it paid at each position, and the least that was possible there.

  Attributes:
    cell: mask and objective, as 'bidirectional+mlm'.
    said: loss, bound, excess and error of evaluation.synthetic.bounds.summary.
  """

  folder: Path
  cell: str
  seed: int
  steps: int
  said: dict[str, float]
  model_T: np.ndarray
  bound_T: np.ndarray


@dataclasses.dataclass(frozen=True)
class Measured:
  """A language: what two readers of the same words must pay
  at each position, and the runs that read it.

  Attributes:
    left_T: all words to the left are seen.
    both_T: all words but the one that is asked for.
    example: a document.
  """

  language: Language
  left_T: np.ndarray
  both_T: np.ndarray
  example: tuple[str, ...]
  cells: list[Cell] = dataclasses.field(default_factory=list)


def folders(directories: list[Path]) -> list[Path]:
  """The runs among them, and the finished ones of the sweeps."""
  found = []
  for directory in directories:
    sweep = directory / 'sweep.json'
    if sweep.is_file():
      there = [directory / run['folder'] for run in json.loads(sweep.read_text())['runs']]
      found += [folder for folder in there if (folder / 'result.json').is_file()]
    elif (directory / 'config.json').is_file():
      found.append(directory)
    else:
      raise StateError(f'{directory} holds no run and no sweep.')
  if not found:
    raise StateError(f'{", ".join(map(str, directories))}: no run is finished.')
  return found


def measure(folder: Path, documents: int, languages: dict[str, Measured]):
  """Adds what a run pays to its language, which is added first where it is new.

  Raises:
    ConfigError: the run is not on a synthetic language, or of a cell that has no bound here.
    StateError, WeightsError: there is no model to read.
  """
  config = workdir.read_config(folder)
  kind, _, name = config.data.corpus.partition(':')
  if kind != 'synthetic' or name not in synthetic.LANGUAGES:
    raise ConfigError(
      f'{folder} was trained on {config.data.corpus}; bounds are known for '
      f'{", ".join(f"synthetic:{one}" for one in synthetic.LANGUAGES)}.'
    )
  cell = '+'.join((config.mask, *sorted(config.objectives)))
  if cell not in bounds.CELLS:
    raise ConfigError(
      f'{folder} is a run of {cell}; bounds are known for {", ".join(bounds.CELLS)}.'
    )
  if name not in languages:
    languages[name] = _theory(synthetic.open_language(name), documents)
  measured = languages[name]
  weights = loading.load(folder)
  asked = bounds.ask(measured.language, documents, 0.0 if cell.endswith('clm') else config.mlm.rate)
  reading = bounds.Reading(
    bounds.model_nats(
      weights.network, weights.params, weights.need_tokenizer(), measured.language, asked, cell
    ),
    bounds.bound(measured.language, asked, cell),
  )
  measured.cells.append(
    Cell(
      folder,
      cell,
      config.seed,
      config.steps,
      bounds.summary(reading),
      bounds.by_position(reading.model_NxT),
      bounds.by_position(reading.bound_NxT),
    )
  )


def plain(measured: Measured) -> dict:
  """For JSON."""
  return dict(
    left=measured.left_T.tolist(),
    both=measured.both_T.tolist(),
    runs=[
      dict(
        folder=str(cell.folder),
        cell=cell.cell,
        seed=cell.seed,
        steps=cell.steps,
        **cell.said,
        loss_by_position=cell.model_T.tolist(),
        bound_by_position=cell.bound_T.tolist(),
      )
      for cell in measured.cells
    ],
  )


def _theory(language: Language, documents: int) -> Measured:
  word_NxT = bounds.ask(language, documents, 0.0).word_NxT
  all_NxT = np.ones_like(word_NxT, bool)
  left_T, both_T = (
    exact.entropy(exact.posterior(language, word_NxT, all_NxT, two_sided=two)).mean(axis=0)
    for two in (False, True)
  )
  closed_T = exact.left_only(language)
  example = tuple(language.words[word] for word in word_NxT[0])
  return Measured(language, left_T if closed_T is None else closed_T, both_T, example)
