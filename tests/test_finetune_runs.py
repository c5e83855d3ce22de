"""Fine-tuning as a run: files in; a model, its labels, its scores and its predictions out."""

import csv
import json
from pathlib import Path
import signal

import numpy as np
import pytest
import runs

TINY = {
  'steps': 12,
  'batch_size': 8,
  'optimizer.learning_rate': 3e-3,
  'validation.every': 6,
  'validation.batch_size': 16,
  'checkpoint.every': 4,
  'log.tensorboard': 'False',
}
WORDS = 'the bank of river he paid cash into money water slow deep old man sat'.split()


@pytest.fixture(scope='module')
def trunk(tmp_path_factory) -> Path:
  """A pre-trained model: two layers, a vocabulary of its own."""
  folder = tmp_path_factory.mktemp('trunk')
  text = runs.corpus(folder)
  done = runs.run(runs.command('bert_tiny', folder / 'run', text, steps=6))
  assert done.returncode == 0, done.stderr
  return folder / 'run'


@pytest.fixture(scope='module')
def table(tmp_path_factory) -> Path:
  """Three CSV files; the label says whether "fish" or "boat" is among the words."""
  folder = tmp_path_factory.mktemp('table')
  random = np.random.default_rng(0)
  for split, count in dict(train=60, validation=21, test=19).items():
    with (folder / f'{split}.csv').open('w', newline='') as file:
      writer = csv.writer(file)
      writer.writerow(['id', 'text', 'label'])
      for number in range(count):
        label = 'fish' if number % 3 else 'boat'
        words = [*random.choice(WORDS, random.integers(2, 7)), label]
        writer.writerow([number, ' '.join(words), label])
  return folder


def command(trunk: Path, task: str, workdir: Path, config='classify', **changes) -> list[str]:
  fields = TINY | {'init_from': trunk, 'data.task': task} | changes
  return [
    runs.sys.executable,
    str(runs.ROOT / 'train.py'),
    f'--config={runs.ROOT}/configs/finetune/{config}.py',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
  ]


@pytest.fixture(scope='module')
def whole(trunk, table, tmp_path_factory) -> Path:
  """The workdir of an undisturbed run."""
  workdir = tmp_path_factory.mktemp('whole') / 'run'
  done = runs.run(command(trunk, f'csv:{table}', workdir))
  assert done.returncode == 0, done.stderr
  assert 're-initialised: sequence' in done.stdout.replace('\n', ' ')
  return workdir


def test_a_run_leaves_labels_scores_predictions_and_a_certificate(whole):
  result = json.loads((whole / 'result.json').read_text())
  assert result['majority']['test']['accuracy'] == 12 / 19
  assert 0 <= result['validation']['accuracy'] <= 1 and result['metric'] == 'accuracy'
  labels = json.loads((whole / 'labels.json').read_text())
  assert labels['classes'] == ['boat', 'fish'] and labels['train'] == dict(boat=20, fish=40)
  assert labels['pooling'] == 'first' and labels['kind'] == 'text'
  for split, count in dict(validation=21, test=19).items():
    lines = [json.loads(line) for line in (whole / f'predictions_{split}.jsonl').open()]
    assert len(lines) == count
    hits = sum(line['gold'] == line['prediction'] for line in lines)
    assert result[split]['accuracy'] == pytest.approx(hits / count)
    for line in lines:
      assert line['text'].endswith(line['gold'])
      assert line['probability'] == max(line['probabilities'].values())
      assert sum(line['probabilities'].values()) == pytest.approx(1)
      # the loss is what the probabilities say
    nats = [-np.log(line['probabilities'][line['gold']]) for line in lines]
    assert result[split]['loss'] == pytest.approx(np.mean(nats), rel=1e-4)
  assert (whole / 'certificate.json').exists() and (whole / 'curves.png').exists()
  config = json.loads((whole / 'config.json').read_text())
  assert config['model']['width'] == 32 and config['mask'] == 'bidirectional'
  assert config['data']['tokenizer'].endswith('tokenizer.json')


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(trunk, table, whole, tmp_path):
  args = command(trunk, f'csv:{table}', tmp_path / 'run')
  assert runs.run(args, fault='die_at_step:6').returncode == -signal.SIGKILL
  last = runs.run(args)
  assert last.returncode == 0 and 'at step 4' in last.stdout, last.stderr
  assert runs.rows(tmp_path / 'run') == runs.rows(whole)
  assert runs.digest(tmp_path / 'run') == runs.digest(whole)
  for name in ('certificate.json', 'predictions_test.jsonl', 'predictions_validation.jsonl'):
    assert (tmp_path / 'run' / name).read_text() == (whole / name).read_text(), name
