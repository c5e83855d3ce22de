"""Real runs of train.py in processes of their own, small enough for a test."""

from collections.abc import Callable
import csv
import json
import os
from pathlib import Path
import subprocess
import sys
import time

import numpy as np

ROOT = Path(__file__).resolve().parents[1]

SHAPE = {
  'model.vocab_size': 300,
  'model.layers': 2,
  'model.width': 32,
  'model.heads': 2,
  'model.feed_forward': 64,
  'model.max_length': 32,
}
TINY = dict(
  steps=12,
  batch_size=8,
  **{
    'data.sequence_length': 32,
    'data.validation_share': 0.1,
    'data.max_unknown_share': 1.0,
    **SHAPE,
    'model.dropout': 0.1,
    'optimizer.warmup_steps': 4,
    'optimizer.learning_rate': 1e-3,
    'validation.every': 6,
    'checkpoint.every': 4,
    'validation.batch_size': 8,
    'log.tensorboard': 'False',
  },
)
WORDS = (
  'the bank of river he paid cash into money water slow deep old man sat fish boat near small town'
).split()


def corpus(folder: Path, documents: int = 40) -> Path:
  """A file of documents that differ, each of several sentences a line."""
  lines = []
  for d in range(documents):
    for s in range(3 + d % 4):
      words = [
        WORDS[(d * 7 + s * 5 + i * (1 + d % 3)) % len(WORDS)] for i in range(5 + (d + s) % 6)
      ]
      lines.append(' '.join([*words, str(d)]).capitalize() + '.')
    lines.append('')
  path = folder / 'corpus.txt'
  path.write_text('\n'.join(lines))
  return path


def command(config: str, workdir: Path, text: Path, **changes) -> list[str]:
  fields = (
    TINY | {'data.corpus': f'text:{text}', 'data.cache': str(text.parent / 'cache')} | changes
  )
  return [
    sys.executable,
    str(ROOT / 'train.py'),
    f'--config={ROOT}/configs/{config}.py',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
  ]


FINETUNED = {
  'steps': 12,
  'batch_size': 8,
  'optimizer.learning_rate': 3e-3,
  'validation.every': 6,
  'validation.batch_size': 16,
  'checkpoint.every': 4,
  'log.tensorboard': 'False',
}


def table(folder: Path) -> Path:
  """Three CSV files; the label says whether "fish" or "boat" is the last of the words."""
  random = np.random.default_rng(0)
  for split, count in dict(train=60, validation=21, test=19).items():
    with (folder / f'{split}.csv').open('w', newline='') as file:
      writer = csv.writer(file)
      writer.writerow(['id', 'text', 'label'])
      for number in range(count):
        label = 'fish' if number % 3 else 'boat'
        text = [*random.choice(WORDS[:15], random.integers(2, 7)), label]
        writer.writerow([number, ' '.join(text), label])
  return folder


def finetune(config: str, trunk: Path, task: str, workdir: Path, **changes) -> list[str]:
  fields = FINETUNED | {'init_from': trunk, 'data.task': task} | changes
  return [
    sys.executable,
    str(ROOT / 'train.py'),
    f'--config={ROOT}/configs/{config}.py',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
  ]


# What no run may write anywhere; every run of a test has them in its environment.
SECRETS = {
  name: f'secret-of-{name.lower()}'
  for name in (
    'HF_TOKEN',
    'HUGGING_FACE_HUB_TOKEN',
    'WANDB_API_KEY',
    'AWS_SECRET_ACCESS_KEY',
    'GOOGLE_API_KEY',
    'KUBERNETES_TOKEN',
    'PASSWORD',
  )
}


def environment(fault: str | None = None) -> dict[str, str]:
  env = dict(os.environ, JAX_PLATFORMS='cpu', **SECRETS)
  env.pop('XLA_FLAGS', None)  # the compiler as a user's run has it
  env.pop('FAULT', None)
  return env | ({'FAULT': fault} if fault else {})


def run(
  args: list[str], *, fault: str | None = None, timeout: int = 600
) -> subprocess.CompletedProcess:
  return subprocess.run(
    args, cwd=ROOT, env=environment(fault), capture_output=True, text=True, timeout=timeout
  )


def wait_until(holds: Callable[[], bool], seconds: int = 600):
  end = time.monotonic() + seconds
  while not holds():
    assert time.monotonic() < end, f'not within {seconds} s'
    time.sleep(0.05)


VOLATILE = ('seconds', 'tokens_per_second')


def rows(workdir: Path) -> list[dict]:
  """The rows of a run without what depends on speed."""
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [
    {name: value for name, value in json.loads(line).items() if name not in VOLATILE}
    for line in lines
  ]


def digest(workdir: Path) -> str:
  """Of every array of the newest checkpoint."""
  newest = max(
    path for path in (workdir / 'checkpoints').glob('step_*') if (path / 'manifest.json').exists()
  )
  return json.loads((newest / 'extra.json').read_text())['digest']
