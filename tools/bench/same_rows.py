"""Published tasks as files of one's own, with few examples to score: what both libraries read."""

from collections.abc import Iterator
import gzip
import json
from pathlib import Path

from data.tasks import labelled
from data.tasks.labelled import Task

_SQUAD = 'dev-v1.1.json.gz'  # the training file is large; of this one every fifth article is tested


def write(name: str, task_data: str, folder: Path, scored: int) -> str:
  """Writes train, validation and test of a task into `folder`; returns its `config.data.task`.

  Args:
    name: of data/tasks/, as conll2002:ned; or squad.
    scored: examples of validation and of test that are kept, drawn once.
  """
  folder.mkdir(parents=True, exist_ok=True)
  if name == 'squad':
    articles = json.loads(gzip.decompress((Path(task_data) / 'squad' / _SQUAD).read_bytes()))
    _write_squad(articles['data'], folder, scored)
    return f'squad:{folder}'
  task = labelled.load(name, task_data)
  small = task.limited(scored)
  for split in ('train', 'validation', 'test'):
    kept = task if split == 'train' else small
    lines = _sentences(kept, split) if task.kind == 'words' else _objects(kept, split)
    ending = '.txt' if task.kind == 'words' else '.jsonl'
    (folder / f'{split}{ending}').write_text(''.join(lines), encoding='utf-8')
  return f'conll:{folder}' if task.kind == 'words' else f'jsonl:{folder}'


def _objects(task: Task, split: str) -> Iterator[str]:
  names = ('text',) if task.kind == 'text' else ('text_a', 'text_b')
  for example in task.splits[split]:
    label = task.classes[example.label] if task.classes else example.label
    row = dict(zip(names, example.texts)) | dict(label=label)
    yield json.dumps(row, ensure_ascii=False) + '\n'


def _sentences(task: Task, split: str) -> Iterator[str]:
  for example in task.splits[split]:
    words = zip(example.texts, example.label)
    yield ''.join(f'{word} {task.classes[tag]}\n' for word, tag in words) + '\n'


def _write_squad(articles: list[dict], folder: Path, scored: int):
  """Every fifth article is for test, the next one for validation: an article is on one side."""
  for split, places in dict(test=(0,), validation=(1,), train=(2, 3, 4)).items():
    chosen = [article for number, article in enumerate(articles) if number % 5 in places]
    asked = [
      question
      for article in chosen
      for paragraph in article['paragraphs']
      for question in paragraph['qas']
    ]
    step = 1 if split == 'train' else max(1, len(asked) // scored)
    kept = {question['id'] for question in asked[::step]}
    for paragraph in (each for article in chosen for each in article['paragraphs']):
      paragraph['qas'] = [each for each in paragraph['qas'] if each['id'] in kept]
    text = json.dumps(dict(version='1.1', data=chosen), ensure_ascii=False)
    (folder / f'{split}.json').write_text(text, encoding='utf-8')
