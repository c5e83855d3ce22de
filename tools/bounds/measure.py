"""Measures runs on synthetic languages against the lowest loss that exact inference allows."""

import dataclasses
from pathlib import Path

import numpy as np

from configs.schema.check import ConfigError
from data.corpora import synthetic
from data.corpora.synthetic import Language
from evaluation.synthetic import bounds, exact
from runtime import workdir
from runtime.errors import StateError
from tools.sweep import runs as sweep_runs
from training import load as loading


@dataclasses.dataclass(frozen=True)
class MeasuredRun:
  """A run: its loss at each position, and the lowest loss possible there.

  Attributes:
    cell: mask and objective, as 'bidirectional+mlm'.
    summary: loss, bound, excess and error, as of evaluation.synthetic.bounds.summary.
    model_T, bound_T: nats a predicted word at each position.
  """

  folder: Path
  cell: str
  seed: int
  steps: int
  summary: dict[str, float]
  model_T: np.ndarray
  bound_T: np.ndarray


@dataclasses.dataclass(frozen=True)
class MeasuredLanguage:
  """A language: the bound of two kinds of model on the same words, and the runs trained on it.

  Attributes:
    causal_T: nats at each position given all words to the left.
    bidirectional_T: the same given all other words.
    example: a document.
  """

  language: Language
  causal_T: np.ndarray
  bidirectional_T: np.ndarray
  example: tuple[str, ...]
  runs: list[MeasuredRun] = dataclasses.field(default_factory=list)


def folders(directories: list[Path]) -> list[Path]:
  """The runs among some folders, and the finished runs of the sweeps among them.

  Raises:
    StateError: a folder is neither, or no run is finished.
  """
  found = []
  for directory in directories:
    manifest = directory / 'sweep.json'
    if manifest.is_file():
      names = [run['folder'] for run in sweep_runs.read_manifest(manifest)['runs']]
      found += [directory / name for name in names if (directory / name / 'result.json').is_file()]
    elif (directory / 'config.json').is_file():
      found.append(directory)
    else:
      raise StateError(f'{directory} holds no run and no sweep.')
  if not found:
    raise StateError(f'{", ".join(map(str, directories))}: no run is finished.')
  return found


def measure(folder: Path, documents: int, languages: dict[str, MeasuredLanguage]):
  """Adds a run to its language, which is added to `languages` if it is new there.

  Args:
    documents: how many held-out ones to measure on.

  Raises:
    ConfigError: the run is not on a synthetic language, or of a cell that has no bound here.
    StateError, WeightsError: the folder has no weights that can be read.
  """
  config = workdir.read_config(folder)
  name, cell = _language_and_cell(folder, config)
  if name not in languages:
    languages[name] = bounds_of(synthetic.open_language(name), documents)
  language = languages[name].language
  model = loading.load(folder)
  rate = 0.0 if cell.endswith('clm') else config.mlm.rate
  asked = bounds.ask(language, documents, rate)
  model_NxT = bounds.model_nats(
    model.network, model.params, model.need_tokenizer(), language, asked, cell
  )
  reading = bounds.Reading(model_NxT, bounds.bound(language, asked, cell))
  languages[name].runs.append(
    MeasuredRun(
      folder=folder,
      cell=cell,
      seed=config.seed,
      steps=config.steps,
      summary=bounds.summary(reading),
      model_T=bounds.by_position(reading.model_NxT),
      bound_T=bounds.by_position(reading.bound_NxT),
    )
  )


def _language_and_cell(folder: Path, config) -> tuple[str, str]:
  kind, _, name = config.data.corpus.partition(':')
  if kind != 'synthetic' or name not in synthetic.LANGUAGES:
    known = [f'synthetic:{one}' for one in synthetic.LANGUAGES]
    raise ConfigError(
      f'{folder} was trained on {config.data.corpus}; bounds are known for {", ".join(known)}.'
    )
  cell = '+'.join((config.mask, *sorted(config.objectives)))
  if cell not in bounds.CELLS:
    raise ConfigError(
      f'{folder} is a run of {cell}; bounds are known for {", ".join(bounds.CELLS)}.'
    )
  return name, cell


def bounds_of(language: Language, documents: int) -> MeasuredLanguage:
  """The two bounds of a language over so many documents, without runs.

  The causal bound is in closed form if the language has one.
  """
  word_NxT = bounds.ask(language, documents, 0.0).word_NxT
  bidirectional_T = _entropy(language, word_NxT, two_sided=True)
  causal_T = exact.left_only(language)
  if causal_T is None:
    causal_T = _entropy(language, word_NxT, two_sided=False)
  example = tuple(language.words[word] for word in word_NxT[0])
  return MeasuredLanguage(language, causal_T, bidirectional_T, example)


def _entropy(language: Language, word_NxT: np.ndarray, *, two_sided: bool) -> np.ndarray:
  """Mean entropy in nats of the exact posterior at each position."""
  shown_NxT = np.ones_like(word_NxT, bool)
  posterior = exact.posterior(language, word_NxT, shown_NxT, two_sided=two_sided)
  return exact.entropy(posterior).mean(axis=0)


def plain(measured: MeasuredLanguage) -> dict:
  """A language as JSON."""
  return dict(
    left=measured.causal_T.tolist(),
    both=measured.bidirectional_T.tolist(),
    runs=[_run_json(run) for run in measured.runs],
  )


def _run_json(run: MeasuredRun) -> dict:
  return dict(
    folder=str(run.folder),
    cell=run.cell,
    seed=run.seed,
    steps=run.steps,
    **run.summary,
    loss_by_position=run.model_T.tolist(),
    bound_by_position=run.bound_T.tolist(),
  )
