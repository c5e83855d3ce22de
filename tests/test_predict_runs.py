"""A fine-tuned run is used: the same labels and the same scores that the run itself said."""

import csv
import json
from pathlib import Path

from in_process import call
import numpy as np
import pytest
import runs
from test_convert import random_weights

from training import load as loading


def tune(folder: Path, config: str, task: str, **changes) -> Path:
  """The workdir of a run on a small random model."""
  loading.save(random_weights('bert'), folder / 'trunk')
  fields = runs.FINETUNED | {'init_from': folder / 'trunk', 'data.task': task, 'steps': 6} | changes
  answer = call(
    'train',
    f'--config=configs/finetune/{config}.py',
    f'--workdir={folder / "run"}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
  )
  assert answer.code == 0, answer.err
  return folder / 'run'


def table(folder: Path, kind: str):
  """CSV files in which each kind of label is."""
  random = np.random.default_rng(0)
  for split, count in dict(train=40, validation=13, test=11).items():
    with (folder / f'{split}.csv').open('w', newline='') as file:
      writer = csv.writer(file)
      writer.writerow(['review', 'stars'])
      for number in range(count):
        text = ' '.join(random.choice(runs.WORDS[:15], random.integers(2, 9)))
        label = dict(number=number / 7, several='fish,boat' if number % 2 else 'boat')
        writer.writerow([text, label.get(kind, 'fish' if number % 3 else 'boat')])


@pytest.mark.parametrize(
  'kind', ['class', *(pytest.param(kind, marks=pytest.mark.slow) for kind in ('several', 'number'))]
)
def test_a_table_is_said_as_the_run_said_it_and_scored_as_it_was(kind, tmp_path):
  table(tmp_path, kind)
  columns = 'text=review,label=stars'
  changes = {'data.columns': columns, 'data.labels': kind}
  run = tune(tmp_path, 'classify', f'csv:{tmp_path}', **changes)
  result = json.loads((run / 'result.json').read_text())
  for split in ('validation', 'test'):
    answer = call('predict', f'--weights={run}', f'--input={tmp_path / split}.csv', '--json')
    assert answer.code == 0, answer.err
    found = [json.loads(line) for line in answer.out.splitlines()]
    said = [json.loads(line) for line in (run / f'predictions_{split}.jsonl').open()]
    assert [line['text'] for line in found] == [line['text'] for line in said]
    for line, before in zip(found, said):
      if kind == 'number':
        assert line['label'] == pytest.approx(before['prediction'], abs=1e-5)
        continue
      assert line['label'] == before['prediction']
      assert line['probabilities'] == pytest.approx(before['probabilities'], abs=1e-5)
  scored = call('eval', f'--workdir={run}', '--json')
  assert scored.code == 0, scored.err
  scored = json.loads(scored.out)
  for split in ('validation', 'test'):
    assert scored[split] == {name: result[split][name] for name in scored[split]}
    assert {'loss', 'pearson' if kind == 'number' else 'accuracy'} <= scored[split].keys()


@pytest.mark.slow
def test_words_are_tagged_as_the_run_tagged_them(tmp_path):
  random = np.random.default_rng(0)
  for split, count in dict(train=30, validation=9, test=8).items():
    with (tmp_path / f'{split}.conll').open('w') as file:
      for _ in range(count):
        words = random.choice(runs.WORDS[:15], random.integers(2, 40))
        file.write(''.join(f'{word} {"B-X" if word == "he" else "O"}\n' for word in words) + '\n')
  run = tune(tmp_path, 'tag', f'conll:{tmp_path}', **{'data.sequence_length': 32})
  answer = call('predict', f'--weights={run}', f'--input={tmp_path}/test.conll', '--json')
  assert answer.code == 0, answer.err
  said = [json.loads(line) for line in (run / 'predictions_test.jsonl').open()]
  found = [json.loads(line) for line in answer.out.splitlines()]
  assert len(found) == len(said) == 8
  for line, before in zip(found, said):
    assert line['words'] == before['words'] and None not in line['labels']
    if None not in before['prediction']:  # nothing was cut off: the run read the same row
      assert line['labels'] == before['prediction']
  assert any(None in line['prediction'] for line in said)
  scored = call('eval', f'--workdir={run}', '--json')
  result = json.loads((run / 'result.json').read_text())
  assert json.loads(scored.out)['test'] == {
    name: result['test'][name] for name in ('loss', 'accuracy', 'f1', 'precision', 'recall')
  }


