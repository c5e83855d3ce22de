"""Scores of predicted labels: accuracy, F1 of a class, and F1 of exact chunks as in conlleval."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from data.tasks.labelled import Task

# Kind of a task -> the score that stands for it. All scores are shares from 0 to 1.
HEADLINE = dict(text='accuracy', pair='accuracy', words='chunk_f1')


def score(task: Task, gold: Sequence, predicted: Sequence) -> dict[str, float]:
  """Returns every score of a task by name, the headline first.

  Args:
    gold, predicted: one class index per example; of a task of words, one sequence per example with
      one class index per word.
  """
  if task.kind == 'words':
    pairs = [(_names(task, row), _names(task, guess)) for row, guess in zip(gold, predicted)]
    words = sum(len(row) for row, _ in pairs)
    hits = sum(tag == guessed for row, guess in pairs for tag, guessed in zip(row, guess))
    return chunk_scores(pairs) | dict(word_accuracy=hits / words)
  gold_N, predicted_N = np.asarray(gold), np.asarray(predicted)
  scores = dict(accuracy=float((gold_N == predicted_N).mean()))
  if task.name == 'mrpc':  # GLUE also reports F1 of the class "equivalent", which is 1
    positive_N, guessed_N = gold_N == 1, predicted_N == 1
    hits = int((positive_N & guessed_N).sum())
    scores['f1'] = f1(hits, int(positive_N.sum()), int(guessed_N.sum()))
  return scores


def f1(hits: int, gold: int, predicted: int) -> float:
  """Returns F1, 2 P R / (P + R), from counts; 0 if there is no hit."""
  return 2 * hits / (gold + predicted) if hits else 0.0


def chunk_scores(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float]:
  """Returns chunk_f1, chunk_precision and chunk_recall over all sentences.

  A predicted chunk is a hit if its start, end and type are exact.

  Args:
    pairs: (gold tags, predicted tags) of each sentence.
  """
  hits = gold = predicted = 0
  for row, guess in pairs:
    row_chunks, guess_chunks = set(chunks(row)), set(chunks(guess))
    hits += len(row_chunks & guess_chunks)
    gold += len(row_chunks)
    predicted += len(guess_chunks)
  return dict(
    chunk_f1=f1(hits, gold, predicted),
    chunk_precision=hits / max(1, predicted),
    chunk_recall=hits / max(1, gold),
  )


def chunks(tags: Sequence[str]) -> list[tuple[int, int, str]]:
  """Returns (start, stop, type) of each chunk of BIO tags; stop is exclusive.

  As in conlleval, an I- tag that continues no chunk of its type starts one.
  """
  found, start, open_type = [], 0, ''
  for index, tag in enumerate([*tags, 'O']):
    mark, _, type_ = tag.partition('-')
    if open_type and (mark != 'I' or type_ != open_type):
      found.append((start, index, open_type))
      open_type = ''
    if type_ and not open_type:
      start, open_type = index, type_
  return found


def majority(task: Task) -> int:
  """Returns the most frequent class of the training examples, or of their words."""
  counts: Counter = Counter()
  for example in task.splits['train']:
    counts.update(example.label if task.kind == 'words' else [example.label])
  return _most_frequent(counts)


def baselines(task: Task, split: str) -> dict[str, float]:
  """Returns the headline score of the majority baseline, and of words that of a word baseline.

  The word baseline predicts each word's most frequent class in training, and the majority class for
  words that are not in the training split.
  """
  headline, most = HEADLINE[task.kind], majority(task)
  examples = task.splits[split]
  gold = [example.label for example in examples]
  if task.kind != 'words':
    return dict(majority=score(task, gold, [most] * len(gold))[headline])
  counts: dict[str, Counter] = {}
  for example in task.splits['train']:
    for word, label in zip(example.texts, example.label):
      counts.setdefault(word, Counter())[label] += 1
  best = {word: _most_frequent(labels) for word, labels in counts.items()}
  by_majority = [[most] * len(row) for row in gold]
  by_word = [[best.get(word, most) for word in example.texts] for example in examples]
  return dict(
    majority=score(task, gold, by_majority)[headline],
    word_alone=score(task, gold, by_word)[headline],
  )


def _names(task: Task, row: Sequence[int]) -> list[str]:
  return [task.classes[index] for index in row]


def _most_frequent(counts: Counter) -> int:
  """Returns the label of the highest count; of several, the lowest label."""
  return min(counts, key=lambda label: (-counts[label], label))
