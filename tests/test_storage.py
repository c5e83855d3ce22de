"""A workdir on a store of objects: nothing is appended, renamed
in place or opened around runtime/storage.py.
"""

import ast
import datetime
import json
import os
from pathlib import Path
import socket

import bucket
import pytest

from configs import base
from configs.schema import check
from configs.schema.check import ConfigError
from runtime import lock, storage, workdir
from runtime.atomic import atomic_write
from runtime.errors import StateError
from training import metrics

ROOT = Path(__file__).resolve().parents[1]
CODE = [
  ROOT / 'train.py',
  ROOT / 'eval.py',
  *(
    path
    for folder in ('training', 'evaluation', 'tools', 'runtime', 'parallel', 'inference')
    for path in sorted((ROOT / folder).rglob('*.py'))
  ),
]
# What may use the file system of this machine, and why;
# everything else goes through a path that may be gs://.
ALLOWED = {
  'runtime/storage.py': 'the one place that knows both',
  'tools/architecture.py': 'the code of this tree, and pages of its documentation',
  'tools/configs.py': 'the same',
  'runtime/cli.py': 'names of programs and of the files of configs/',
  "runtime/software.py: (_ROOT / folder).rglob('*.py')": 'the code of this program',
  'training/checkpoint.py: shutil': 'free room, asked only where the folder is on a disk of this '
  'machine',
  "training/metrics.py: path.open('a')": 'metrics.jsonl of a disk; a store has parts',
  'runtime/lock.py: path.rename(aside)': 'a dead lock on a disk; one on a store is left '
  'before this',
  'runtime/lock.py: aside.rename(path)': 'the same',
  'eval.py: Path(flags.task_data)': 'data of tasks, not a workdir',
  'tools/claims/schema.py: Path(file)': 'the files of claims/',
  'tools/claims/evidence.py: Path(base.__file__)': 'the configs of this tree',
  "tools/claims/evidence.py: Path('DIR')": 'what a command calls it',
  'tools/attention.py: Path(flags.out)': 'a picture for the person at this machine',
  'inference/attention_figure.py: Path(path)': 'the name of a model, cut short',
  "tools/convert.py: to.rglob('*')": 'what it wrote, always to a folder here',
  'tools/embed.py: Path(flags.input)': 'text of a person',
  "inference/saved_vectors.py: open(new, 'wb')": 'a file of a person at this machine',
  "inference/saved_vectors.py: open(part, 'r+b' if done else 'w+b')": 'vectors for a person',
  'tools/rank.py: Path(flags.input)': 'a file of a person at this machine',
  'tools/predict/__main__.py: Path(flags.output)': 'a file of a person at this machine',
  'tools/predict/__main__.py: Path(flags.input)': 'a file of a person at this machine',
  'tools/mine.py: Path(name)': 'a file of a person at this machine',
  'tools/embed.py: Path(flags.matrix)': 'a file of a person at this machine',
  'tools/bench/__main__.py: Path(folder)': 'a benchmark is of this machine',
  'evaluation/vectors/common.py: Path(path.stem)': 'the name of a file, cut short',
  'tools/generate.py: Path(flags.prompts)': 'prompts of a person',
  'tools/poolings.py: Path(run)': 'a scratch folder',
  'tools/poolings.py: Path(flags.task_data)': 'data of tasks, not a workdir',
  'tools/prepare.py: shutil': 'rows are on a disk of the machine that trains, never in a workdir',
  'tools/prepare.py: Path(flags.config.data.cache)': 'the same',
  'tools/sweep/__main__.py: Path(flags.sweep)': 'a file of configs/sweeps',
  'tools/sweep/__main__.py: Path(flags.task_data)': 'data of tasks, not a workdir',
  'tools/sweep/__main__.py: Path(task_data)': 'data of tasks, not a workdir',
  'tools/sweep/slurm.py: shutil': 'looks for programs; a sweep on gs:// is refused before',
  "tools/sweep/slurm_task.py: open(task['log'], 'a')": 'a folder that the nodes of a cluster '
  'share; see tools/sweep/slurm.py',
  'tools/sweep/slurm_task.py: Path(path)': 'the same',
  "runtime/allocator.py: Path('/sys/kernel/mm/transparent_hugepage/enabled')": 'a switch of this '
  'machine',
  'runtime/help_page.py: shutil': 'the width of the terminal',
  'runtime/interrupt.py': 'the name of the program',
  'runtime/config_flag.py: Path(name)': 'a config is code of this machine',
  "runtime/config_flag.py: (_ROOT / 'configs').rglob('*.py')": 'the configs of this tree',
  'runtime/compiler.py: Path(folder)': 'compiled programs of this machine',
  **{
    f'tools/bench/{name}.py': 'a benchmark is of this machine, in scratch folders'
    for name in (
      'embed',
      'generate',
      'input',
      'pairs',
      'peer',
      'peer_embed',
      'finetune',
      'peer_finetune',
      'scores',
      'same_rows',
      'groups',
      'peer_groups',
      'start',
      'train',
      'worker',
    )
  },
}
_OS = (
  'path',
  'rename',
  'replace',
  'remove',
  'unlink',
  'utime',
  'listdir',
  'scandir',
  'walk',
  'stat',
  'mkdir',
  'makedirs',
  'link',
  'symlink',
  'rmdir',
)


