"""A corpus tokenised in shards, by any number of processes, into
the very records that one process would write.

A shard is a run of neighbouring documents, in a folder of its own that is complete or not there; so
what is finished stays when the rest is killed. Put together in their order, shards are the corpus:
neither their number nor who made them shows.
"""

from collections import Counter
from collections.abc import Sequence
import os
from pathlib import Path

import numpy as np

from data import cache
from data.corpora import sources
from data.errors import DataError
from data.rows import documents, records
from data.rows.documents import SPLITS, Counts
from data.tokens import tokenizer as tokenizer_lib


def plan(corpus: sources.Corpus, shards: int) -> list[tuple[int, int]]:
  """(first, last) of each shard: as many documents in one as in another."""
  count = corpus.count()
  edges = [count * index // shards for index in range(shards + 1)]
  return list(zip(edges, edges[1:]))


def job(
  corpus: sources.Corpus,
  tokenizer: tokenizer_lib.Tokenizer,
  root: Path,
  validation_share: float,
  shards: int,
  version: int,
) -> dict:
  """All that a process needs to know, as JSON; 'folder' is where the shards will be.

  Args:
    root: the cache, as in config.data.cache, on a disk that every process sees.
    version: `pipeline.VERSION`.
  """
  parts = plan(corpus, shards)
  key = cache.key(
    corpus=corpus.identity,
    tokenizer=tokenizer.sha256,
    share=validation_share,
    version=version,
    parts=parts,
  )
  return dict(
    corpus=corpus.name,
    identity=corpus.identity,
    cache=str(root),
    share=validation_share,
    parts=parts,
    tokenizer=tokenizer.plain_json(),
    folder=str(root / 'shards' / key),
  )


def folders(job: dict) -> list[Path]:
  return [Path(job['folder']) / f'{index:05d}' for index in range(len(job['parts']))]


def finished(job: dict) -> list[int]:
  """The shards that are complete."""
  return [index for index, folder in enumerate(folders(job)) if (folder / cache.MANIFEST).exists()]


def work(index: int, job: dict) -> int:
  """Makes one shard, unless it is there; returns its number.

  Raises:
    DataError: the corpus cannot be read, or is another one here.
  """
  # there are processes for every core already
  os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')
  corpus = sources.open_corpus(job['corpus'], Path(job['cache']))
  if corpus.identity != job['identity']:
    raise DataError(
      f'{job["corpus"]} holds other documents for this process than for the one that asked'
    )
  tokenizer = tokenizer_lib.from_json(job['tokenizer'], 'the tokenizer of this job')

  def make(folder: Path) -> dict:
    counts, sha256 = documents.tokenise_part(
      corpus, tokenizer, folder, job['share'], lambda *_: None, *job['parts'][index]
    )
    np.save(folder / 'frequency.npy', counts.frequency_V)
    (folder / 'hashes.bin').write_bytes(counts.hashes.tobytes())
    return dict(
      splits=counts.splits, replaced=counts.replaced, dropped=counts.dropped, sha256=sha256
    )

  cache.build(folders(job)[index], make)
  return index


def merge(job: dict, folder: Path, vocabulary: int, progress) -> dict:
  """Writes what `documents.tokenise` writes, and returns what it returns.

  Args:
    vocabulary: size of the tokenizer.
  """
  parts, dtype = folders(job), records.token_dtype(vocabulary)
  counts, sha256 = Counts(np.zeros(vocabulary, np.int64)), {}
  for part in parts:
    counts.add(_counts(part))
  for split in SPLITS:
    with records.Writer(folder / f'{split}.arrayrecord', dtype) as writer:
      for number, part in enumerate(parts, start=1):
        for record in records.Reader(part / f'{split}.arrayrecord', dtype).raw():
          writer.copy(record)
        progress(f'putting {split} together', number, len(parts))
    sha256[split] = writer.summary()['sha256']
  return counts.report(sha256)


def tokens(parts: Sequence[Path]) -> int:
  """How many tokens these shards hold."""
  return sum(
    cache.manifest(part)['splits'][split].get('tokens', 0) for part in parts for split in SPLITS
  )


def _counts(part: Path) -> Counts:
  said = cache.manifest(part)
  counts = Counts(
    np.load(part / 'frequency.npy'),
    {split: Counter(said['splits'][split]) for split in SPLITS},
    Counter(said['replaced']),
    Counter(said['dropped']),
  )
  counts.hashes.frombytes((part / 'hashes.bin').read_bytes())
  return counts