@pytest.mark.parametrize('ending', ['jsonl', pytest.param('csv', marks=pytest.mark.slow)])
def test_answers_are_chosen_as_the_run_chose_them_and_exported(ending, tmp_path):
  random = np.random.default_rng(0)
  for split, count in dict(train=24, validation=7, test=6).items():
    rows = []
    for number in range(count):
      answers = [' '.join(random.choice(runs.WORDS, random.integers(1, 6))) for _ in range(3)]
      context = ' '.join(random.choice(runs.WORDS, random.integers(2, 9)))
      numbered = {f'choice{place}': answer for place, answer in enumerate(answers)}
      listed = dict(choices=answers) if ending == 'jsonl' else numbered
      rows.append(dict(context=context, **listed, label=number % 3))
    with (tmp_path / f'{split}.{ending}').open('w', newline='') as file:
      if ending == 'jsonl':
        file.write(''.join(json.dumps(row) + '\n' for row in rows))
      else:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
  run = tune(tmp_path, 'choose', f'choices:{tmp_path}', **{'data.sequence_length': 16})
  said = [json.loads(line) for line in (run / 'predictions_test.jsonl').open()]
  answer = call('predict', f'--weights={run}', f'--input={tmp_path}/test.{ending}', '--json')
  assert answer.code == 0, answer.err
  for line, before in zip(map(json.loads, answer.out.splitlines()), said, strict=True):
    assert (line['context'], line['choices']) == (before['context'], before['choices'])
    assert line['label'] == before['prediction']
    assert line['answer'] == line['choices'][line['label']]
    assert sum(line['probabilities']) == pytest.approx(1)
    assert line['probabilities'][line['label']] == pytest.approx(before['probability'], abs=1e-5)
  exported = tmp_path / 'exported'
  done = call('convert', '--export=hf', f'--workdir={run}', f'--to={exported}')
  assert done.code == 0, done.err
  config = json.loads((exported / 'config.json').read_text())
  assert config['architectures'] == ['BertForMultipleChoice'] and 'id2label' not in config
  again = call('predict', f'--weights={exported}', f'--input={tmp_path}/test.{ending}', '--json')
  for line, before in zip(map(json.loads, again.out.splitlines()), said, strict=True):
    assert line['label'] == before['prediction']
  (run / 'labels.json').unlink()
  lost = call('convert', '--export=hf', f'--workdir={run}', f'--to={tmp_path / "none"}')
  assert lost.code == 3 and 'has no labels.json' in lost.err, lost.err


@pytest.mark.slow
@pytest.mark.parametrize('null', [False, True])
def test_questions_are_answered_as_the_run_answered_them(null, tmp_path):
  random = np.random.default_rng(0)
  asked = {}
  for split, count in dict(train=12, validation=7, test=6).items():
    articles, asked[split] = [], []
    for number in range(count):
      context = ' '.join(random.choice(runs.WORDS[:15], random.integers(8, 60)))
      word = context.split()[number % 8]
      missing = null and number % 3 == 0
      right = [] if missing else [dict(text=word, answer_start=context.index(word))]
      question = dict(id=str(number), question=f'the {word}', answers=right)
      articles.append(dict(title=str(number), paragraphs=[dict(context=context, qas=[question])]))
      asked[split].append(dict(question=f'the {word}', context=context))
    (tmp_path / f'{split}.json').write_text(json.dumps(dict(data=articles)))
  run = tune(tmp_path, 'answer', f'squad:{tmp_path}', **{'data.sequence_length': 48})
  lines = tmp_path / 'asked.jsonl'
  lines.write_text(''.join(json.dumps(line) + '\n' for line in asked['test']))
  answer = call('predict', f'--weights={run}', f'--input={lines}', '--json')
  assert answer.code == 0, answer.err
  said = [json.loads(line) for line in (run / 'predictions_test.jsonl').open()]
  found = [json.loads(line) for line in answer.out.splitlines()]
  assert len(found) == len(said) == 6
  for line, before, one in zip(found, said, asked['test']):
    assert (line['answer'], line['start'], line['end']) == (
      before['prediction'],
      before['start'],
      before['end'],
    )
    assert line['score'] == pytest.approx(before['probability'], abs=1e-5)
    if line['answer']:
      assert one['context'][line['start'] : line['end']].strip() == line['answer']
  scored = json.loads(call('eval', f'--workdir={run}', '--json').out)
  result = json.loads((run / 'result.json').read_text())
  assert scored['test'] == {name: result['test'][name] for name in scored['test']}
