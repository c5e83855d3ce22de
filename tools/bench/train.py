"""Our side of training steps: a worker of tools.bench."""

from collections import Counter
from collections.abc import Callable
import importlib
import json
import math
from pathlib import Path
import sys
import time

import jax
import numpy as np

from data import pipeline
from data.corpora import sources
from models.config import ModelConfig
from objectives.corrupt import Masking
from objectives.mix import heads_of
from parallel import sharding
from runtime import allocator
from runtime.errors import DeviceError
from tools.bench.cases import CASES, STATED_PEAKS, Train
from tools.bench.worker import serve
from training import cost
from training.experiment import build_step

CACHE = Path.home() / '.cache' / 'onemask'


def config_of(name: str, corpus: str, changes: dict):
  """A config of configs/ with fields changed, for one micro-batch a step."""
  config = (
    importlib.import_module(f'configs.{name}').get_config().copy_and_resolve_references().unlock()
  )
  config.update(accumulate=1)
  config.data.update(corpus=corpus, cache=str(CACHE), short_length=0, short_share=0.0)
  config.update_from_flattened_dict(changes)
  return config


def train(case: Train, folder: Path, corpus: str) -> tuple[Callable[[], dict], dict]:
  """A round of steps, and facts: FLOPs, seconds of compiling. Leaves
  shapes and documents for the peer in folder.
  """
  config = config_of(
    case.config, corpus, case.changes | {'batch_size': case.rows, 'data.sequence_length': case.T}
  )
  config.objectives = {case.objective: 1.0}
  _check_device(case)
  allocator.disable_malloc_trim()
  mesh = sharding.make_mesh(config.mesh)
  jax.set_mesh(mesh)
  run = build_step(config, mesh)
  batches = _real_batches(case, config, folder, corpus) if case.corpus else [run.batch] * case.steps
  placed = [sharding.shard_batch(batch, mesh) for batch in batches]
  shapes = dict(
    model=config.model.to_dict(),
    V=config.model.vocab_size,
    P=Masking(**config.mlm).predictions(case.T),
  )
  (folder / 'shapes.json').write_text(json.dumps(shapes))
  started = time.perf_counter()
  step = run.step.lower(run.abstract, placed[0]).compile()
  compile_seconds = time.perf_counter() - started
  state = run.make()
  useful = sum(int((batch['segment'] > 0).sum()) for batch in batches)

  def steps(some: list) -> float:
    nonlocal state
    started = time.perf_counter()
    for batch in some:
      state, measured = step(state, batch)
    loss = float(measured['train/loss'])
    assert math.isfinite(loss), loss
    return time.perf_counter() - started

  def round_():
    steps(placed[:1])  # fetches the memory that went back to the system while the other side worked
    return dict(work=useful, tokens=case.rows * case.T * case.steps, seconds=steps(placed))

  flops = cost.flops_per_token(
    ModelConfig(**config.model), heads_of({case.objective}), case.T, shapes['P']
  )
  return round_, dict(
    flops=flops * case.rows * case.T * case.steps,
    compile_seconds=compile_seconds,
    stated_peak_flops=_stated_peak(),
    useful_share=useful / (case.rows * case.T * case.steps),
  )


def documents_of(corpus: str) -> list[str]:
  """All documents of a corpus, clean."""
  return list(sources.open_corpus(corpus, CACHE).documents(Counter(), Counter(), pipeline.silent))


def _check_device(case: Train):
  wanted = dict(cpu='cpu', cuda='gpu')[case.device]
  found = jax.devices()[0].platform
  if found != wanted:
    raise DeviceError(
      f'--suite=gpu needs a GPU: jax sees {found}. Install the extra cuda where there is one.'
      if wanted == 'gpu'
      else f'--suite=cpu is for CPUs: run it with JAX_PLATFORMS=cpu, not {found}.'
    )


def _stated_peak() -> float | None:
  kind = jax.devices()[0].device_kind
  return next((peak for part, peak in STATED_PEAKS.items() if part in kind), None)


def _real_batches(case: Train, config, folder: Path, corpus: str) -> list[dict[str, np.ndarray]]:
  """Packed batches of the corpus; leaves its documents, as token ids cut to T, for the peer."""
  prepared = pipeline.prepare(
    config.data, vocab_size=config.model.vocab_size, pairs=None, sequence_lengths=(case.T,)
  )
  batches = pipeline.batches(
    prepared, sequence_length=case.T, pairs=None, batch_size=case.rows, seed=0
  )
  tokenizer, texts = prepared.tokenizer, documents_of(corpus)
  chosen = [
    texts[index]
    for index in np.random.default_rng(0).permutation(len(texts))[: case.rows * case.steps]
  ]
  documents = [
    np.concatenate([[tokenizer.bos], tokens[: case.T - 2], [tokenizer.eos]])
    for tokens in tokenizer.encode(chosen)
  ]
  lengths = [len(document) for document in documents]
  np.savez(folder / 'documents.npz', token=np.concatenate(documents), length=lengths)
  return [batches[step] for step in range(case.steps)]


if __name__ == '__main__':
  serve(*train(CASES[sys.argv[2]], Path(sys.argv[3]), sys.argv[4]))
