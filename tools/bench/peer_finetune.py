"""The peer's side of fine-tuning, the Trainer of transformers: a worker of tools.bench.

Features, labels and padding are those of its scripts run_glue, run_ner and run_qa. It needs the
extra `parity`.
"""

from collections.abc import Callable
import contextlib
import json
from pathlib import Path
import sys
import time

import numpy as np
from transformers import (
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
  AutoTokenizer,
  DataCollatorForTokenClassification,
  DataCollatorWithPadding,
  Trainer,
  TrainingArguments,
  set_seed,
)

from data.tasks import open_task
from data.tasks.labelled import Task
from data.tasks.question_rows import Window
from evaluation import answers
from runtime import allocator
from tools.bench.cases import CASES
from tools.bench.kinds import Finetune
from tools.bench.worker import serve

IGNORED = -100  # label of a token that is not scored
# Both orders that the Trainer has; the faster one is measured.
_WAYS = ('random', 'group_by_length')


class Peer:
  """A model of transformers on a task of ours, with what its scripts put between the two.

  Args:
    weights: a Hugging Face directory.
    T, stride: tokens of an example or of a window, and those that two windows share.
    seed: of the new head.
  """

  def __init__(self, weights: str, task: Task, T: int, stride: int = 128, seed: int = 0):
    set_seed(seed)
    self.task, self._T, self._stride = task, T, stride
    self.tokenizer = AutoTokenizer.from_pretrained(weights)
    count = max(1, len(task.classes))
    if task.kind == 'question':
      self.model = AutoModelForQuestionAnswering.from_pretrained(weights)
    elif task.kind == 'words':
      self.model = AutoModelForTokenClassification.from_pretrained(weights, num_labels=count)
    else:  # of one label it is a number
      self.model = AutoModelForSequenceClassification.from_pretrained(weights, num_labels=count)

  def features(self, split: str) -> list[dict]:
    """What the model reads of each example of a split, or of each window."""
    make = dict(words=self._words, question=self._windows).get(self.task.kind, self._texts)
    return make(self.task.splits[split])

  def _texts(self, examples) -> list[dict]:
    texts = [list(column) for column in zip(*(example.texts for example in examples))]
    encoded = self.tokenizer(*texts, truncation=True, max_length=self._T)
    rows = [dict(zip(encoded, values)) for values in zip(*encoded.values())]
    return [row | dict(label=example.label) for row, example in zip(rows, examples)]

  def _words(self, examples) -> list[dict]:
    """A word's label is at its first token."""
    rows = []
    for example in examples:
      encoded = self.tokenizer(
        list(example.texts), is_split_into_words=True, truncation=True, max_length=self._T
      )
      owners = encoded.word_ids()
      places = [
        None if owner == before else owner for owner, before in zip(owners, [None, *owners])
      ]
      labels = [IGNORED if place is None else example.label[place] for place in places]
      rows.append(dict(encoded) | dict(labels=labels, places=places))
    return rows

  def _windows(self, questions) -> list[dict]:
    rows = []
    for owner, question in enumerate(questions):
      encoded = self.tokenizer(
        *question.texts,
        truncation='only_second',
        max_length=self._T,
        stride=self._stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
      )
      for window in range(len(encoded['input_ids'])):
        row = {name: encoded[name][window] for name in self.tokenizer.model_input_names}
        places = [
          place if part == 1 else None
          for part, place in zip(encoded.sequence_ids(window), encoded['offset_mapping'][window])
        ]
        start, stop = _ends(question.label, places)
        rows.append(
          row | dict(start_positions=start, end_positions=stop, owner=owner, places=places)
        )
    return rows

  def trainer(self, train: list[dict], **arguments) -> Trainer:
    """Its Trainer over features, silent, with TrainingArguments."""
    collators = dict(words=DataCollatorForTokenClassification)
    return Trainer(
      self.model,
      TrainingArguments(
        use_cpu=True,
        report_to=[],
        save_strategy='no',
        logging_strategy='no',
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **arguments,
      ),
      data_collator=collators.get(self.task.kind, DataCollatorWithPadding)(self.tokenizer),
      train_dataset=[_read(row) for row in train],
      processing_class=self.tokenizer,
    )

  def said(self, trainer: Trainer, split: str = 'test') -> list:
    """What the model says of each example, as evaluation/examples.py scores it."""
    rows = self.features(split)
    logits = trainer.predict([_read(row) for row in rows]).predictions
    if self.task.kind == 'question':
      return self._answered(rows, logits)
    if self.task.kind == 'words':
      return [
        _tagged(row['places'], best_T, len(example.label))
        for row, best_T, example in zip(rows, logits.argmax(-1), self.task.splits[split])
      ]
    return (logits[:, 0] if self.task.labels == 'number' else logits.argmax(-1)).tolist()

  def _answered(self, rows: list[dict], logits) -> list[answers.Found]:
    """The answers that the windows of each question say together."""
    found: dict[int, list] = {}
    for row, start_T, end_T in zip(rows, *logits):
      there = [number for number, place in enumerate(row['places']) if place is not None]
      span_Tx2 = np.array([row['places'][number] for number in there])
      window = Window(row['owner'], ('', ''), None, there[0], span_Tx2)
      best = answers.candidates(window, start_T, end_T, count=20, longest=30)
      found.setdefault(row['owner'], []).append((best, float(start_T[0] + end_T[0])))
    return [answers.join(found[owner], 20) for owner in sorted(found)]


