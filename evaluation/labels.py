"""Scores of predicted labels: accuracy, F1 of a class, and F1
of exact chunks as conlleval counts them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from data.tasks.labelled import Task

# name of the score that stands for a task of a kind; all are shares from 0 to 1
HEADLINE = dict(text='accuracy', pair='accuracy', words='chunk_f1')


def score(task: Task, gold: Sequence, predicted: Sequence) -> dict[str, float]:
  """Every score of a task, the headline first.

  Args:
    gold, predicted: a label an example; for words, a sequence of them an example, one a word.
  """
  if task.kind == 'words':
    pairs = [
      ([task.classes[i] for i in row], [task.classes[i] for i in guess])
      for row, guess in zip(gold, predicted)
    ]
    right = sum(a == b for row, guess in pairs for a, b in zip(row, guess))
    return chunk_scores(pairs) | dict(word_accuracy=right / sum(len(row) for row, _ in pairs))
  gold_N, predicted_N = np.asarray(gold), np.asarray(predicted)
  scores = dict(accuracy=float((gold_N == predicted_N).mean()))
  if task.name == 'mrpc':  # as GLUE has it: of the class "equivalent"
    scores['f1'] = f1(
      int(((gold_N == 1) & (predicted_N == 1)).sum()),
      int((gold_N == 1).sum()),
      int((predicted_N == 1).sum()),
    )
  return scores


def f1(hits: int, gold: int, predicted: int) -> float:
  """2 P R / (P + R), 0 where nothing was hit."""
  return 2 * hits / (gold + predicted) if hits else 0.0


def chunk_scores(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float]:
  """chunk_f1, chunk_precision and chunk_recall over all (gold,
  predicted) sentences: a chunk counts if exact.
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
  """(start, stop, type) of each chunk of BIO tags.

  As in conlleval, an I- that continues nothing of its type begins a chunk.
  """
  found, start, kind = [], 0, ''
  for place, tag in enumerate([*tags, 'O']):
    mark, _, inside = tag.partition('-')
    if kind and (mark != 'I' or inside != kind):
      found.append((start, place, kind))
      kind = ''
    if inside and not kind:
      start, kind = place, inside
  return found


def majority(task: Task) -> int:
  """The most frequent label of the training examples; of words, for words."""
  labels = (example.label for example in task.splits['train'])
  counts = Counter(label for row in labels for label in (row if task.kind == 'words' else (row,)))
  return min(counts, key=lambda label: (-counts[label], label))


def baselines(task: Task, split: str) -> dict[str, float]:
  """What is known without reading: the headline score of the majority class; for words also of each
  word's most frequent label in training (the majority's for words that are not there)."""
  headline, most = HEADLINE[task.kind], majority(task)
  examples = task.splits[split]
  gold = [example.label for example in examples]
  if task.kind != 'words':
    return dict(majority=score(task, gold, [most] * len(gold))[headline])
  counts: dict[str, Counter] = {}
  for example in task.splits['train']:
    for word, label in zip(example.texts, example.label):
      counts.setdefault(word, Counter())[label] += 1
  best = {
    word: min(labels, key=lambda label: (-labels[label], label)) for word, labels in counts.items()
  }
  known = [[best.get(word, most) for word in example.texts] for example in examples]
  return dict(
    majority=score(task, gold, [[most] * len(row) for row in gold])[headline],
    word_alone=score(task, gold, known)[headline],
  )
