"""Text sets of TensorFlow Datasets, read as ArrayRecord: no TensorFlow is imported."""

from collections.abc import Callable, Iterator

import tensorflow_datasets as tfds

from data.corpora import tfds_needs
from data.errors import DataError

TEXT_FEATURES = ('text', 'book_text')


def open_builders(names: tuple[str, ...]) -> tuple[str, Callable[..., Iterator[str]], int]:
  """Opens the training splits of these sets, read one after another.

  Returns:
    (identity, read, number of documents), as `sources.Corpus` has them.

  Raises:
    DataError: a set cannot be prepared here, or has no training split.
  """
  builders = [_prepared(name) for name in names]
  identity = ' '.join(map(_identity, builders))
  total = sum(builder.info.splits['train'].num_examples for builder in builders)

  def read(_, progress, first: int, last: int | None) -> Iterator[str]:
    last = total if last is None else min(last, total)
    before, done = 0, first
    for builder in builders:
      feature = _text_feature(builder)
      source = builder.as_data_source('train')
      begin, end = max(first - before, 0), min(last - before, len(source))  # of this set
      before += len(source)
      for start in range(begin, end, 64):
        for example in source.__getitems__(range(start, min(start + 64, end))):
          done += 1
          text = example[feature]
          # Text features come out as bytes; invalid ones are counted when the document is cleaned.
          yield text.decode('utf-8', 'surrogateescape') if isinstance(text, bytes) else str(text)
        progress('reading', done, total)

  return identity, read, total


def _identity(builder) -> str:
  train = builder.info.splits['train']
  return f'{builder.info.full_name} {train.num_examples} {train.num_bytes}'


def _prepared(name: str):
  try:
    builder = tfds.builder(name, file_format='array_record')
    builder.download_and_prepare()
  except Exception as error:  # TFDS raises any: no network, no Beam, no disk, an unknown name
    raise tfds_needs.missing(name, error, 'use another data.corpus') from error
  if 'train' not in builder.info.splits:
    raise DataError(f'tfds:{name} has no split named train, but {", ".join(builder.info.splits)}')
  return builder


def _text_feature(builder) -> str:
  """The feature that holds the documents: of a known name, or the only one of text."""
  features = builder.info.features
  texts = [name for name, feature in features.items() if isinstance(feature, tfds.features.Text)]
  for name in TEXT_FEATURES:
    if name in texts:
      return name
  if len(texts) != 1:
    raise DataError(
      f'tfds:{builder.name} has no feature named "text"; its text features are: {texts}'
    )
  return texts[0]
