"""Questions whose answers are in a text: squad:PATH, SQuAD 1.1 and 2.0 (Rajpurkar et al.)."""

import hashlib
import json
from pathlib import Path
import re
from typing import NamedTuple

from data.errors import DataError
from data.lines import read_lines
from data.tasks import own, own_files
from data.tasks.labelled import Task

KIND = 'squad'
_ENDINGS = ('.json',)


class Answers(NamedTuple):
  """What is right: any of these texts; the first begins at a character of the context.

  Without texts the context has no answer, and that is right.
  """

  texts: tuple[str, ...]
  start: int


class Question(NamedTuple):
  """A question: (question, context), its answers, None where they are not known, and its number."""

  texts: tuple[str, str]
  label: Answers | None
  id: str
  title: str


def load(where: str, *, share: float) -> Task:
  """A task of questions.

  Args:
    where: as in `own_files.find`.
    share: of the articles to train on that are set aside where there is no file for validation.

  Raises:
    DataError: file, which question, and what is wrong.
  """
  paths = own_files.find(KIND, where, _ENDINGS)
  splits = {split: _read(path) for split, path in paths.items()}
  ordered, notes = own.with_validation(
    splits, share, aside=_set_aside, what='questions', by='the title of their article'
  )
  return Task(own_files.name_of(where) or KIND, 'question', (), ordered, labels='span', notes=notes)


def _set_aside(questions: list[Question], share: float) -> tuple[list[Question], list[Question]]:
  """(the rest, a share): by a hash of the title, so that an article is on one side."""
  position = {
    title: hashlib.sha256(title.encode()).digest() for title in {each.title for each in questions}
  }
  ordered = sorted(position, key=position.get)
  aside = {*ordered[: max(1, round(share * len(ordered)))]}
  rest = [each for each in questions if each.title not in aside]
  if not rest:
    raise DataError(
      'one article is too few to set some aside for validation: name a file for it, as in '
      'squad:train=FILE,validation=FILE'
    )
  return rest, [each for each in questions if each.title in aside]


def _read(path: Path) -> list[Question]:
  try:
    whole = json.loads('\n'.join(read_lines(path)))
  except (ValueError, RecursionError) as error:
    raise DataError(f'{path} is no JSON ({error})') from error
  if not isinstance(whole, dict) or not isinstance(whole.get('data'), list):
    raise DataError(f'{path}: SQuAD is a JSON object with a list "data"; this is none')
  questions = []
  for number, article in enumerate(whole['data']):
    try:
      for paragraph in article['paragraphs']:
        for asked in paragraph['qas']:
          where = f'{path}, question {asked.get("id")!r}'
          title = str(article.get('title', number))
          questions.append(_question(where, asked, paragraph['context'], title))
    except (KeyError, TypeError, AttributeError) as error:
      raise DataError(
        f'{path}, article {number}: an article has paragraphs, each a context and qas, each an id, '
        f'a question and answers ({type(error).__name__}: {error})'
      ) from error
  if not questions:
    raise DataError(f'{path} holds no questions')
  return questions


def _question(where: str, asked: dict, context: str, title: str) -> Question:
  question = asked['question']
  if not all(isinstance(text, str) and text.strip() for text in (question, context)):
    raise DataError(f'{where}: question and context must be texts, and not empty')
  if 'answers' not in asked:
    return Question((question, context), None, str(asked['id']), title)
  found = [] if asked.get('is_impossible') else asked['answers']
  texts = tuple(answer['text'] for answer in found)
  start = _place(where, context, texts[0], found[0]['answer_start']) if found else -1
  return Question((question, context), Answers(texts, start), str(asked['id']), title)


def _place(where: str, context: str, text: str, said: int) -> int:
  """Where an answer begins: where it is said to, or the nearest place at which it stands.

  Some answers of the published files are a few characters off.
  """
  if context[said : said + len(text)] == text:
    return said
  places = [match.start() for match in re.finditer(re.escape(text), context)]
  if not text or not places:
    raise DataError(f'{where}: its answer {text[:40]!r} does not stand in its context')
  return min(places, key=lambda place: abs(place - said))
