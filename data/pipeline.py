"""From a corpus name to batches: `prepare` once, then `batches` of any split.

A batch is a flat dict of int32 arrays:

  token    BxT  token ids
  segment  BxT  number of the document within a packed row, from 1; 1 for a pair; 0 = padding
  type     BxT  1 in the second sentence of a pair, with its [SEP]
  label    B    pairs only: 1 = wrong (a random second sentence, or the two have changed places)
  id       B    row of the split; -1 = an empty row
  epoch    B    how often the row was read before
"""

from collections.abc import Callable, Sequence
import dataclasses
from pathlib import Path

import numpy as np

from data import cache, checks, mixed_report, stages
from data.corpora import mixing, sources
from data.rows import documents, mixture, packed, sentence_pairs, windows
from data.rows.batches import Batches
from data.stages import Progress, silent
from data.tokens.tokenizer import Tokenizer

VERSION = 1  # of everything that decides what a row holds: raise it and no old cache is used


@dataclasses.dataclass(frozen=True)
class Prepared:
  """Tokenised rows on disk, and all that is known about them.

  Attributes:
    report: what the corpus held (JSON).
    fingerprint: equal exactly when every batch would be.
    folders: where the rows of each sequence length are; of a mix its parts have them.
    pairs: how half of the sentence pairs are wrong; None: rows are no pairs.
    kind: of the rows, a key of `stages.WRITERS`.
    short_pair_share: share of the pairs that are cut to a random shorter length.
    tokens: where the tokens of the documents are; of a mix, those of its first corpus.
    parts: of a mix, the corpora by their labels.
    shares: of a mix, the share of the training rows of each length that each corpus has.
  """

  tokenizer: Tokenizer
  report: dict
  fingerprint: str
  folders: dict[int, Path]
  pairs: str | None
  kind: str
  short_pair_share: float
  tokens: Path
  parts: dict[str, 'Prepared'] = dataclasses.field(default_factory=dict)
  shares: dict[int, list[float]] = dataclasses.field(default_factory=dict)

  def count_tokens(self) -> np.ndarray:
    """How often the training documents have each token, V; counted once and kept beside them.

    Of a mix so many of each corpus as it is read, of as many tokens in all.
    """
    if not self.parts:
      return stages.token_counts(self.tokens, self.tokenizer)
    count_PxV = np.array([part.count_tokens() for part in self.parts.values()])
    share_P, total_P = np.array(self.shares[max(self.shares)]), count_PxV.sum(1)
    return share_P @ (count_PxV / total_P[:, None]) * total_P.sum()


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
      (`data.rows.sentence_pairs.WRONG`); None: other rows, as data.rows says, or with
      data.split='tail' windows of one text.
    tokenise: another way to the records of documents, as in tools/prepare.py.

  Raises:
    DataError: the corpus cannot be used as asked.
    OSError: it could not be fetched or written.
  """
  root = Path(data.cache).expanduser()
  mix = mixing.parts(data.corpus)
  corpora = [sources.open_corpus(part.corpus, root) for part in mix]
  corpora = corpora or [sources.open_corpus(data.corpus, root)]
  for corpus in corpora:
    checks.check_request(corpus, sequence_lengths, bool(pairs), data)
  splits = dict(share=data.validation_share, split=data.split, version=VERSION)
  shares, made_of = None, dict(corpus=corpora[0].identity)
  if mix:
    shares = lambda sizes: mixing.shares(mix, sizes, data.mix_exponent)
    weights = [part.weight for part in mix] if mix[0].weight else data.mix_exponent
    made_of = dict(corpus=[corpus.identity for corpus in corpora], weights=weights)
  tokenizer = stages.vocabulary(root, splits | made_of, corpora, data, vocab_size, progress, shares)
  checks.check_vocabulary(tokenizer, vocab_size)
  if data.split == 'tail':
    tokenise = windows.tokenise
  prepared = [
    _prepare_one(data, corpus, splits, tokenizer, sequence_lengths, pairs, progress, tokenise)
    for corpus in corpora
  ]
  return _mix(data, mix, prepared, progress) if mix else prepared[0]


def _prepare_one(
  data,
  corpus: sources.Corpus,
  splits: dict,
  tokenizer: Tokenizer,
  sequence_lengths: tuple[int, ...],
  pairs: str | None,
  progress: Progress,
  tokenise: Callable[..., dict],
) -> Prepared:
  """The records and rows of one corpus under a tokenizer.

  Args:
    splits: what else decides its training split.
  """
  root, kind = Path(data.cache).expanduser(), _kind(data, pairs)
  parts = splits | dict(corpus=corpus.identity, tokenizer=tokenizer.sha256)
  tokens = stages.tokens(root, parts, corpus, tokenizer, data.validation_share, tokenise, progress)
  checks.check_splits(tokens.manifest, corpus.name, data)

  rows = {}
  for T in sorted(set(sequence_lengths)):
    rows[T] = stages.rows(root, parts, tokens, tokenizer, kind, T, progress)
    checks.check_rows(rows[T].manifest, T, bool(pairs))

  fingerprint = cache.key(
    **parts,
    kind=pairs if kind == 'pairs' else ' '.join(filter(None, [kind, pairs])),
    lengths=list(rows),
    short=data.short_pair_share,
  )
  return Prepared(
    tokenizer=tokenizer,
    report=_report(corpus, tokenizer, kind, tokens.manifest, rows),
    fingerprint=fingerprint,
    folders={T: stage.folder for T, stage in rows.items()},
    pairs=pairs,
    kind=kind,
    short_pair_share=data.short_pair_share,
    tokens=tokens.folder,
  )


def _mix(data, mix: Sequence[mixing.Part], prepared: Sequence[Prepared], progress) -> Prepared:
  """Several corpora as one."""
  reports, lengths = [each.report for each in prepared], list(prepared[0].folders)
  shares = {}
  for T in lengths:
    rows = [report['rows'][str(T)]['train']['rows'] for report in reports]
    shares[T] = mixing.shares(mix, rows, data.mix_exponent)
  labels = [part.label for part in mix]
  mixed = dataclasses.replace(
    prepared[0], folders={}, parts=dict(zip(labels, prepared)), shares=shares
  )
  progress('counting the tokens of the mix', 0, None)
  entropy = documents.entropy(mixed.count_tokens())
  return dataclasses.replace(
    mixed,
    report=mixed_report.join(data.corpus, labels, reports, shares, entropy),
    fingerprint=cache.key(
      mix=[each.fingerprint for each in prepared], shares=list(shares.values())
    ),
  )


def _kind(data, pairs: str | None) -> str:
  """The key of `stages.WRITERS` that `config.data` means; the names of two are older than its."""
  if data.split == 'tail':
    return 'running'
  auto = 'segment_pairs' if pairs else 'packed'
  asked = auto if data.rows == 'auto' else data.rows
  return 'pairs' if asked == 'segment_pairs' else asked


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
  """Batches of one split by step: train is shuffled and without end, validation is in order.

  Args:
    batch_size: rows of the global batch.
    seed: of the order, and of what is drawn for a row.
    local_rows: the rows of the global batch that this process reads; all by default.

  Raises:
    ValueError: rows of this length, or such pairs, were not prepared.
  """
  lengths = prepared.shares or prepared.folders
  if pairs != prepared.pairs or sequence_length not in lengths:
    kind = f'{prepared.pairs} pairs' if prepared.pairs else 'packed rows'
    raise ValueError(
      f'prepared were {kind} of {sorted(lengths)} tokens, '
      f'not pairs={pairs}, sequence_length={sequence_length}'
    )
  order = None
  if prepared.parts:
    source, order = _open_mix(prepared, split, sequence_length, seed)
  else:
    source = _open_rows(prepared, split, sequence_length, seed)
  return Batches(
    source,
    order=order,
    shuffled=split == 'train',
    batch_size=batch_size,
    seed=seed,
    vocabulary=prepared.tokenizer.size,
    local_rows=local_rows,
  )


def _open_mix(
  prepared: Prepared, split: str, T: int, seed: int
) -> tuple[mixture.Mixed, mixture.MixedOrder | None]:
  """The rows of all parts, and their order where they are to train on."""
  train, parts = split == 'train', prepared.parts.values()
  seeds = [mixture.part_seed(seed, number) if train else seed for number in range(len(parts))]
  rows = [_open_rows(part, split, T, each) for part, each in zip(parts, seeds)]
  order = mixture.MixedOrder([*map(len, rows)], prepared.shares[T], seed) if train else None
  return mixture.Mixed(rows, order), order


def _open_rows(
  prepared: Prepared, split: str, T: int, seed: int
) -> sentence_pairs.Pairs | windows.ContiguousWindows | packed.Packed:
  path = prepared.folders[T] / f'{split}.arrayrecord'
  tokenizer = prepared.tokenizer
  if prepared.pairs:
    single = prepared.kind == 'sentence_pairs'
    short = prepared.short_pair_share
    return sentence_pairs.Pairs(path, tokenizer, T, short, seed, prepared.pairs, single)
  if prepared.kind == 'running':
    return windows.ContiguousWindows(path, tokenizer, T, seed if split == 'train' else None)
  return packed.Packed(path, tokenizer, T)


def _report(
  corpus: sources.Corpus,
  tokenizer: Tokenizer,
  kind: str,
  counted: dict,
  rows: dict[int, stages.Stage],
) -> dict:
  """Everything a reader may ask about the corpus; `report.format_report` lays it out."""
  train, validation = (counted['splits'][split] for split in documents.SPLITS)
  total = {quantity: train[quantity] + validation[quantity] for quantity in train}
  tokens = max(total['tokens'], 1)
  by_length = {
    str(T): dict(train=stage.manifest['train'], validation=stage.manifest['validation'])
    for T, stage in rows.items()
  }
  longest = by_length[str(max(rows))]
  return dict(
    corpus=corpus.name,
    **total,
    bytes_per_token=total['bytes'] / tokens,
    unknown_share=total['unknown'] / tokens,
    duplicates=counted['duplicates'],
    dropped=counted['dropped'],
    replaced=counted['replaced'],
    left_out=corpus.left_out,
    unigram_entropy=counted['unigram_entropy'],
    train=train,
    validation=validation | dict(sha256=longest['validation']['sha256']),
    normalised=tokenizer.normalised,
    kind=kind,
    rows=by_length,
  )
