"""What a corpus must have before a step is worth taking, and what to change where it has not.

All of these return nothing, or raise DataError with the setting that would help. `data` is
`config.data`.
"""

from data import stages
from data.corpora import sources
from data.corpora.sources import Corpus
from data.errors import DataError
from data.groups import files as groups
from data.rows.documents import SPLITS
from data.tasks import own_files
from data.tokens import extension, reading
from data.tokens.tokenizer import Tokenizer

LEAST_LENGTH = {False: 2, True: 5}  # one framed token; [CLS] a [SEP] b [SEP]


def check_inputs(data):
  """Checks that the corpus and the tokenizer are there, and reads neither: before slow work."""
  if data.groups:
    own_files.find('groups', data.groups, tuple(groups.KINDS))
  else:
    sources.check_name(data.corpus)
  if asked := extension.parse(data.tokenizer):
    reading.check_path(asked.path)
  elif data.tokenizer not in stages.TRAINERS:
    reading.check_path(data.tokenizer)


def check_request(corpus: Corpus, sequence_lengths: tuple[int, ...], pairs: bool, data):
  """Checks what is known before the corpus is read: shares, lengths, and a corpus fit for pairs."""
  if not 0 < data.validation_share < 1:
    raise DataError(f'data.validation_share={data.validation_share} must lie between 0 and 1')
  if data.split == 'tail' and data.corpus.startswith('mix:'):
    raise DataError(
      'data.split=tail makes one text of the corpus, and a mix has several: use data.split=hash'
    )
  if pairs and data.split == 'tail':
    raise DataError(
      'data.split=tail makes one text of the corpus: it has no documents to draw sentence pairs '
      'from. Use data.split=hash, or leave nsp and sop out of the objectives'
    )
  if min(sequence_lengths) < LEAST_LENGTH[pairs]:
    raise DataError(
      f'data.sequence_length={min(sequence_lengths)} is too short, '
      f'the least is {LEAST_LENGTH[pairs]}'
    )
  if pairs and corpus.sentences_shuffled:
    raise DataError(
      f'{corpus.name} is shuffled by sentence: it has no next sentence to predict. '
      'Use another data.corpus, or leave nsp out of the objectives'
    )


def check_vocabulary(tokenizer: Tokenizer, vocab_size: int):
  """Checks that the embedding has a row for every id of the tokenizer."""
  if tokenizer.size > vocab_size:
    raise DataError(
      f'the tokenizer has ids up to {tokenizer.size - 1:,}, the embedding {vocab_size:,} rows: set '
      f'model.vocab_size to at least {tokenizer.size:,}'
    )


def check_splits(counted: dict, corpus: str, data):
  """Checks that both splits have text, and that the tokenizer can read it.

  Args:
    counted: `documents.Counts.report`.
    corpus: its name.
  """
  train, validation = (counted['splits'][split] for split in SPLITS)
  documents = train['documents'] + validation['documents']
  where = _corpus_with_counts(corpus, documents, counted['dropped'])
  if data.split == 'tail':
    if min(train['tokens'], validation['tokens']) < 2:
      raise DataError(
        f'{where}: too short for data.split=tail, which puts aside the last '
        f'data.validation_share={data.validation_share} of the text'
      )
  elif documents < 2:
    raise DataError(
      f'{where}; at least 2 are needed, one for training and one for validation. '
      'A blank line separates documents'
    )
  elif not validation['documents']:
    raise DataError(
      f'{where}, none of them for validation at data.validation_share={data.validation_share}; the '
      f'smallest share that gives one is {counted["lowest_position"] + 5e-5:.4f}'
    )
  elif not train['documents']:
    raise DataError(
      f'{where}, all of them for validation: lower data.validation_share={data.validation_share}'
    )
  _check_unknown(where, train, validation, data)


def _corpus_with_counts(corpus: str, documents: int, dropped: dict[str, int]) -> str:
  text = f'{corpus}: {documents:,} document{"s" if documents > 1 else ""} with text'
  if dropped:
    reasons = [f'{count:,} dropped: {reason}' for reason, count in dropped.items()]
    text += f' ({", ".join(reasons)})'
  return text


def _check_unknown(where: str, train: dict, validation: dict, data):
  tokens = train['tokens'] + validation['tokens']
  unknown = (train['unknown'] + validation['unknown']) / tokens
  if unknown > data.max_unknown_share:
    raise DataError(
      f'{where}; {unknown:.1%} of their {tokens:,} tokens are unknown to the tokenizer, more than '
      f'data.max_unknown_share={data.max_unknown_share:.0%}. Train one on this corpus '
      '(data.tokenizer=wordpiece), use data.tokenizer=bpe, which knows every byte, or raise the '
      'limit'
    )


def check_rows(cut: dict, T: int, pairs: bool):
  """Checks that there are rows of T tokens to train on and, for pairs, to validate with.

  Args:
    cut: what was written, a split (`stages.rows`).
  """
  for split in SPLITS:
    rows = cut[split]
    if pairs and rows['documents'] < 2:
      raise DataError(
        f'the {split} split has one document, and a random next sentence must come from another '
        'one. Separate documents with a blank line, or raise data.validation_share'
      )
    if pairs and not rows['rows']:
      raise DataError(
        f'the {split} split has {rows["documents"]:,} documents, all of one sentence: there is no '
        'next sentence to predict. Put a blank line between documents only, not after every '
        'sentence:\n'
        '  First sentence of one document.\n  Its second sentence.\n\n  First sentence of another '
        'document.'
      )
  if not pairs and cut['train']['tokens'] < T:
    raise DataError(
      f'the training split has {cut["train"]["tokens"]:,} tokens, less than one row of {T}: set '
      f'data.sequence_length to at most {cut["train"]["tokens"]}, or use more text'
    )
