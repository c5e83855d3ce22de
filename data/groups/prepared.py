"""Text groups, tokenised: what an experiment on sentence vectors trains on in place of a corpus.

A row of the batch is a group. Its texts stand one after the other, each a segment of its own:

  token, segment, type  BxT   as in data/pipeline.py; the segment is the number of the text, from 1
  present               BxK   1 where the group has a text of that number
  score (float32), label B    what the objectives read of a pair
  scores (float32)      BxK-1 a teacher's, of each text but the anchor
  target (float32)      BxKxD a teacher's vectors
  id, epoch             B
"""

from collections.abc import Callable, Sequence
import dataclasses
import hashlib
import math

import numpy as np

from data import cache, checks
from data.errors import DataError
from data.groups import files
from data.groups import labels as group_labels
from data.groups.distinct import DistinctOrder
from data.groups.files import Group
from data.rows import packed
from data.rows.batches import next_multiple
from data.stages import Progress, silent
from data.tasks import own
from data.tokens import reading
from data.tokens.tokenizer import Tokenizer

VERSION = 1  # of everything that decides what a batch holds: raise it and no old run resumes
_LENGTHS = 4  # different lengths of batches at most: each is a program to compile


@dataclasses.dataclass(frozen=True)
class Split:
  """Groups as token ids.

  Attributes:
    texts: of each group the ids of its texts, with their frame.
    labels: {name in a batch: an array with a row a group}.
    cut: texts that lost tokens.
  """

  texts: list[list[np.ndarray]]
  labels: dict[str, np.ndarray]
  cut: int

  def lengths(self) -> np.ndarray:
    """Tokens of each group."""
    return np.array([sum(map(len, texts)) for texts in self.texts], np.int64)


@dataclasses.dataclass(frozen=True)
class PreparedGroups:
  """The groups of `config.data.groups`, and all that is known about them.

  Attributes:
    report: what the files hold (JSON).
    fingerprint: equal exactly when every batch would be.
    T, K: the most tokens and the most texts of a group.
    classes: names of the classes of pairs, in the order of their numbers.
  """

  tokenizer: Tokenizer
  report: dict
  fingerprint: str
  splits: dict[str, Split]
  T: int
  K: int
  classes: tuple[str, ...]

  def batches(
    self,
    split: str,
    *,
    batch_size: int,
    seed: int,
    shuffled: bool = True,
    multiple: int = 1,
    local_rows: Callable[[int], Sequence[int]] | None = None,
  ) -> 'GroupBatches':
    """Batches of a split: shuffled and without end, or in order; rows need no `multiple`."""
    del multiple
    local = None if local_rows is None else local_rows(batch_size)
    return GroupBatches(self, split, batch_size, seed, shuffled, local)


class GroupBatches:
  """`batches[step]` is the global batch of that step, or the rows of it that are asked for."""

  def __init__(self, prepared, split: str, batch_size: int, seed: int, shuffled: bool, local):
    self._prepared, self._split = prepared, prepared.splits[split]
    self._lengths = self._split.lengths()
    self._batch_size, self._shuffled = batch_size, shuffled
    self._local = np.arange(batch_size) if local is None else np.asarray(local)
    self.rows = len(self._split.texts)
    self._order = None
    if shuffled:
      self._order = DistinctOrder(_numbered(self._split.texts), batch_size, seed)

  def __len__(self) -> int:
    """Batches in one epoch; shuffled batches go on after that."""
    if self._order is not None:
      return self._order.batches_an_epoch
    return math.ceil(self.rows / self._batch_size)

  def ids(self, step: int) -> np.ndarray:
    """Numbers of the groups of a step, -1 behind the last one in order."""
    return self._ids(step)[0]

  def __getitem__(self, step: int) -> dict[str, np.ndarray]:
    """The batch of a step, as the top of this file describes it."""
    if step < 0 or not self._shuffled and step >= len(self):
      raise IndexError(f'step {step} of {len(self)}')
    ids, epoch = self._ids(step)
    longest = int(self._lengths[ids[ids >= 0]].max())
    unit = next_multiple(math.ceil(self._prepared.T / _LENGTHS), 8)
    T = min(self._prepared.T, next_multiple(longest, unit))
    batch = self._laid(ids[self._local], T)
    return batch | dict(epoch=np.full(len(self._local), epoch, np.int32))

  def _ids(self, step: int) -> tuple[np.ndarray, int]:
    if self._order is not None:
      return self._order.ids(step)
    number = step * self._batch_size + np.arange(self._batch_size)
    return np.where(number < self.rows, number, -1).astype(np.int32), 0

  def _laid(self, ids: np.ndarray, T: int) -> dict[str, np.ndarray]:
    prepared = self._prepared
    batch = packed.empty_batch(ids, T, prepared.tokenizer.pad or 0)
    batch['present'] = np.zeros((len(ids), prepared.K), np.int32)
    for name, label_Nx in self._split.labels.items():
      batch[name] = np.where((ids >= 0).reshape(-1, *[1] * (label_Nx.ndim - 1)), label_Nx[ids], 0)
      batch[name] = batch[name].astype(label_Nx.dtype)
    for row, number in enumerate(ids):
      position = 0
      for text, token in enumerate(self._split.texts[number] if number >= 0 else ()):
        stop = position + len(token)
        batch['token'][row, position:stop] = token
        batch['segment'][row, position:stop] = text + 1
        batch['present'][row, text] = 1
        position = stop
    return batch


