"""A corpus tokenised in shards by any number of processes, into the records that one would write.

A shard is a run of neighbouring documents, in a folder of its own that is complete or absent; so
what is finished stays when the rest is killed. Put together in their order, shards are the corpus:
the result does not depend on their number, nor on which process made which.
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
from data.tokens import reading
from data.tokens import tokenizer as tokenizer_lib


def plan(corpus: sources.Corpus, shards: int) -> list[tuple[int, int]]:
  """(first, last) document of each shard, `last` not included; sizes differ by at most one."""
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
  """All that a process needs to know to make a shard, as JSON.

  Args:
    root: the cache, as in config.data.cache, on a disk that every process sees.
    version: `pipeline.VERSION`.

  Returns:
    A dict; 'folder' is where the shards will be.
  """
  parts = plan(corpus, shards)
  key = cache.key(
    corpus=corpus.identity,
    tokenizer=tokenizer.sha256,
    share=validation_share,
    version=version,
    counted=documents.COUNTED,
    parts=parts,
  )
  return dict(
    corpus=corpus.name,
    identity=corpus.identity,
    cache=str(root),
    share=validation_share,
    parts=parts,
    tokenizer=tokenizer.plain_json(),
    names=tokenizer.names,
    folder=str(root / 'shards' / key),
  )


def folders(job: dict) -> list[Path]:
  """The folder of each shard, whether it is there or not."""
  return [Path(job['folder']) / f'{index:05d}' for index in range(len(job['parts']))]


def finished(job: dict) -> list[int]:
  """Numbers of the shards that are complete."""
  there = [(folder / cache.MANIFEST).exists() for folder in folders(job)]
  return [index for index, complete in enumerate(there) if complete]


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
  tokenizer = reading.from_json(job['tokenizer'], 'the tokenizer of this job', job['names'])

  def make(folder: Path) -> dict:
    counts, sha256 = documents.tokenise_part(
      corpus, tokenizer, folder, job['share'], lambda *_: None, *job['parts'][index]
    )
    np.save(folder / 'frequency.npy', counts.frequency_V)
    (folder / 'hashes.bin').write_bytes(counts.hashes.tobytes())
    return dict(
      splits=counts.splits,
      replaced=counts.replaced,
      dropped=counts.dropped,
      lost_bytes=counts.lost_bytes,
      sha256=sha256,
    )

  cache.build(folders(job)[index], make)
  return index


def merge(job: dict, folder: Path, vocabulary: int, progress) -> dict:
  """Joins finished shards: writes what `documents.tokenise` writes, and returns what it returns.

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
  """How many tokens these finished shards hold."""
  total = 0
  for part in parts:
    splits = cache.manifest(part)['splits']
    total += sum(splits[split].get('tokens', 0) for split in SPLITS)
  return total


def _counts(part: Path) -> Counts:
  """What was counted in a finished shard."""
  noted = cache.manifest(part)
  counts = Counts(
    frequency_V=np.load(part / 'frequency.npy'),
    splits={split: Counter(noted['splits'][split]) for split in SPLITS},
    replaced=Counter(noted['replaced']),
    dropped=Counter(noted['dropped']),
    lost_bytes=noted['lost_bytes'],
  )
  counts.hashes.frombytes((part / 'hashes.bin').read_bytes())
  return counts
