"""Keeps what today's commit leaves, for tests/test_before.py to read from now on.

  python tests/keep_release.py     (writes tests/released/COMMIT.zip; of a clean checkout)

run: a run of bert_tiny in small, stopped after 8 of 12 steps, and in expected.json the metrics of
all 12. export: a GPT in small, as tools.convert writes it for transformers. import: that, imported.
"""

import json
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import zipfile

import runs

ROOT = Path(__file__).resolve().parents[1]
RELEASED = ROOT / 'tests/released'
LARGEST = 300_000  # bytes: every clone carries these files
FIELDS = {
  'data.corpus': 'text:corpus.txt',
  'data.cache': 'cache',
  'batch_size': 8,
  'data.sequence_length': 32,
  'data.validation_share': 0.1,
  'data.max_unknown_share': 1.0,
  'model.vocab_size': 300,
  'model.layers': 2,
  'model.width': 16,
  'model.heads': 2,
  'model.feed_forward': 32,
  'model.max_length': 32,
  'model.dropout': 0,
  'model.attention_dropout': 0,
  'optimizer.warmup_steps': 4,
  'optimizer.learning_rate': '1e-3',
  'optimizer.schedule': 'constant',
  'optimizer.final_share': 0,
  'validation.every': 4,
  'checkpoint.every': 4,
  'checkpoint.keep': 1,
  'validation.batch_size': 8,
  'log.tensorboard': False,
}


def keep(folder: Path):
  """Makes the files of a release in an empty folder."""
  with zipfile.ZipFile(RELEASED / '05202d7.zip') as archive:
    archive.extract('corpus.txt', folder)
  _train(folder, 'bert_tiny', 'run', steps=8)
  shutil.copytree(folder / 'run', folder / 'whole')
  _train(folder, 'bert_tiny', 'whole', '--allow_change=steps', steps=12)
  rows = runs.rows(folder / 'whole')
  for row in rows:
    del row['config_hash']  # of all knobs, and later ones will have more
  (folder / 'expected.json').write_text(json.dumps(dict(rows=rows)))
  _train(folder, 'gpt_tiny', 'gpt', steps=8)
  _run(folder, '-m', 'tools.convert', '--export=hf', '--workdir=gpt', '--to=export')
  _run(folder, '-m', 'tools.convert', '--from=export', '--to=import')
  (folder / 'fields.json').write_text(json.dumps(FIELDS))
  for name in ('whole', 'gpt', 'cache', 'run/curves.png', 'run/phase'):
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def train_command(name: str, workdir: str, fields: dict, *flags: str) -> list[str]:
  """The command, after `python`, that trains a config in small in the folder of a release."""
  command = [str(ROOT / 'train.py'), f'--config={ROOT}/configs/{name}.py', f'--workdir={workdir}']
  return [*command, *flags, *(f'--config.{field}={value}' for field, value in fields.items())]


def _train(folder: Path, name: str, workdir: str, *flags: str, steps: int):
  _run(folder, *train_command(name, workdir, FIELDS | dict(steps=steps), *flags))


def _run(folder: Path, *command: str):
  env = runs.environment() | dict(PYTHONPATH=str(ROOT))
  subprocess.run([sys.executable, *command], cwd=folder, env=env, check=True)


def main():
  git = lambda *words: subprocess.check_output(['git', *words], cwd=ROOT, text=True).strip()
  if git('status', '--porcelain', '--untracked-files=no'):
    sys.exit('keep_release: commit first: the files are of a commit.')
  path = RELEASED / f'{git("rev-parse", "--short=7", "HEAD")}.zip'
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    keep(folder)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
      for file in sorted(folder.rglob('*')):
        if file.is_file():
          archive.write(file, file.relative_to(folder))
  size = path.stat().st_size
  if size > LARGEST:
    path.unlink()
    sys.exit(f'keep_release: {size:,} bytes; make the models smaller.')
  print(f'{path.relative_to(ROOT)}: {size:,} bytes')


if __name__ == '__main__':
  main()
