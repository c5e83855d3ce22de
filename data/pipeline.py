"""From a corpus name to batches: `prepare` once, then `batches` of any split.

A batch is a flat dict of int32 arrays:
  token BxT; segment BxT (1, 2, ...: the document within a packed row; 1 for a sentence pair; 0 =
  padding); type BxT (1 in sentence B); label B (pairs only: 1 = B is random, or comes first); id B
  (row of the split; -1 = empty); epoch B (how often the row was read before).
"""

from collections import Counter
from collections.abc import Callable, Sequence
import dataclasses
import functools
from pathlib import Path

from data import cache, checks
from data.corpora import sources
from data.errors import DataError
from data.rows import documents, packed, records, windows
from data.rows import sentence_pairs as pairs_lib
from data.rows.batches import Batches
from data.tokens import tokenizer as tokenizer_lib
from data.tokens import vocabulary

VERSION = 1  # of everything that decides what a row holds: raise it and no old cache is used

_WRITE = dict(pairs=pairs_lib.chunk, running=windows.write, packed=packed.pack)

# what is being done, how much is done, out of how much
Progress = Callable[[str, int, int | None], None]


def silent(stage: str, done: int, total: int | None):
  del stage, done, total


@dataclasses.dataclass(frozen=True)
class Prepared:
  """Tokenised rows on disk, and all that is known about them.

  Attributes:
    report: what the corpus held (JSON).
    fingerprint: equal exactly when every batch would be.
    folders: where the rows of each sequence length are.
    running: rows are windows of one text.
  """

  tokenizer: tokenizer_lib.Tokenizer
  report: dict
  fingerprint: str
  folders: dict[int, Path]
  pairs: str | None
  running: bool
  short_pair_share: float


def prepare(
  data,
  *,
  vocab_size: int,
  sequence_lengths: tuple[int, ...],
  pairs: str | None,
  progress: Progress = silent,
  tokenise: Callable[..., dict] = documents.tokenise,
) -> Prepared:
  """Fetches, tokenises and cuts into rows whatever of it is not in the cache yet.

  Args:
    data: `config.data`.
    vocab_size: rows of the embedding; no id may reach it.
    sequence_lengths: T of every phase of the training.
    pairs: rows are sentence pairs, of which half are wrong in this way
      (`data.rows.sentence_pairs.WRONG`); None: packed documents, or with data.split='tail' windows
      of one text.
    tokenise: another way to the records of documents, as in tools/prepare.py.

  Raises:
    DataError: the corpus cannot be used as asked.
    OSError: it could not be fetched or written.
  """
  root = Path(data.cache).expanduser()
  corpus = sources.open_corpus(data.corpus, root)
  checks.check_request(corpus, sequence_lengths, bool(pairs), data)
  tokenizer = _tokenizer(data, corpus, vocab_size, root, progress)
  checks.check_vocabulary(tokenizer, vocab_size)

  parts = dict(
    corpus=corpus.identity,
    tokenizer=tokenizer.sha256,
    share=data.validation_share,
    split=data.split,
    version=VERSION,
  )
  if data.split == 'tail':
    tokenise = windows.tokenise
  tokens = root / 'tokens' / cache.key(**parts)
  counted = cache.build(
    tokens,
    lambda folder: tokenise(
      corpus, tokenizer, folder, data.validation_share, _stage(progress, 'tokenising')
    ),
  )
  checks.check_splits(counted, data)

  kind = 'pairs' if pairs else 'running' if data.split == 'tail' else 'packed'
  folders, cut = {}, {}
  for T in sorted(set(sequence_lengths)):
    folders[T] = root / 'rows' / cache.key(**parts, kind=kind, length=T)
    make = functools.partial(
      _write_rows, tokens=tokens, tokenizer=tokenizer, T=T, write=_WRITE[kind], progress=progress
    )
    cut[T] = cache.build(folders[T], make)
    checks.check_rows(cut[T], T, bool(pairs))
  return Prepared(
    tokenizer=tokenizer,
    report=_report(corpus.name, kind, counted, cut),
    fingerprint=cache.key(
      **parts, kind=pairs or kind, lengths=sorted(folders), short=data.short_pair_share
    ),
    folders=folders,
    pairs=pairs,
    running=kind == 'running',
    short_pair_share=data.short_pair_share,
  )


