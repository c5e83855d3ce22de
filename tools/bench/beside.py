"""One fine-tuning with train.py and with the Trainer of transformers: runs, and their table."""

import json
import math
from pathlib import Path
from statistics import fmean, median, stdev
import subprocess
import sys

from data.tasks import open_task
from runtime.json_file import peek
from tools.bench import same_rows

ROOT = Path(__file__).resolve().parents[2]
TASKS = (
  'sst2 trec mrpc rte sick sick:degree conll2000 conll2002 conll2002:ned wikiann squad'
).split()
# Of both sides. The rate falls as a cosine, which is the same in both libraries; the line is not.
STEPS, ROWS, T, STRIDE, WARMUP, RATE = 100, 16, 64, 16, 10, 1e-4
DECAY, EPSILON = 0.01, 1e-8
_SCORED = 300  # examples of validation and of test


def train(side: str, name: str, out: Path, *, weights: str, task_data: str, seeds: int):
  """Trains and scores the seeds of a task that have no result below `out` yet.

  Args:
    side: ours, or peer.
    weights: a Hugging Face directory.
    task_data: the folder with the published files.
  """
  task = same_rows.write(name, task_data, out / 'rows' / _plain(name), _SCORED)
  for seed in range(seeds):
    path = path_of(out, side, name, seed)
    if not path.exists():
      path.parent.mkdir(parents=True, exist_ok=True)
      found = dict(ours=_ours, peer=_peer)[side](task, weights, seed, path.with_suffix(''))
      path.write_text(json.dumps(found) + '\n')


def _plain(name: str) -> str:
  return name.replace(':', '_')


def path_of(out: Path, side: str, name: str, seed: int) -> Path:
  return out / side / f'{_plain(name)}-{seed}.json'


def _ours(task: str, weights: str, seed: int, folder: Path) -> dict:
  """{metric, score, rate} of a run of train.py."""
  kind = dict(conll='tag', squad='answer').get(task.partition(':')[0], 'classify')
  fields = {
    'init_from': weights,
    'seed': seed,
    'steps': STEPS,
    'batch_size': ROWS,
    'data.task': task,
    'data.sequence_length': T,
    'data.stride': STRIDE,
    'model.scan': False,
    'optimizer.learning_rate': RATE,
    'optimizer.schedule': 'cosine',
    'optimizer.warmup_steps': WARMUP,
    'optimizer.weight_decay': DECAY,
    'optimizer.epsilon': EPSILON,
    'validation.every': STEPS,
    'validation.first': False,
    'checkpoint.every': STEPS,
    'log.tensorboard': False,
  }
  command = [sys.executable, 'train.py', f'--config=configs/finetune/{kind}.py']
  command += [f'--workdir={folder}', f'--compiled={folder.parent / "compiled"}']
  command += [f'--config.{name}={value}' for name, value in fields.items()]
  with folder.with_suffix('.log').open('w') as log:
    subprocess.run(command, cwd=ROOT, check=True, stdout=log, stderr=log)
  result = json.loads((folder / 'result.json').read_text())
  rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
  seconds = median(seconds_of(rows[:STEPS]))
  metric = result['metric']
  return dict(metric=metric, score=result['test'][metric], rate=ROWS / seconds)


def seconds_of(rows: list[dict]) -> list[float]:
  """Seconds of each step of metrics.jsonl, whose `tokens` are those of the run so far."""
  before = [0, *(row['tokens'] for row in rows)]
  return [(row['tokens'] - tokens) / row['tokens_per_second'] for row, tokens in zip(rows, before)]


def _peer(task: str, weights: str, seed: int, folder: Path) -> dict:
  """The same of the Trainer."""
  from evaluation import examples
  from tools.bench.peer_finetune import Peer

  loaded = open_task.load_named(task, '')
  peer = Peer(weights, loaded, T, STRIDE, seed)
  trainer = peer.trainer(
    peer.features('train'),
    output_dir=str(folder),
    seed=seed,
    max_steps=STEPS,
    per_device_train_batch_size=ROWS,
    per_device_eval_batch_size=32,
    learning_rate=RATE,
    lr_scheduler_type='cosine',
    warmup_steps=WARMUP,
    weight_decay=DECAY,
    adam_epsilon=EPSILON,
  )
  rate = trainer.train().metrics['train_samples_per_second']
  metric = examples.headline(loaded)
  return dict(
    metric=metric, score=examples.score(loaded, 'test', peer.said(trainer))[metric], rate=rate
  )


def table(out: Path, tasks: list[str], seeds: int) -> list[str]:
  """Markdown: a row a task of which both sides have several seeds."""
  lines = [
    '| task | metric | onemask | transformers | difference, 95% | examples/s, both | ratio |',
    '|---|---|---|---|---|---|---|',
  ]
  for name in tasks:
    found = {
      side: [peek(path_of(out, side, name, seed)) for seed in range(seeds)]
      for side in ('ours', 'peer')
    }
    if all(all(each) for each in found.values()) and seeds > 1:
      lines.append(_line(name, found['ours'], found['peer']))
  return lines


def _line(name: str, ours: list[dict], peer: list[dict]) -> str:
  scores = [[each['score'] for each in side] for side in (ours, peer)]
  rates = [median(each['rate'] for each in side) for side in (ours, peer)]
  difference, half = apart(*scores)
  cells = [
    f'`{name}`',
    ours[0]['metric'],
    *(f'{fmean(side):.3f} ± {stdev(side):.3f}' for side in scores),
    f'{difference:+.3f} ± {half:.3f}' + ('' if abs(difference) <= half else ' **apart**'),
    f'{rates[0]:.0f} / {rates[1]:.0f}',
    f'{rates[0] / rates[1]:.1f}',
  ]
  return f'| {" | ".join(cells)} |'


def apart(ours: list[float], peer: list[float]) -> tuple[float, float]:
  """(difference of the means, half of its 95% interval): Welch's, the two sides share no draw."""
  from scipy import stats

  parts = [stdev(side) ** 2 / len(side) for side in (ours, peer)]
  difference, variance = fmean(ours) - fmean(peer), sum(parts)
  if not variance:
    return difference, 0.0
  freedom = variance**2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (ours, peer)))
  return difference, float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