def local_only(path: Path) -> set[str]:
  """What a file does that works on a disk of this machine only, as written."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import | ast.ImportFrom):
      names = [alias.name for alias in node.names] + [getattr(node, 'module', None)]
      found |= {name for name in names if name in ('shutil', 'os.path')}
    elif (
      isinstance(node, ast.Call)
      and isinstance(node.func, ast.Name)
      and node.func.id in ('open', 'Path')
    ):
      if (
        '__file__' not in ast.unparse(node) or node.args and ast.unparse(node.args[0]) != '__file__'
      ):
        found.add(ast.unparse(node))
    elif (
      isinstance(node, ast.Call)
      and isinstance(node.func, ast.Attribute)
      and (
        node.func.attr in ('rename', 'touch', 'chmod', 'symlink_to', 'hardlink_to', 'rglob')
        or node.func.attr == 'open'
        and any(isinstance(arg, ast.Constant) and {*str(arg.value)} & {*'ax+'} for arg in node.args)
      )
    ):
      found.add(ast.unparse(node))
    elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith(
      tuple(f'os.{name}' for name in _OS)
    ):
      found.add(ast.unparse(node))
  return found


def test_no_path_of_a_run_is_opened_around_the_store():
  seen = set()
  for path in CODE:
    name = str(path.relative_to(ROOT))
    for use in local_only(path):
      allowed = {name, f'{name}: {use}'} & ALLOWED.keys()
      assert allowed, f'{name}: {use} works on no gs://; use runtime/storage.py'
      seen |= allowed
  assert seen == ALLOWED.keys(), 'these exceptions are not needed any more'


def test_the_rule_catches_what_it_is_for(tmp_path):
  file = tmp_path / 'x.py'
  file.write_text(
    'import shutil\nopen(workdir)\nPath(workdir)\nos.replace(a, b)\nos.environ[0]\npath.open("w")\n'
    'path.open("ab")\npath.rename(other)\n"a".replace("a", "b")\n'
  )
  assert local_only(file) == {
    'shutil',
    'open(workdir)',
    'Path(workdir)',
    'os.replace',
    "path.open('ab')",
    'path.rename(other)',
  }


@pytest.fixture
def run(monkeypatch):
  bucket.mount(monkeypatch)
  return storage.resolve_path('gs://bucket/runs/mine')


def names(folder) -> set[str]:
  return {path.name for path in folder.iterdir()}


def test_a_store_that_is_not_known_or_not_installed_is_one_line(monkeypatch):
  with pytest.raises(
    ConfigError, match='--workdir=memory://x: memory:// is no store that is known; there are gs://'
  ):
    storage.resolve_path('memory://x')
  monkeypatch.setattr(storage, 'SCHEMES', {'gs': ('no_such_package', 'gcs')})
  with pytest.raises(
    ConfigError,
    match=r'--weights=gs://a: gs:// needs no_such_package: pip '
    r"install -e '.\[gcs\]'",
  ):
    storage.resolve_path('gs://a', '--weights')


def test_paths_of_this_machine_stay_what_they_were(tmp_path):
  assert storage.resolve_path(str(tmp_path)) == tmp_path and not storage.remote(tmp_path)
  assert storage.resolve_path('~/x') == Path.home() / 'x'


def test_of_two_that_claim_an_object_one_wins(run):
  storage.claim(run / 'lock.json', 'first')
  with pytest.raises(FileExistsError):
    storage.claim(run / 'lock.json', 'second')
  assert (run / 'lock.json').read_text() == 'first'


def age(path, seconds: float):
  kept = bucket.Bucket.store[bucket.Bucket._strip_protocol(path)]
  kept.modified = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)


def test_a_run_on_a_store_is_locked_kept_alive_and_released(run, monkeypatch):
  monkeypatch.setattr(lock, '_HEARTBEAT_S', 0.05)
  with lock.locked(run):
    age(run / 'lock.json', 1_000)
    end = datetime.datetime.now() + datetime.timedelta(seconds=20)
    while datetime.datetime.now().timestamp() - (run / 'lock.json').stat().mtime > 500:
      assert datetime.datetime.now() < end, 'no heartbeat'
    assert json.loads((run / 'lock.json').read_text())['pid'] == os.getpid()
  assert not (run / 'lock.json').exists()


def test_a_lock_on_a_store_is_respected_while_its_heartbeat_is_young(run):
  holder = dict(host=f'not-{socket.gethostname()}', pid=7, start='noon')
  storage.claim(run / 'lock.json', json.dumps(holder))
  with pytest.raises(StateError, match='in use by process 7 on not-'), lock.locked(run):
    pass
  age(run / 'lock.json', 400)
  said = []
  with lock.locked(run, said.append):
    pass
  assert said == [f'taking over the lock of process 7 on {holder["host"]}, which is gone']


def test_metrics_lie_in_parts_that_are_whole_objects(run, monkeypatch):
  monkeypatch.setattr(metrics, '_PART_BYTES', 40)
  log = metrics.MetricsLog(run, resume_step=0, tensorboard=True)
  for step in range(8):
    log.write(dict(step=step, x=0.5))
    if step % 2:
      log.flush()  # and then it is killed: nothing is closed
  assert metrics.read(run) == [dict(step=step, x=0.5) for step in range(8)]
  assert names(run) == {'metrics'} and len(names(run / 'metrics')) > 1


@pytest.mark.parametrize('resume', [0, 1, 4, 5, 8])
def test_a_resumed_run_on_a_store_drops_what_it_will_write_again(run, monkeypatch, resume):
  monkeypatch.setattr(metrics, '_PART_BYTES', 40)
  log = metrics.MetricsLog(run, resume_step=0, tensorboard=False)
  for step in range(8):
    log.write(dict(step=step, x=0.5))
    if step % 3 == 2:
      log.flush()
  log.close()
  again = metrics.MetricsLog(run, resume_step=resume, tensorboard=False)
  assert [row['step'] for row in metrics.read(run)] == list(range(resume))
  for step in range(resume, 9):
    again.write(dict(step=step, x=0.25))
  again.close()
  assert [(row['step'], row['x']) for row in metrics.read(run)] == [
    (step, 0.5 if step < resume else 0.25) for step in range(9)
  ]


def test_rows_that_a_checkpoint_covers_survive_a_kill_while_the_log_is_cut(run, monkeypatch):
  log = metrics.MetricsLog(run, resume_step=0, tensorboard=False)
  for step in range(6):
    log.write(dict(step=step))
  log.close()
  path = type(run / 'metrics')
  killed = lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
  with monkeypatch.context() as patch:
    patch.setattr(path, 'write_text', killed)
    with pytest.raises(KeyboardInterrupt):
      metrics.MetricsLog(run, resume_step=4, tensorboard=False)
  assert [row['step'] for row in metrics.read(run)][:4] == [0, 1, 2, 3]


def test_restart_moves_the_objects_of_an_earlier_run_aside(run):
  config = check.resolve(base.get_config())
  storage.claim(run / 'lock.json', '{}')  # as in a run: there is no empty folder on a store
  workdir.open_config(run, config, restart=False)
  (run / 'checkpoints' / 'step_00000004' / 'manifest.json').write_text('{}')
  workdir.open_config(run, config | dict(steps=777), restart=True)
  assert names(run) == {'before-1', 'config.json', 'lock.json'}
  assert json.loads((run / 'before-1' / 'config.json').read_text()) == config
  assert (run / 'before-1' / 'checkpoints' / 'step_00000004' / 'manifest.json').read_text() == '{}'
  assert workdir.read_config(run).steps == 777


def test_a_program_may_write_its_log_to_a_store(run):
  for text in ('one\n', 'two\n'):
    with storage.appending(run / 'a.log') as log:
      os.write(log.fileno(), text.encode())
  assert (run / 'a.log').read_text() == 'one\ntwo\n'


def test_links_lead_from_a_page_to_a_run(tmp_path, run):
  assert storage.link(tmp_path / 'a' / 'b', tmp_path / 'c') == '../a/b'
  assert storage.link(run / 'x.json', run / 'report') == '../x.json'
  assert storage.link(run, tmp_path) == 'gs://bucket/runs/mine'


def test_a_file_is_the_old_one_or_the_new_one_whole(tmp_path, monkeypatch):
  path = tmp_path / 'manifest.json'
  atomic_write(path, 'old')
  monkeypatch.setattr(Path, 'replace', lambda *_: (_ for _ in ()).throw(OSError('killed here')))
  with pytest.raises(OSError, match='killed here'):
    atomic_write(path, b'new')
  assert path.read_text() == 'old'
  monkeypatch.undo()
  atomic_write(path, b'new')
  assert path.read_bytes() == b'new' and names(tmp_path) == {'manifest.json'}


def test_processes_that_race_to_write_a_file_do_not_share_its_temporary_name(tmp_path, monkeypatch):
  temporary = []
  monkeypatch.setattr(Path, 'replace', lambda new, _: temporary.append(new.name))
  for pid in (1, 2):
    monkeypatch.setattr(os, 'getpid', lambda pid=pid: pid)
    atomic_write(tmp_path / 'note', 'text', racing=True)
  assert len(set(temporary)) == 2
