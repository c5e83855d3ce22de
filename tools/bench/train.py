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
from tools.bench.cases import CASES, STATED_PEAKS
from tools.bench.kinds import Train
from tools.bench.worker import serve
from training import cost
from training.bare_step import build_step

CACHE = Path.home() / '.cache' / 'onemask'


def config_of(name: str, corpus: str, changes: dict):
  """A config of configs/ with fields changed, one micro-batch a step, all rows of one length."""
  config = importlib.import_module(f'configs.{name}').get_config()
  config = config.copy_and_resolve_references().unlock()
  config.update(accumulate=1)
  config.data.update(corpus=corpus, cache=str(CACHE), short_length=0, short_share=0.0)
  config.update_from_flattened_dict(changes)
  return config


def train(case: Train, folder: Path, corpus: str) -> tuple[Callable[[], dict], dict]:
  """Compiles the step and leaves shapes and documents for the peer in `folder`.

  Returns:
    A function that does a round of steps, and facts: FLOPs of a round, seconds of the compilation,
    the peak of the device as its maker states it, the share of tokens that are no padding.
  """
  shape = {'batch_size': case.rows, 'data.sequence_length': case.T}
  config = config_of(case.config, corpus, case.changes | shape)
  config.objectives = {case.objective: 1.0}
  _check_device(case)
  allocator.disable_malloc_trim()
  mesh = sharding.make_mesh(config.mesh)
  jax.set_mesh(mesh)
  run = build_step(config, mesh)
  batches = _real_batches(case, config, folder, corpus) if case.corpus else [run.batch] * case.steps
  on_device = [sharding.shard_batch(batch, mesh) for batch in batches]
  shapes = dict(
    model=config.model.to_dict(),
    V=config.model.vocab_size,
    P=Masking(**config.mlm).predictions(case.T),
  )
  (folder / 'shapes.json').write_text(json.dumps(shapes))
  started = time.perf_counter()
  step = run.step.lower(run.abstract, on_device[0]).compile()
  compile_seconds = time.perf_counter() - started
  state = run.make()
  useful = sum(int((batch['segment'] > 0).sum()) for batch in batches)
  tokens = case.rows * case.T * case.steps

  def steps(some: list) -> float:
    nonlocal state
    started = time.perf_counter()
    for batch in some:
      state, metrics = step(state, batch)
    loss = float(metrics['train/loss'])  # waits for the steps
    assert math.isfinite(loss), loss
    return time.perf_counter() - started

  def round_():
    # Gets back the memory that went to the system while the other side worked.
    steps(on_device[:1])
    return dict(work=useful, tokens=tokens, seconds=steps(on_device))

  flops = cost.flops_per_token(
    ModelConfig(**config.model), heads_of({case.objective}), case.T, shapes['P']
  )
  return round_, dict(
    flops=flops * tokens,
    compile_seconds=compile_seconds,
    stated_peak_flops=_stated_peak(),
    useful_share=useful / tokens,
  )


def documents_of(corpus: str) -> list[str]:
  """All documents of a corpus, cleaned."""
  return list(sources.open_corpus(corpus, CACHE).documents(Counter(), Counter(), pipeline.silent))


def _check_device(case: Train):
  """Raises DeviceError unless jax computes on the case's device."""
  wanted = dict(cpu='cpu', cuda='gpu')[case.device]
  found = jax.devices()[0].platform
  if found == wanted:
    return
  if wanted == 'gpu':
    raise DeviceError(
      f'--suite=gpu needs a GPU: jax sees {found}. Install the extra cuda where there is one.'
    )
  raise DeviceError(f'--suite=cpu is for CPUs: run it with JAX_PLATFORMS=cpu, not {found}.')


def _stated_peak() -> float | None:
  """FLOP/s that the maker of the device states; None if they are not known here."""
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
  order = np.random.default_rng(0).permutation(len(texts))
  chosen = [texts[index] for index in order[: case.rows * case.steps]]
  documents = [
    np.concatenate([[tokenizer.bos], tokens[: case.T - 2], [tokenizer.eos]])
    for tokens in tokenizer.encode(chosen)
  ]
  lengths = [len(document) for document in documents]
  np.savez(folder / 'documents.npz', token=np.concatenate(documents), length=lengths)
  return [batches[step] for step in range(case.steps)]


if __name__ == '__main__':
  serve(*train(CASES[sys.argv[2]], Path(sys.argv[3]), sys.argv[4]))