def batches(
  prepared: Prepared,
  *,
  split: str = 'train',
  sequence_length: int,
  pairs: str | None,
  batch_size: int,
  seed: int,
  local_rows: Sequence[int] | None = None,
) -> Batches:
  """Batches of one split by step: the training ones shuffled
  and without end, the validation ones in order.

  `batch_size` is the global one; `local_rows` are the rows of it that are read, all by default.
  """
  if pairs != prepared.pairs or sequence_length not in prepared.folders:
    kind = f'{prepared.pairs} pairs' if prepared.pairs else 'packed rows'
    raise ValueError(
      f'prepared were {kind} of {sorted(prepared.folders)} tokens, '
      f'not pairs={pairs}, sequence_length={sequence_length}'
    )
  path = prepared.folders[sequence_length] / f'{split}.arrayrecord'
  tokenizer = prepared.tokenizer
  if pairs:
    source = pairs_lib.Pairs(
      path, tokenizer, sequence_length, prepared.short_pair_share, seed, pairs
    )
  elif prepared.running:
    source = windows.ContiguousWindows(
      path, tokenizer, sequence_length, seed if split == 'train' else None
    )
  else:
    source = packed.Packed(path, tokenizer, sequence_length)
  return Batches(
    source,
    shuffled=split == 'train',
    batch_size=batch_size,
    seed=seed,
    vocabulary=tokenizer.size,
    local_rows=local_rows,
  )


def _tokenizer(
  data, corpus, vocab_size: int, root: Path, progress: Progress
) -> tokenizer_lib.Tokenizer:
  kind = data.tokenizer
  if kind not in ('wordpiece', 'bpe', 'words', 'characters'):
    return tokenizer_lib.load(kind, data.lowercase)
  parts = dict(
    corpus=corpus.identity,
    share=data.validation_share,
    split=data.split,
    kind=kind,
    size=vocab_size,
    version=VERSION,
  )
  if kind == 'wordpiece':
    parts['lowercase'] = data.lowercase

  def train(folder: Path) -> dict:
    # what is cleaned is counted when it is tokenised
    read = _stage(progress, 'reading for the vocabulary')
    if data.split == 'tail':
      texts = [windows.halves(corpus, data.validation_share, Counter(), read)[0]]
    else:
      texts = vocabulary.sample(
        text
        for text in corpus.documents(Counter(), Counter(), read)
        if documents.position(text) >= data.validation_share
      )
    if not texts:
      raise DataError(
        f'{corpus.name}: no document to train on, validation_share={data.validation_share} put '
        'aside; at least 2 are needed, and a blank line separates documents'
      )
    progress(f'training the {kind} vocabulary', 0, None)
    if kind == 'bpe':
      tokenizer = vocabulary.train_bpe(texts, vocab_size)
    elif kind == 'words':
      tokenizer = vocabulary.train_words(texts, vocab_size)
    elif kind == 'characters':
      tokenizer = vocabulary.train_characters(texts, vocab_size)
    else:
      tokenizer = vocabulary.train_wordpiece(texts, vocab_size, data.lowercase)
    tokenizer.save(folder / 'tokenizer.json')
    return {'size': tokenizer.size, 'sha256': tokenizer.sha256}

  folder = root / 'tokenizers' / cache.key(**parts)
  cache.build(folder, train)
  return tokenizer_lib.load(folder / 'tokenizer.json', data.lowercase)


def _write_rows(
  folder: Path, *, tokens: Path, tokenizer, T: int, write: Callable, progress: Progress
) -> dict:
  summary = {}
  for split in documents.SPLITS:
    name = f'{split}.arrayrecord'
    source = records.Reader(tokens / name, records.token_dtype(tokenizer.size))
    summary[split] = write(source, folder / name, tokenizer, T, progress)
  return summary


def _stage(progress: Progress, name: str) -> Progress:
  """Calls reading what it is done for; a download keeps its own name."""
  return lambda stage, done, total: progress(name if stage == 'reading' else stage, done, total)


def _report(name: str, kind: str, counted: dict, cut: dict[int, dict]) -> dict:
  """Everything a reader may ask about the corpus; `report.format_report` lays it out."""
  train, validation = (counted['splits'][split] for split in documents.SPLITS)
  total = {name: train[name] + validation[name] for name in train}
  return dict(
    corpus=name,
    **total,
    bytes_per_token=total['bytes'] / max(total['tokens'], 1),
    unknown_share=total['unknown'] / max(total['tokens'], 1),
    duplicates=counted['duplicates'],
    dropped=counted['dropped'],
    replaced=counted['replaced'],
    unigram_entropy=counted['unigram_entropy'],
    train=train,
    validation=validation | {'sha256': cut[max(cut)]['validation']['sha256']},
    kind=kind,
    rows={str(T): {split: cut[T][split] for split in documents.SPLITS} for T in cut},
  )