def _tagged(places: list, best_T, words: int) -> tuple[int, ...]:
  """The tag of each word, at its first token; -1 where it was cut off."""
  tags = [-1] * words
  for place, best in zip(places, best_T):
    if place is not None:
      tags[place] = int(best)
  return tuple(tags)


def _read(row: dict) -> dict:
  """A row without what only its scorer needs."""
  return {name: value for name, value in row.items() if name not in ('owner', 'places')}


def _ends(gold, places: list) -> tuple[int, int]:
  """The first and last token of an answer in a window; (0, 0), where it is not in it."""
  if gold is None or not gold.texts:
    return 0, 0
  start, stop = gold.start, gold.start + len(gold.texts[0])
  there = [number for number, place in enumerate(places) if place is not None]
  if not there or places[there[0]][0] > start or places[there[-1]][1] < stop:
    return 0, 0
  first = max(number for number in there if places[number][0] <= start)
  last = min(number for number in there if places[number][1] >= stop)
  return first, last


def finetune(case: Finetune, folder: Path) -> tuple[Callable[[], dict], dict]:
  """Tries both orders of the examples, and chooses the faster one.

  Returns:
    A function that does a round of updates, and facts: the way that was chosen, seconds of each
    way, the share of tokens that are no padding.
  """
  allocator.disable_malloc_trim()  # as on our side
  asked = json.loads((folder / 'finetune.json').read_text())
  task = open_task.load_named(case.task, asked['task_data'])
  peer = Peer(asked['weights'], task, case.T)
  train = peer.features('train')

  def trainer(way: str) -> Trainer:
    return peer.trainer(
      train,
      output_dir=str(folder / 'peer'),
      max_steps=case.steps,
      per_device_train_batch_size=case.rows,
      learning_rate=5e-5,
      weight_decay=0.01,
      train_sampling_strategy=way,
    )

  def seconds(way: str) -> float:
    with contextlib.redirect_stdout(sys.stderr):  # the protocol's lines are on stdout
      training = trainer(way)
      started = time.perf_counter()
      training.train()
      return time.perf_counter() - started

  taken = {way: seconds(way) for way in _WAYS}
  best = min(taken, key=taken.get)
  useful, tokens = _tokens(trainer(best), case.steps)
  tried = [taken[best]]  # the first round, which does not count, was done already

  def round_():
    spent = tried.pop() if tried else seconds(best)
    return dict(work=case.rows * case.steps, tokens=tokens, seconds=spent)

  return round_, dict(way=best, ways=taken, failed={}, useful_share=useful / tokens)


def _tokens(training: Trainer, steps: int) -> tuple[int, int]:
  """(tokens that are no padding in the first steps, all of them)."""
  batches = zip(range(steps), training.get_train_dataloader())
  masks = [batch['attention_mask'] for _, batch in batches]
  return sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)


if __name__ == '__main__':
  serve(*finetune(CASES[sys.argv[2]], Path(sys.argv[3])))
