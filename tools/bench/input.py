"""Reading batches and tokenising, and what they are measured against: workers of tools.bench."""

from collections.abc import Callable
import os
from pathlib import Path
import sys
import tempfile

import jax
from tokenizers import Tokenizer

from data import pipeline
from data.corpora import sources
from data.rows import documents
from parallel import sharding
from tools.bench.cases import CASES
from tools.bench.kinds import Feed, Tokenise
from tools.bench.train import CACHE, config_of, documents_of
from tools.bench.worker import serve
from training.bare_step import build_step

_BATCHES = 200  # read in a round
_TRAINED = 20  # steps of a round of the other side


def feed(case: Feed, side: str, corpus: str) -> Callable[[], dict]:
  """A function that reads a round of batches, or trains on them; both on one core.

  Its `work` is the tokens that are no padding.

  Args:
    side: 'ours' reads, the peer trains.
  """
  os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before jax counts the cores
  config = config_of(case.config, corpus, {})
  if case.kind == 'packed':
    config.objectives = dict(mlm=1.0)
  pairs = 'random' if case.kind == 'pairs' else None
  prepared = pipeline.prepare(
    config.data,
    vocab_size=config.model.vocab_size,
    pairs=pairs,
    sequence_lengths=(config.data.sequence_length,),
  )
  batches = pipeline.batches(
    prepared,
    sequence_length=config.data.sequence_length,
    pairs=pairs,
    batch_size=config.batch_size,
    seed=0,
  )
  return _reading(batches) if side == 'ours' else _training(config, batches)


def _useful_tokens(batch: dict) -> int:
  return int((batch['segment'] > 0).sum())


def _reading(batches) -> Callable[[], dict]:
  first = 0

  def read() -> dict:
    nonlocal first
    first += _BATCHES  # other batches in each round
    useful = [_useful_tokens(batches[first + index]) for index in range(_BATCHES)]
    return dict(work=sum(useful))

  return read


def _training(config, batches) -> Callable[[], dict]:
  mesh = sharding.make_mesh(config.mesh)
  jax.set_mesh(mesh)
  run = build_step(config, mesh)
  state = run.make()
  trained = [batches[index] for index in range(_TRAINED)]
  on_device = [sharding.shard_batch(batch, mesh) for batch in trained]

  def train() -> dict:
    nonlocal state
    for batch in on_device:
      state, metrics = run.step(state, batch)
    jax.block_until_ready(metrics)
    return dict(work=sum(map(_useful_tokens, trained)))

  return train


def tokenise(case: Tokenise, side: str, corpus: str) -> Callable[[], dict]:
  """A function that tokenises a whole corpus; its `work` is the tokens.

  Args:
    side: 'ours' writes records to disk, the peer calls `tokenizers` and nothing else.
  """
  config = config_of('bert_base', corpus, {})
  prepared = pipeline.prepare(
    config.data, vocab_size=config.model.vocab_size, pairs=None, sequence_lengths=(128,)
  )

  def ours() -> dict:
    with tempfile.TemporaryDirectory() as folder:
      counted = documents.tokenise(
        sources.open_corpus(corpus, CACHE), prepared.tokenizer, Path(folder), 0.05, pipeline.silent
      )
    return dict(work=sum(split['tokens'] for split in counted['splits'].values()))

  if side == 'ours':
    return ours
  texts = documents_of(corpus)
  raw = Tokenizer.from_str(prepared.tokenizer.plain_json())

  def theirs() -> dict:
    encodings = raw.encode_batch_fast(texts, add_special_tokens=False)
    return dict(work=sum(len(encoding.ids) for encoding in encodings))

  return theirs


if __name__ == '__main__':
  chosen = CASES[sys.argv[2]]
  prepare = feed if isinstance(chosen, Feed) else tokenise
  serve(prepare(chosen, sys.argv[1], sys.argv[4]), {})
