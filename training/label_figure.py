"""What a fine-tuned model confuses, as one picture, labels.png: classes, or types of entities."""

from collections.abc import Callable
import io

from etils import epath
import numpy as np

from data.tasks.labelled import Task
from evaluation import examples, scores
from evaluation.examples import Said
from runtime import figures, storage

_INK, _SOFT, _FAINT, _BAR = '#222222', '#777777', '#c4c4c4', '#1f6fb4'
_MOST = 40  # classes of a matrix that can be read


def draw(directory: epath.Path, task: Task, split: str, said: Said) -> bool:
  """Writes labels.png for a split; returns whether there is anything to draw.

  Of one class a text it is the confusion matrix; of entities F1, precision and recall of each.
  """
  entities = task.kind == 'words' and examples.has_entities(task)
  plain = task.labels == 'class' and task.kind in ('text', 'pair')
  if not entities and (not plain or len(task.classes) > _MOST):
    return False
  picture = _entities if entities else _confusion
  with figures.drawn_as_written([task.name, split, *task.classes]) as shown:
    drawn = picture(task, split, said, shown)
  storage.write(epath.Path(directory) / 'labels.png', drawn)
  return True


def confusion(task: Task, split: str, predicted: list) -> np.ndarray:
  """How many examples of each class were said to be of each, CxC, [gold, predicted]."""
  C = len(task.classes)
  count_CxC = np.zeros((C, C), int)
  for example, guess in zip(task.splits[split], predicted):
    if example.label is not None:
      count_CxC[example.label, guess] += 1
  return count_CxC


def _confusion(task: Task, split: str, said: Said, shown: Callable) -> bytes:
  import matplotlib.pyplot as plt  # takes a second, which only a finished run should pay

  count_CxC = confusion(task, split, said.predicted)
  share_CxC = count_CxC / np.maximum(1, count_CxC.sum(axis=1, keepdims=True))
  C = len(task.classes)
  size = 2.4 + 0.55 * C
  figure, axes = plt.subplots(figsize=(size + 0.6, size), layout='constrained')
  axes.imshow(share_CxC, cmap='Blues', vmin=0, vmax=1)
  for gold, guess in np.ndindex(C, C):
    seen = _INK if count_CxC[gold, guess] else _FAINT
    color = 'white' if share_CxC[gold, guess] > 0.55 else seen
    text = f'{count_CxC[gold, guess]:,}'
    axes.text(guess, gold, text, ha='center', va='center', color=color, fontsize=9)
  names = [shown(name) for name in task.classes]
  axes.set_xticks(range(C), names, rotation=45, ha='right')
  axes.set_yticks(range(C), names)
  axes.set_xlabel('predicted')
  axes.set_ylabel('gold')
  axes.set_title(f'{shown(task.name)}, {split}\nexamples; shade: share of the class', fontsize=10)
  return _png(figure)


def _entities(task: Task, split: str, said: Said, shown: Callable) -> bytes:
  import matplotlib.pyplot as plt

  found = scores.entities(examples.entity_pairs(task, split, said.predicted))
  types = sorted(found, key=lambda name: (name != '', -found[name]['entities']))[:_MOST]
  figure, axes = plt.subplots(figsize=(8, 1.2 + 0.42 * len(types)), layout='constrained')
  values = [found[name]['f1'] for name in types]
  axes.barh(range(len(types)), values, color=_BAR, height=0.6)
  for place, name in enumerate(types):
    entry = found[name]
    text = f'{entry["f1"]:.3f}   P {entry["precision"]:.3f}   R {entry["recall"]:.3f}'
    within = values[place] > 0.35  # else there is no room in the bar
    start, color = (0.01, 'white') if within else (values[place] + 0.01, _INK)
    axes.text(start, place, text, va='center', color=color, fontsize=9)
  counts = [f'({found[name]["entities"]:,})' for name in types]
  names = [shown(name) if name else 'all' for name in types]
  labels = [f'{name} {count}' for name, count in zip(names, counts)]
  axes.set_yticks(range(len(types)), labels)
  axes.invert_yaxis()
  axes.set_xlim(0, 1)
  axes.set_xlabel('F1 of whole entities', color=_SOFT)
  axes.set_title(f'{shown(task.name)}, {split}', fontsize=10)
  return _png(figure)


def _png(figure) -> bytes:
  import matplotlib.pyplot as plt

  drawn = io.BytesIO()
  figure.savefig(drawn, dpi=130, format='png', bbox_inches='tight')  # a name may be long
  plt.close(figure)
  return drawn.getvalue()
