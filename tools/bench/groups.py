"""Our side of training on pairs of sentences: a worker of tools.bench."""

from collections.abc import Callable
import json
import math
from pathlib import Path
import sys

import jax
import numpy as np

from configs.embed import contrast
from configs.schema import grid
from data import pipeline
from data.corpora import sentences
from data.errors import DataError
from inference.model import Model
from interop.export import export
from models.config import ModelConfig
from models.network import make_network, make_params
from parallel import sharding
from runtime import allocator
from tools.bench.cases import CASES
from tools.bench.kinds import Groups
from tools.bench.train import config_of, documents_of
from tools.bench.worker import serve
from training import adopt
from training.experiment import build_experiment, make_run_state
from training.step import jit_step

_FILE = 'train.jsonl'
_CLASSES = ('contradiction', 'entailment', 'neutral')


def groups(case: Groups, folder: Path, corpus: str, rows: int) -> Callable[[], dict]:
  """Leaves pairs and weights for the peer in `folder`.

  Args:
    rows: of a batch.

  Returns:
    A function that does a round of steps, from the numbers of the rows to the new parameters.
  """
  allocator.disable_malloc_trim()
  folder = folder / str(rows)
  folder.mkdir()
  export(_random(case, corpus), folder, folder / 'weights')
  _leave(_pairs(corpus, rows * case.steps), case.objective, folder)
  config = _config(case, folder, rows)
  mesh = sharding.make_mesh(config.mesh)
  jax.set_mesh(mesh)
  experiment = build_experiment(config)
  _, make, tx, schedule = make_run_state(config, experiment.network, mesh)
  [stage] = grid.stages(config)
  step = jit_step(experiment.train_step(stage, tx, schedule, accumulate=config.accumulate), mesh)
  state, batches = make(), experiment.batches(config.data.sequence_length)

  def round_():
    nonlocal state
    for index in range(case.steps):
      state, metrics = step(state, sharding.shard_batch(batches[index], mesh))
    assert math.isfinite(float(metrics['train/loss']))  # waits for the steps
    return dict(work=rows * case.steps)

  return round_


def _random(case: Groups, corpus: str) -> Model:
  """A model of the case's shape, and a tokenizer of the corpus."""
  config = config_of(case.config, corpus, case.changes)
  tokenizer = pipeline.prepare(
    config.data, vocab_size=config.model.vocab_size, pairs=None, sequence_lengths=(128,)
  ).tokenizer
  shape = ModelConfig(**config.model.to_dict() | dict(vocab_size=tokenizer.size))
  network = make_network(shape, mask='bidirectional', packed=False, heads=('pool',))
  params = jax.jit(lambda key: make_params(network, key))(jax.random.key(0))
  return Model(shape, 'bidirectional', ('pool',), network, params, tokenizer, True, 'random')


def _pairs(corpus: str, count: int) -> list[tuple[str, str]]:
  """So many documents by their first two sentences; no sentence is in two of them."""
  found, seen = [], set()
  for text in documents_of(corpus):
    pair = [sentence.strip() for sentence in sentences.split(text)[:2]]
    if len(pair) == 2 and all(pair) and len(set(pair) - seen) == 2:
      found.append(tuple(pair))
      seen.update(pair)
  if len(found) < count:
    raise DataError(f'{corpus} has {len(found):,} documents of two sentences; {count:,} are needed')
  order = np.random.default_rng(0).permutation(len(found))
  return [found[index] for index in order[:count]]


def _leave(pairs: list[tuple[str, str]], objective: str, folder: Path):
  """Writes the pairs with what the objective reads of each; what it says does not matter."""
  names = ('anchor', 'positive') if objective == 'contrast' else ('sentence1', 'sentence2')
  lines = []
  for number, pair in enumerate(pairs):
    label = dict(nli=dict(label=_CLASSES[number % 3]), cosent=dict(score=number % 6))
    lines.append(json.dumps(dict(zip(names, pair)) | label.get(objective, {})) + '\n')
  (folder / _FILE).write_text(''.join(lines))
  (folder / 'validation.jsonl').write_text(''.join(lines[:3]))


def _config(case: Groups, folder: Path, rows: int):
  """The config of the run, with the network of the weights in `folder`."""
  config = contrast.get_config()
  with config.unlocked():
    config.objectives = {case.objective: 1.0}
  config.update(batch_size=rows, accumulate=rows // case.micro, init_from=str(folder / 'weights'))
  files = f'train={folder / _FILE},validation={folder / "validation.jsonl"}'
  config.data.update(groups=files, sequence_length=case.T)
  config.model.scan = False
  return adopt.settle(config)


if __name__ == '__main__':
  chosen = CASES[sys.argv[2]]
  of_batch = chosen.rows if sys.argv[1] == 'ours' else chosen.micro
  serve(groups(chosen, Path(sys.argv[3]), sys.argv[4], of_batch), {})
