"""Retrieval in the layout of BEIR (Thakur et al. 2021): a corpus, queries, and judgements.

corpus.jsonl has objects with _id, title (may be missing) and text, queries.jsonl with _id and text,
and qrels/test.tsv, under the header query-id, corpus-id, score, a judgement a line.
"""

from collections.abc import Iterator
from pathlib import Path

from data import compressed
from data.errors import DataError
from data.lines import arriving
from data.tasks import tables
from data.tasks.files import packed, table

CORPUS, QUERIES, JUDGEMENTS = 'corpus.jsonl', 'queries.jsonl', 'qrels/test.tsv'
_HEADER = ('query-id', 'corpus-id', 'score')


def documents(folder: Path) -> Iterator[tuple[str, str]]:
  """(id, title and text) of each document, in the order of the file; a text may be empty.

  Raises:
    DataError: with file and line.
  """
  for id_, record, where in _records(packed(folder / CORPUS)):
    title, text = record.get('title'), record.get('text')
    if not isinstance(text, str) or not isinstance(title, str | None):
      raise DataError(f'{where}: title and text must be texts, and are {title!r:.40}, {text!r:.40}')
    yield id_, f'{title} {text}'.strip() if title else text


def queries(folder: Path) -> dict[str, str]:
  """{id: query}.

  Raises:
    DataError: with file and line.
  """
  found = {}
  for id_, record, where in _records(packed(folder / QUERIES)):
    text = record.get('text')
    if not isinstance(text, str) or not text.strip():
      raise DataError(f'{where}: the text of a query must be a text, and is {text!r:.40}')
    found[id_] = text
  return found


def judgements(folder: Path) -> dict[str, dict[str, int]]:
  """{id of a query: {id of a document: how relevant it is; 0 and less is not}}.

  Raises:
    DataError: with file and line.
  """
  path = packed(folder / JUDGEMENTS)
  found: dict[str, dict[str, int]] = {}
  for number, (query, document, score) in table(path, _HEADER):
    try:
      grade = int(score)
    except ValueError:
      raise DataError(
        f'{path}, line {number}: the score must be a whole number, and is {score[:40]!r}'
      ) from None
    if found.setdefault(query, {}).setdefault(document, grade) != grade:
      raise DataError(
        f'{path}, line {number}: {document!r} is judged {grade} for {query!r}, and was '
        f'{found[query][document]} before'
      )
  return found


def _lines(path: Path) -> Iterator[str]:
  """The lines of a file one after the other: a corpus may be larger than memory."""
  with open(path, 'rb') as raw:
    blocks = filter(None, compressed.blocks(raw, path))
    yield from arriving(lambda: next(blocks, b''), str(path))


def _records(path: Path) -> Iterator[tuple[str, dict, str]]:
  """(id, object, file and line) of each line."""
  seen = set()
  for number, record in tables.records('jsonl', path, _lines(path)):
    where, id_ = f'{path}, line {number}', record.get('_id')
    if type(id_) not in (str, int) or id_ == '':
      raise DataError(f'{where}: _id must be a text, and is {id_!r:.40}')
    if str(id_) in seen:
      raise DataError(f'{where}: _id {str(id_)!r:.40} is there twice')
    seen.add(str(id_))
    yield str(id_), record, where
