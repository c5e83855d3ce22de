"""Reading and tokenising, and what they are measured against:
both sides of these cases of tools.bench.
"""

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
from tools.bench.cases import CASES, Feed, Tokenise
from tools.bench.train import CACHE, config_of, documents_of
from tools.bench.worker import serve
from training.experiment import build_step

_BATCHES = 200
_TRAINED = 20


def feed(case: Feed, side: str, corpus: str) -> Callable[[], dict]:
  """A round of batches, or of training steps on the same ones; useful tokens, on one core."""
  os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before jax counts them
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
  first = 0

  def read():
    nonlocal first
    first += _BATCHES
    return dict(
      work=sum(int((batches[first + index]['segment'] > 0).sum()) for index in range(_BATCHES))
    )

  if side == 'ours':
    return read
  mesh = sharding.make_mesh(config.mesh)
  jax.set_mesh(mesh)
  run = build_step(config, mesh)
  state = run.make()
  trained = [batches[index] for index in range(_TRAINED)]
  placed = [sharding.shard_batch(batch, mesh) for batch in trained]

  def train():
    nonlocal state
    for batch in placed:
      state, measured = run.step(state, batch)
    jax.block_until_ready(measured)
    return dict(work=sum(int((batch['segment'] > 0).sum()) for batch in trained))

  return train


def tokenise(case: Tokenise, side: str, corpus: str) -> Callable[[], dict]:
  """A round over the whole corpus: to records on disk, or its
  documents through `tokenizers` and nothing else.
  """
  config = config_of('bert_base', corpus, {})
  prepared = pipeline.prepare(
    config.data, vocab_size=config.model.vocab_size, pairs=None, sequence_lengths=(128,)
  )

  def ours():
    with tempfile.TemporaryDirectory() as folder:
      counted = documents.tokenise(
        sources.open_corpus(corpus, CACHE), prepared.tokenizer, Path(folder), 0.05, pipeline.silent
      )
    return dict(work=sum(split['tokens'] for split in counted['splits'].values()))

  if side == 'ours':
    return ours
  texts = documents_of(corpus)
  raw = Tokenizer.from_str(prepared.tokenizer.plain_json())

  def theirs():
    return dict(
      work=sum(len(one.ids) for one in raw.encode_batch_fast(texts, add_special_tokens=False))
    )

  return theirs


if __name__ == '__main__':
  chosen = CASES[sys.argv[2]]
  serve((feed if isinstance(chosen, Feed) else tokenise)(chosen, sys.argv[1], sys.argv[4]), {})
