"""A damaged file of a workdir is refused by its name, with what to do, and nothing is lost.

Each file of a real run (tests/released/05202d7.zip) and of a sweep is damaged in each way, and read
by each function of the programs that reads it.
"""

import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import zipfile

import pytest

from data import cache
from data.errors import DataError
from data.tokens import reading
from runtime import json_file, records, software, workdir
from runtime.errors import StateError, WeightsError
from tools.report import results
from tools.sweep import slurm_task
from training import certificate, checkpoint, load, metrics, plan

ROOT = Path(__file__).resolve().parents[1]
STEP = 'checkpoints/step_00000008'

DAMAGES = dict(
  empty=lambda content: b'',
  cut=lambda content: content[: len(content) // 2],
  garbage=lambda content: b'not what was written\n',
  wrong_type=lambda content: b'[]\n',
  binary=lambda content: bytes(range(256)) * 4,
  nested=lambda content: b'{"a":' * 100_000,
  zeros=lambda content: bytes(len(content)),
)
# (file, what reads it, the error's class): every function that a program reads a file with.
READERS = {
  'config': ('config.json', workdir.read_config, StateError),
  'config of a start': (
    'config.json',
    lambda run: workdir.check_config(run, {}, restart=False),
    StateError,
  ),
  'config of a finished run': ('config.json', lambda run: workdir.finished(run, {}), StateError),
  'config of any model': ('config.json', load.load, WeightsError),
  'result': ('result.json', lambda run: records.read_result(run / 'result.json'), StateError),
  'data': (
    'data.json',
    lambda run: workdir.check_fingerprint(run, dict(data='a', tokenizer='b')),
    StateError,
  ),
  'software': ('software.json', lambda run: software.note_software(run, {}, {}), StateError),
  'plan': ('plan.json', lambda run: plan.read_accumulate(run / 'plan.json'), StateError),
  'initial': ('initial.json', certificate.read_initial, StateError),
  'evaluations': ('evaluations.json', records.read_evaluations, StateError),
  'evaluations to add to': (
    'evaluations.json',
    lambda run: records.note_evaluations(run, dict(b=dict(value=1.0)), keep=True),
    StateError,
  ),
  'metrics': ('metrics.jsonl', metrics.read, StateError),
  'tokenizer': (
    'tokenizer.json',
    lambda run: reading.load(run / 'tokenizer.json', lowercase=True),
    DataError,
  ),
  'about an import': ('weights.json', lambda run: load.load(run), WeightsError),
  'certificate': ('certificate.json', results._read_certificate, StateError),
  'sweep': ('sweep.json', results.load, StateError),
  'tasks of SLURM': ('array_0.json', lambda run: slurm_task.read(run / 'array_0.json'), StateError),
  'cached rows': ('manifest.json', cache.manifest, DataError),
}
# What is read as text may be text that is no JSON.
TEXT = {'metrics.jsonl'}


@pytest.fixture(scope='module')
def left(tmp_path_factory) -> Path:
  """What a run has left, with the files of an import, a sweep and a cache."""
  folder = tmp_path_factory.mktemp('left')
  with zipfile.ZipFile(ROOT / 'tests/released/05202d7.zip') as archive:
    archive.extractall(folder)
  run = folder / 'run'
  (run / 'evaluations.json').write_text(json.dumps(dict(a=dict(value=1.0))))
  shutil.copy(folder / 'import/weights.json', run)
  sweep = dict(name='a', about='b', table={}, evaluations=[])
  sweep['runs'] = [dict(changes={}, folder='c', config_hash='d')]
  (run / 'sweep.json').write_text(json.dumps(sweep, indent=1))
  array = dict(requeues=1, tasks=[dict(folder='a', command=['b'], log='c')])
  (run / 'array_0.json').write_text(json.dumps(array, indent=1))
  (run / 'manifest.json').write_text(json.dumps(dict(bytes={}, splits={})))
  return run


@pytest.fixture
def run(left, tmp_path) -> Path:
  return Path(shutil.copytree(left, tmp_path / 'run'))


@pytest.mark.parametrize('damage', DAMAGES)
@pytest.mark.parametrize('name', READERS)
def test_a_damaged_file_is_refused_by_its_name_with_what_to_do(name, damage, run):
  file, read, error = READERS[name]
  path = run / file
  content = DAMAGES[damage](path.read_bytes())
  if file in TEXT:  # the last line may be cut off, so here all of them end
    content = content.rstrip(b'\n') + b'\n'
  path.write_bytes(content)
  with pytest.raises(error) as refused:
    read(run)
  text = str(refused.value)
  assert str(path) in text and 'Traceback' not in text and len(text) < 700
  assert any(word in text for word in ADVICE), text
  assert refused.value.exit_code in (3, 4)
  assert path.read_bytes() == content  # and it is left as it is


ADVICE = ('Remove', 'remove', 'Move', 'Bring', 'Copy', 'Import', 'Delete', 'Give', 'train', 'Make')


FIELDS = {
  ('result', 'step'): int,
  ('result', 'validation'): dict,
  ('data', 'data'): str,
  ('data', 'tokenizer'): str,
  ('plan', 'accumulate'): int,
  ('initial', 'sha256'): str,
  ('evaluations', 'a'): dict,
  ('about an import', 'heads'): list,
  ('about an import', 'framed'): bool,
  ('certificate', 'budget'): str,
  ('sweep', 'runs'): list,
  ('sweep', 'table'): dict,
  ('tasks of SLURM', 'tasks'): list,
  ('cached rows', 'bytes'): dict,
}
WRONG = (None, [], {}, 'text', 1.5, 1, True)


@pytest.mark.parametrize(
  'name, field, wrong',
  [(*of, wrong) for of, right in FIELDS.items() for wrong in WRONG if type(wrong) is not right]
  + [(*of, 'missing') for of in FIELDS if of != ('evaluations', 'a')],
)
def test_a_field_of_another_type_is_refused_by_file_and_field(name, field, wrong, run):
  file, read, error = READERS[name]
  whole = json.loads((run / file).read_text())
  changed = {key: value for key, value in whole.items() if key != field}
  (run / file).write_text(json.dumps(changed if wrong == 'missing' else whole | {field: wrong}))
  with pytest.raises(error) as refused:
    read(run)
  assert str(run / file) in str(refused.value) and field in str(refused.value)


@pytest.mark.parametrize('damage', DAMAGES)
@pytest.mark.parametrize('file', ['manifest.json', 'extra.json', 'state/_METADATA'])
def test_a_damaged_checkpoint_is_moved_aside_and_said(file, damage, run):
  path = run / STEP / file
  path.write_bytes(DAMAGES[damage](path.read_bytes()))
  said = []
  with pytest.raises(StateError, match='every checkpoint is damaged') as refused:
    checkpoint.restore_newest(run / 'checkpoints', {}, said.append)
  assert '--restart, which keeps the old files' in str(refused.value)
  assert f'damaged: {file}' in said[0] and (run / f'{STEP}.corrupt' / file).exists()


def rows(*steps) -> bytes:
  return b''.join(json.dumps(dict(step=step, tokens=step)).encode() + b'\n' for step in steps)


def resume(folder, step: int) -> list[str]:
  said = []
  log = metrics.MetricsLog(folder, resume_step=step, tensorboard=False, say=said.append)
  log.write(dict(step=step, tokens=0))
  log.close()
  return said


@pytest.mark.parametrize('at', range(4))
@pytest.mark.parametrize(
  'line',
  [b'', b'{"step": 1', b'\x00\x00', b'[1]', b'{"tokens": 3}', b'{"step": "1"}', b'\xff', b'['],
)
def test_a_damaged_line_in_the_middle_of_the_log_loses_no_other(line, at, tmp_path):
  path = tmp_path / 'metrics.jsonl'
  damaged = rows(*range(at)) + line + b'\n' + rows(*range(at + 1, 6))
  path.write_bytes(damaged)
  with pytest.raises(StateError, match=f'metrics.jsonl is damaged: line {at + 1}: '):
    metrics.read(tmp_path)
  assert metrics.there(tmp_path)
  [said] = resume(tmp_path, 5)
  assert 'metrics.jsonl is damaged' in said and 'kept as metrics.jsonl.damaged' in said
  assert (tmp_path / 'metrics.jsonl.damaged').read_bytes() == damaged
  assert [row['step'] for row in metrics.read(tmp_path)] == [x for x in range(6) if x != at]
  assert resume(tmp_path, 6) == []


def test_a_second_damage_does_not_replace_what_was_kept_of_the_first(tmp_path):
  for text in (b'one\n', b'two\n'):
    (tmp_path / 'metrics.jsonl').write_bytes(text)
    resume(tmp_path, 0)
  kept = sorted(path.read_bytes() for path in tmp_path.glob('metrics.jsonl.damaged*'))
  assert kept == [b'one\n', b'two\n']


@pytest.mark.parametrize('part', range(3))
def test_a_damaged_part_on_a_store_is_kept_and_loses_no_other_row(part, tmp_path, monkeypatch):
  monkeypatch.setattr(metrics.storage, 'remote', lambda path: True)
  folder = tmp_path / 'metrics'
  folder.mkdir()
  for first in (0, 3, 6):
    (folder / f'{first:08d}.jsonl').write_bytes(rows(first, first + 1, first + 2))
  path = folder / f'{3 * part:08d}.jsonl'
  damaged = path.read_bytes().replace(b'{', b'\x00', 1)
  path.write_bytes(damaged)
  with pytest.raises(StateError, match=f'{path.name} is damaged: line 1: '):
    metrics.read(tmp_path)
  [said] = resume(tmp_path, 8)
  assert f'kept as {path.name}.damaged' in said
  assert (folder / f'{path.name}.damaged').read_bytes() == damaged
  assert [row['step'] for row in metrics.read(tmp_path)] == [x for x in range(9) if x != 3 * part]


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
  path = tmp_path / 'large.json'
  with path.open('wb') as file:
    os.truncate(file.fileno(), 1 << 40)
  with pytest.raises(StateError, match='more than 16,777,216 bytes. Do this.'):
    json_file.read_object(path, refuse=StateError, todo='Do this.')


def test_a_missing_file_and_a_folder_in_its_place_are_refused_by_name(tmp_path):
  (tmp_path / 'b.json').mkdir()
  for name, words in (('a.json', 'is missing'), ('b.json', 'is a folder')):
    with pytest.raises(StateError, match=f'{name} {words}.* Do this.'):
      json_file.read_object(tmp_path / name, refuse=StateError, todo='Do this.')


def test_the_readers_know_every_json_file_that_a_run_writes():
  written = {Path(name).name for name in workdir._WRITTEN if name.endswith('.json')}
  # The report on the data is read by nobody; what labels mean is read by its own reader.
  assert written - {'data_report.json', 'labels.json'} <= {file for file, *_ in READERS.values()}


def test_an_unlucky_moment_loses_no_evaluation(tmp_path):
  """Two programs that write evaluations.json at once both keep their entries."""
  code = (
    'import sys; from runtime import records\n'
    'for n in range(20): records.note_evaluations(sys.argv[1], '
    '{f"{sys.argv[2]}{n}": dict(value=float(n))})'
  )
  writers = [
    subprocess.Popen(
      [sys.executable, '-c', code, str(tmp_path), name], env=os.environ | dict(PYTHONPATH=str(ROOT))
    )
    for name in 'abc'
  ]
  assert [writer.wait(600) for writer in writers] == [0, 0, 0]
  assert len(records.read_evaluations(tmp_path)) == 60
  assert [path.name for path in tmp_path.iterdir()] == ['evaluations.json']


def test_the_lock_of_a_killed_writer_of_evaluations_holds_nobody_up(tmp_path):
  code = (
    'import os, sys; from runtime import lock; from etils import epath\n'
    'with lock.briefly(epath.Path(sys.argv[1])): os._exit(9)'
  )
  path = tmp_path / 'evaluations.json.lock'
  done = subprocess.run(
    [sys.executable, '-c', code, str(path)], env=os.environ | dict(PYTHONPATH=str(ROOT))
  )
  assert done.returncode == 9 and path.exists()
  records.note_evaluations(tmp_path, dict(a=dict(value=1.0)))
  assert not path.exists() and records.read_evaluations(tmp_path) == dict(a=dict(value=1.0))
