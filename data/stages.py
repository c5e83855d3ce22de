"""The three cached stages of preparing a corpus: its vocabulary, its tokens, its rows.

Each stage is a folder under the cache, named by a hash of everything that it depends on (`parts`),
complete or absent (data/cache.py). A stage that is there is not made again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import cache
from data.corpora.sources import Corpus
from data.errors import DataError
from data.rows import documents, packed, records, sentence_pairs, whole_sentences, windows
from data.tokens import extension, pretrained, reading
from data.tokens import tokenizer as tokenizer_lib
from data.tokens import vocabulary as vocabulary_lib

# what is being done, how much is done, out of how much
Progress = Callable[[str, int, int | None], None]

# data.tokenizer: train(texts, size, ...); any other name is the path of a tokenizer
TRAINERS = dict(
  wordpiece=vocabulary_lib.train_wordpiece,
  bpe=vocabulary_lib.train_bpe,
  roberta_bpe=vocabulary_lib.train_roberta_bpe,
  unigram=vocabulary_lib.train_unigram,
  words=vocabulary_lib.train_words,
  characters=vocabulary_lib.train_characters,
)
# of these, the ones that lower-case where config.data.lowercase says so
LOWERCASED = ('wordpiece', 'unigram')
# kind of rows: write(documents, path, tokenizer, T, progress) -> summary; the names are on disk
WRITERS = dict(
  pairs=sentence_pairs.chunk,
  sentence_pairs=sentence_pairs.chunk_neighbours,
  running=windows.write,
  packed=packed.pack,
  full_sentences=whole_sentences.write_full,
  doc_sentences=whole_sentences.write_of_documents,
)


def silent(stage: str, done: int, total: int | None):
  """A `Progress` that says nothing."""
  del stage, done, total


class Stage(NamedTuple):
  """A complete folder of the cache, and what its maker noted about it."""

  folder: Path
  manifest: dict


def vocabulary(
  root: Path,
  parts: dict,
  corpora: Sequence[Corpus],
  data,
  size: int,
  progress: Progress,
  shares: Callable[[list[int]], list[float]] | None = None,
) -> tokenizer_lib.Tokenizer:
  """The tokenizer of `data.tokenizer`: loaded from that path, or trained on the training split.

  Args:
    root: the cache.
    parts: what the training split depends on.
    data: `config.data`.
    size: the largest number of entries.
    shares: of a mix, from the bytes of its corpora (`vocabulary.sample_mixed`); None: one corpus.

  Raises:
    DataError: no such file, no document to train on, or `size` is too small for the corpus.
  """
  kind = data.tokenizer
  asked = extension.parse(kind)
  if kind not in TRAINERS and not asked:
    return pretrained.load(kind, data.lowercase)
  options = dict(lowercase=data.lowercase) if kind in LOWERCASED else {}
  if asked:
    old = pretrained.load(asked.path, data.lowercase)
    extension.check_extendable(old, asked.path)
    kind, size, options = 'extend', asked.count, dict(old=old.sha256)
  if shares and kind == 'wordpiece':
    options['alphabet'] = vocabulary_lib.mixed_alphabet(len(corpora), size)

  def make(folder: Path) -> dict:
    texts = _training_texts(corpora, shares, data, progress)
    progress(f'training the {kind} vocabulary', 0, None)
    if asked:
      tokenizer = extension.extend(old, texts, size)
    else:
      tokenizer = TRAINERS[kind](texts, size, **options)
    tokenizer.save(folder / 'tokenizer.json')
    return dict(size=tokenizer.size, sha256=tokenizer.sha256)

  folder = root / 'tokenizers' / cache.key(**parts, kind=kind, size=size, **options)
  cache.build(folder, make)
  return reading.load(folder / 'tokenizer.json', data.lowercase)


def _training_texts(corpora: Sequence[Corpus], shares, data, progress: Progress) -> list[str]:
  """Texts of the training split, at most `vocabulary.SAMPLE_BYTES` of them where it has documents.

  What cleaning replaces is not counted here, but when the corpus is tokenised.
  """
  read = _rename_reading(progress, 'reading for the vocabulary')
  if data.split == 'tail':
    train_text, _ = windows.halves(corpora[0], data.validation_share, Counter(), read)
    return [train_text]

  def training(corpus: Corpus) -> Iterator[str]:
    texts = corpus.documents(Counter(), Counter(), read)
    return (text for text in texts if documents.position(text) >= data.validation_share)

  if shares:
    chosen = vocabulary_lib.sample_mixed(map(training, corpora), shares)
  else:
    chosen = vocabulary_lib.sample(training(corpora[0]))
  if not chosen:
    names = ' '.join(corpus.name for corpus in corpora)
    raise DataError(
      f'{names}: no document to train on, validation_share={data.validation_share} put '
      'aside; at least 2 are needed, and a blank line separates documents'
    )
  return chosen


def tokens(
  root: Path,
  parts: dict,
  corpus: Corpus,
  tokenizer: tokenizer_lib.Tokenizer,
  validation_share: float,
  tokenise: Callable[..., dict],
  progress: Progress,
) -> Stage:
  """The documents of both splits as token records; its manifest is `documents.Counts.report`.

  Args:
    tokenise: `documents.tokenise`, or one with the same arguments and result.
  """
  read = _rename_reading(progress, 'tokenising')
  folder = root / 'tokens' / cache.key(**parts, counted=documents.COUNTED)
  make = lambda empty: tokenise(corpus, tokenizer, empty, validation_share, read)
  return Stage(folder, cache.build(folder, make))


def token_counts(folder: Path, tokenizer: tokenizer_lib.Tokenizer) -> np.ndarray:
  """How often each token is in the training documents, V; counted once and kept.

  Args:
    folder: of `tokens`.
  """

  def make(empty: Path) -> dict:
    count_V = np.zeros(tokenizer.size, np.int64)
    path = folder / 'train.arrayrecord'
    for _, token_N in records.Reader(path, records.token_dtype(tokenizer.size)):
      count_V += np.bincount(token_N, minlength=tokenizer.size)
    return dict(counts=count_V.tolist())

  counted = cache.build(folder.with_name(f'{folder.name}-counts'), make)
  return np.array(counted['counts'])


def rows(
  root: Path,
  parts: dict,
  tokens: Stage,
  tokenizer: tokenizer_lib.Tokenizer,
  kind: str,
  T: int,
  progress: Progress,
) -> Stage:
  """The rows of T tokens of both splits; its manifest has the writer's summary of each split.

  Args:
    kind: a key of WRITERS.
  """
  write = WRITERS[kind]

  def make(empty: Path) -> dict:
    summary = {}
    for split in documents.SPLITS:
      name = f'{split}.arrayrecord'
      source = records.Reader(tokens.folder / name, records.token_dtype(tokenizer.size))
      summary[split] = write(source, empty / name, tokenizer, T, progress)
    return summary

  made_of = tokens.manifest['sha256']  # of the records
  folder = root / 'rows' / cache.key(**parts, kind=kind, length=T, records=made_of)
  return Stage(folder, cache.build(folder, make))


def _rename_reading(progress: Progress, name: str) -> Progress:
  """Says what the corpus is read for; a download keeps its own name."""
  return lambda stage, done, total: progress(name if stage == 'reading' else stage, done, total)