def prepare(
  data,
  *,
  vocab_size: int,
  labels: str,
  causal: bool,
  width: int,
  progress: Progress = silent,
) -> PreparedGroups:
  """Reads and tokenises the groups of `config.data`.

  Args:
    labels: what the objectives read of a group: '', score, scores, class or vectors.
    causal: texts have no eos, as `inference.embed` has it.
    width: D of the network's vectors, which a teacher's must have.

  Raises:
    DataError: the files or the tokenizer cannot be used as asked.
  """
  found = files.load(data.groups)
  tokenizer = reading.load(data.tokenizer, data.lowercase)
  checks.check_vocabulary(tokenizer, vocab_size)
  found, notes = own.with_validation(found, data.validation_share)
  if labels == 'vectors':
    found = {
      split: [group_labels.once(group) for group in groups] for split, groups in found.items()
    }
  found = _prompted(found, data, tokenizer)
  K = max(len(group.texts) for groups in found.values() for group in groups)
  classes = files.classes(found) if labels == 'class' else ()
  splits = {}
  for split, groups in found.items():
    progress(f'tokenising {split}', 0, len(groups))
    read = group_labels.read(split, groups, labels, classes, data.score_scale, K, width)
    splits[split] = _framed(groups, tokenizer, data.sequence_length, causal, read)
  T = max(int(split.lengths().max()) for split in splits.values())
  digests = {name: _digest(split) for name, split in splits.items()}
  fingerprint = cache.key(
    version=VERSION, splits=digests, tokenizer=tokenizer.sha256, classes=classes, labels=labels
  )
  report = dict(groups=data.groups, texts=K, classes=list(classes), notes=[*notes], length=T)
  report['columns'] = [*found['train'][0].columns]
  for name, split in splits.items():
    report[name] = dict(
      groups=len(split.texts),
      tokens=int(split.lengths().sum()),
      cut=split.cut,
      sha256=digests[name],
    )
  T = next_multiple(T, 8)
  return PreparedGroups(tokenizer, report, fingerprint, splits, T, K, classes)


def _prompted(found: dict[str, list[Group]], data, tokenizer: Tokenizer) -> dict[str, list[Group]]:
  """The groups with the prompts before their texts.

  Raises:
    DataError: a prompt has a special token, which text never becomes.
  """
  prompts = dict(query_prompt=data.query_prompt, document_prompt=data.document_prompt)
  special = [tokenizer.token(index) for index in np.flatnonzero(tokenizer.special_V)]
  for name, prompt in prompts.items():
    if within := [token for token in special if token in prompt]:
      raise DataError(f'data.{name}={prompt!r} has {within[0]!r}: text never becomes that token')
  if not any(prompts.values()):
    return found
  query, document = prompts.values()
  before = lambda group: (query, *[document] * (len(group.texts) - 1))
  return {
    split: [
      group._replace(texts=tuple(map(str.__add__, before(group), group.texts))) for group in groups
    ]
    for split, groups in found.items()
  }


def _framed(groups, tokenizer: Tokenizer, length: int, causal: bool, labels: dict) -> Split:
  """Groups as token ids, each text cut to `length`: bos text eos, without eos if causal."""
  start = [tokenizer.bos]
  end = [] if causal else [tokenizer.eos]
  room = length - len(start) - len(end)
  ids = iter(tokenizer.encode([text for group in groups for text in group.texts]))
  texts, cut = [], 0
  for group in groups:
    own_ids = [next(ids) for _ in group.texts]
    cut += sum(len(each) > room for each in own_ids)
    texts.append([np.array([*start, *each[:room], *end], np.int32) for each in own_ids])
  return Split(texts, labels, cut)


def _numbered(texts: list[list[np.ndarray]]) -> list[tuple[int, ...]]:
  """The texts of each group as numbers; equal texts have equal ones."""
  numbers: dict[bytes, int] = {}
  return [
    tuple(numbers.setdefault(token.tobytes(), len(numbers)) for token in group) for group in texts
  ]


def _digest(split: Split) -> str:
  """What a split holds, for comparing."""
  ids = [[token.tolist() for token in texts] for texts in split.texts]
  return cache.key(ids=ids, labels={name: _content(x) for name, x in split.labels.items()})


def _content(x: np.ndarray) -> list | str:
  """Labels as JSON; of vectors, which are many numbers, a hash."""
  return hashlib.sha256(x.tobytes()).hexdigest() if x.ndim > 2 else x.tolist()


def format_report(report: dict) -> str:
  """The report of text groups as aligned lines for a console."""
  lines = [
    ('groups', f'{report["groups"]}: up to {report["texts"]} texts each'),
    ('columns', ', '.join(report['columns'])),
    *(
      (
        name,
        f'{split["groups"]:,} groups, {split["tokens"] / split["groups"]:.1f} tokens each, '
        f'{split["cut"]:,} texts cut',
      )
      for name, split in report.items()
      if isinstance(split, dict)
    ),
    *(('', note) for note in report['notes']),
  ]
  if report['classes']:
    lines.insert(1, ('classes', ', '.join(report['classes'])))
  width = max(len(name) for name, _ in lines)
  return '\n'.join(f'{name:<{width}}  {text}' for name, text in lines)
