"""What a model says of texts, as lines: JSON, or for people."""

from collections.abc import Iterator
import json
import sys

from data.errors import DataError
from data.lines import say_left_out
from data.tasks.arriving import Asked, split_words
from evaluation import answers, scores
from inference.predict import UNREAD, Predictor, Said
from tools.predict import answering

_SHOWN = 4  # texts of a row that an error names


class Teller:
  """Asks a model about texts, and writes a line of each; counts what was cut off."""

  def __init__(self, predictor: Predictor, where: str, *, as_json: bool):
    self._predictor, self._where, self._as_json = predictor, where, as_json
    self._classes = predictor.labels.classes
    others = [name for name in self._classes if name != 'O']
    self._entities = bool(others) and all(
      name[:1] in scores.MARKS and name[1:2] == '-' for name in others
    )
    self._texts = self._cut = 0

  def lines(self, chunk: list[Asked]) -> Iterator[str]:
    """A line of each text.

    Raises:
      DataError: a text is not of the kind that the model reads, or it has no token; the lines of
        those before it came out.
    """
    good, problem = self._suitable(chunk)
    if self._predictor.labels.kind == 'question':
      found = self._of_questions(good)
    elif self._predictor.labels.kind == 'choices':
      found = self._of_choices(good)
    elif self._predictor.labels.kind == 'words':
      found = self._of_sentences(good)
    else:
      found = self._of_texts(good)
    for line in found:
      self._texts += 1
      yield line
    if problem:
      raise DataError(problem)

  def warn(self, *, blank: int):
    """Says how many texts were longer than a row.

    Args:
      blank: lines that were left out, which is said too.
    """
    say_left_out('predict', blank)
    if self._cut:
      print(
        f'predict: {self._cut:,} of {self._texts:,} texts have more than '
        f'{self._predictor.max_length} tokens: the rest of them was not read. --max_length=N '
        'reads more where the model can.',
        file=sys.stderr,
      )

  def _suitable(self, chunk: list[Asked]) -> tuple[list[Asked], str]:
    """(what comes before the first text of another kind, what is wrong with that one)."""
    kind = self._predictor.labels.kind
    for place, asked in enumerate(chunk):
      wrong = ''
      if kind != 'words' and asked.words:
        wrong = 'words, and this model has a label for whole texts: give it a "text"'
      elif kind in ('words', 'text') and not asked.words and len(asked.texts) == 2:
        wrong = 'two texts, and this model reads one: name it with --columns=text=NAME'
      elif kind == 'question' and len(asked.texts) == 1:
        wrong = 'one text, and this model answers: give a question and its context'
      elif kind in ('pair', 'ranked') and len(asked.texts) == 1:
        wrong = 'one text, and this model reads pairs: give text_a and text_b'
      if wrong:
        return chunk[:place], f'{self._where}, line {asked.line}: {wrong}'
    return chunk, ''

  def _unread(self, asked: Asked) -> DataError:
    return DataError(
      f'{self._where}, line {asked.line}: the tokenizer of the model finds no token in '
      f'{" or ".join(repr(text[:40]) for text in asked.texts[:_SHOWN])}'
    )

  def _of_texts(self, chunk: list[Asked]) -> Iterator[str]:
    for asked, said in zip(chunk, self._predictor.texts([each.texts for each in chunk])):
      if said is None:
        raise self._unread(asked)
      self._cut += bool(said.cut)
      label = self._named(said.label)
      if self._as_json:
        names = ('text',) if len(asked.texts) == 1 else ('text_a', 'text_b')
        line = dict(zip(names, asked.texts)) | dict(label=label)
        if said.probability:
          line['probabilities'] = dict(zip(self._classes, said.probability))
        if said.cut:
          line['cut_tokens'] = said.cut
        yield json.dumps(line, ensure_ascii=False)
      else:
        yield '\t'.join([self._shown(said, label), *map(_one_line, asked.texts)])

  def _of_questions(self, chunk: list[Asked]) -> Iterator[str]:
    for asked, found in zip(chunk, answering.answer(self._predictor, chunk)):
      question, context = asked.texts
      text = answers.text_of(found, context, self._predictor.labels.null_threshold)
      best = found.best[0] if text else None
      if not self._as_json:
        yield '\t'.join([_one_line(text) or 'none', _one_line(question)])
        continue
      line = dict(question=question, answer=text)
      line |= dict(start=best.start if best else None, end=best.stop if best else None)
      line |= dict(score=answers.probability(found, null=self._null))
      yield json.dumps(line, ensure_ascii=False)

  def _of_choices(self, chunk: list[Asked]) -> Iterator[str]:
    for asked, said in zip(chunk, self._predictor.choices([each.texts for each in chunk])):
      if said is None:
        raise self._unread(asked)
      self._cut += bool(said.cut)
      context, *answers = asked.texts
      answer, sure = answers[said.label], said.probability
      if not self._as_json:
        yield f'{said.label} {sure[said.label]:.4f}\t{_one_line(answer)}\t{_one_line(context)}'
        continue
      line = dict(context=context, choices=answers, label=said.label, answer=answer)
      line |= dict(probabilities=[*sure]) | (dict(cut_tokens=said.cut) if said.cut else {})
      yield json.dumps(line, ensure_ascii=False)

  @property
  def _null(self) -> bool:
    return self._predictor.labels.null_threshold is not None

  def _shown(self, said: Said, label) -> str:
    if isinstance(label, float):
      return f'{label:.4f}'
    chosen = said.label if isinstance(said.label, tuple) else (said.label,)
    sure = [f'{self._classes[index]} {said.probability[index]:.4f}' for index in chosen]
    return ', '.join(sure) or 'none'

  def _named(self, label):
    if isinstance(label, tuple):
      return [self._classes[index] for index in label]
    return label if self._predictor.labels.labels == 'number' else self._classes[label]

  def _of_sentences(self, chunk: list[Asked]) -> Iterator[str]:
    places = [[] if each.words else split_words(each.texts[0]) for each in chunk]
    words = [
      each.texts if each.words else tuple(each.texts[0][start:end] for start, end in place)
      for each, place in zip(chunk, places)
    ]
    said_of = self._predictor.words(words)
    for asked, said, place, split in zip(chunk, said_of, places, words):
      if said is None:
        raise self._unread(asked)
      tags = [None if index == UNREAD else self._classes[index] for index in said.label]
      if asked.words or not self._entities:
        yield self._of_words(asked, split, tags, said.probability)
      else:
        yield self._of_entities(asked.texts[0], place, tags, said.probability)

  def _of_words(self, asked: Asked, words, tags: list, sure: tuple[float, ...]) -> str:
    if not self._as_json:
      return ' '.join(f'{_one_line(word)}/{tag}' for word, tag in zip(words, tags))
    line = {} if asked.words else dict(text=asked.texts[0])
    line |= dict(words=[*words], labels=tags, probabilities=[*sure])
    return json.dumps(line, ensure_ascii=False)

  def _of_entities(self, text: str, places: list, tags: list, sure: tuple[float, ...]) -> str:
    """Entities with their characters; the score of one is the mean over its words."""
    found = []
    for first, stop, kind in scores.spans([tag or 'O' for tag in tags]):
      start, end = places[first][0], places[stop - 1][1]
      score = sum(sure[first:stop]) / (stop - first)
      found.append(dict(label=kind, text=text[start:end], start=start, end=end, score=score))
    if self._as_json:
      return json.dumps(dict(text=text, entities=found), ensure_ascii=False)
    shown = [f'{each["label"]} {each["start"]}-{each["end"]} {each["text"]}' for each in found]
    return f'{_one_line("; ".join(shown)) or "none"}\t{_one_line(text)}'


def _one_line(text: str) -> str:
  """A text that takes one line of a table."""
  return ' '.join(text.split())
