"""A sweep is data: checked before it runs, finished once, and one table only where the runs are comparable."""

import dataclasses
import json
import os
from pathlib import Path
import subprocess
import sys

import pytest
import runs

from configs.check import ConfigError
from tools import report_page, reporting, sweeping
from training.errors import StateError

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = sorted(path for path in (ROOT / 'configs/sweeps').glob('*.py') if path.stem != '__init__')


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_sweep_is_a_table_of_runs_that_can_be(path, tmp_path):
  sweep = sweeping.load(path, tmp_path)
  assert len(sweep.runs) >= 12 and len({run.folder for run in sweep.runs}) == len(sweep.runs)
  assert sweep.about != sweep.name and all(run.flops() > 1e9 and run.state() == 'waiting' for run in sweep.runs)
  names = {name for run in sweep.runs for name in run.changes}
  for side in ('rows', 'columns'):
    axis = sweep.table[side]
    assert {axis} <= names if isinstance(axis, str) else {*axis} <= names


@pytest.mark.parametrize('text, words', [
    ("RUNS = [{'seed': 1}, {'seed': 2}, {'seed': 1}]", "run 3 .* is the same config as {'seed': 1}"),
    ("RUNS = [{'model.widht': 1}]", 'run 1 .*model.widht is no knob'),
    ("RUNS = [{'mask': 'causal'}]", 'run 1 .*nsp'),
    ("RUNS = [{'steps': 'many'}]", 'run 1 .*steps'),
    ('RUNS = []', 'RUNS is empty'),
    ('runs = []', 'does not define RUNS'),
    ('RUNS = nonsense', "NameError: name 'nonsense'"),
])
def test_a_sweep_that_cannot_run_is_refused_before_anything_does(text, words, tmp_path):
  file = tmp_path / 'sweep.py'
  file.write_text(f"BASE = 'configs/bert_tiny.py'\nTABLE = dict(rows='seed', columns='mask', value='loss')\n{text}\n")
  with pytest.raises(ConfigError, match=words):
    sweeping.load(file, tmp_path / 'out')
  with pytest.raises(ConfigError, match='mask_by_objective'):
    sweeping.load(tmp_path / 'none.py', tmp_path / 'out')


def finished(mask, seed, loss, **certificate):
  same = dict(data='d', tokenizer='t', validation_sha256='v', tokens=5, rows_sha256=f'r{seed}', initial_sha256='i')
  return reporting.Finished(f'{mask}-{seed}', {'mask': mask, 'objectives': {'mlm': 1.0}, 'seed': seed},
                            {'loss': loss}, same | certificate, [(0, 9.0), (5, loss)])


def sweep_of(*found):
  return reporting.Sweep('s', 'about', dict(rows='mask', columns='objectives', value='loss'), list(found), [])


def test_means_and_paired_differences_are_those_of_student():
  sweep = sweep_of(*(finished('a', seed, loss) for seed, loss in enumerate((1.0, 2.0, 3.0))),
                   *(finished('b', seed, loss) for seed, loss in enumerate((1.5, 2.4, 3.6))))
  rows, columns, cells = reporting.pivot(sweep)
  assert (rows, columns) == (['a', 'b'], ['mlm'])
  assert str(cells['a', 'mlm']) == '2.0000 ± 2.4841'  # t(0.975, 2) = 4.3027, deviation 1, root of 3
  [one] = reporting.differences(rows, columns, cells)
  assert one['difference'] == pytest.approx(-0.5) and one['half'] == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
  assert one['p'] == pytest.approx(0.0131, abs=1e-4)
  page = report_page.page(sweep, rows, columns, cells, [one])
  assert '2.0000 ± 2.4841' in page and 'http://' not in page.replace('http://www.w3.org', '').replace(
      'http://purl.org', '').replace('http://creativecommons.org', '')


@pytest.mark.parametrize('name', reporting.EQUAL)
def test_runs_that_differ_in_what_the_table_holds_equal_are_named(name):
  one, other = finished('a', 0, 1.0), finished('b', 0, 1.0, **{name: 'else'})
  assert reporting.differing(sweep_of(one, finished('b', 0, 1.0))) == []
  [line] = reporting.differing(sweep_of(one, other))
  assert name in line and 'a-0' in line and 'b-0' in line
  axis = reporting.EQUAL[name][0]
  explained = [dataclasses.replace(run, changes=run.changes | {axis + 'x' * axis.endswith('.'): run.folder})
               for run in (one, other)]
  assert reporting.differing(sweep_of(*explained)) == []


@pytest.mark.slow
def test_a_sweep_runs_once_goes_on_where_it_was_and_reports(tmp_path):
  text = runs.corpus(tmp_path)
  common = runs.TINY | {'data.corpus': f'text:{text}', 'data.cache': str(tmp_path / 'cache'), 'log.tensorboard': False}
  (tmp_path / 'small.py').write_text(
      'from configs import axes\n"""A small grid."""\nBASE = "configs/bert_tiny.py"\n'
      f'COMMON = {common!r}\n'
      'RUNS = axes.times(axes.product({"mask": ["bidirectional", "causal"], "objectives": [{"mlm": 1.0}], '
      '"seed": [0, 1]}), [COMMON])\nTABLE = dict(rows="mask", columns="objectives", value="loss")\n')

  def call(tool, *args):
    return subprocess.run([sys.executable, '-m', f'tools.{tool}', *map(str, args)], cwd=ROOT, text=True,
                          capture_output=True, timeout=400, env=runs.environment())

  out = tmp_path / 'out'
  first = call('sweep', tmp_path / 'small.py', f'--workdir={out}', '--json')
  assert first.returncode == 0, first.stderr
  said = json.loads(first.stdout)['runs']
  assert [run['state'] for run in said] == ['finished'] * 4
  folders = [out / run['folder'] for run in said]
  for folder in folders:  # the config that was planned is the one that ran, and names the folder
    assert json.loads((folder / 'result.json').read_text())['config_hash'].startswith(folder.name[-8:])

  (folders[1] / 'result.json').unlink()  # as if it had been killed before its end
  before = [os.stat(folder / 'metrics.jsonl').st_mtime_ns for folder in folders]
  second = call('sweep', tmp_path / 'small.py', f'--workdir={out}', '--json')
  assert json.loads(second.stdout)['runs'] == said or second.returncode == 0
  after = [os.stat(folder / 'metrics.jsonl').st_mtime_ns for folder in folders]
  assert [old != new for old, new in zip(before, after)] == [False, True, False, False]

  report = call('report', out, '--json')
  assert report.returncode == 0, report.stderr
  cells = json.loads(report.stdout)['cells']
  assert {(cell['row'], cell['column'], len(cell['values'])) for cell in cells} == {
      ('bidirectional', 'mlm', 2), ('causal', 'mlm', 2)}
  assert (out / 'report.html').read_text().count('<svg') == 1 and '±' in (out / 'report.md').read_text()

  initial = folders[0] / 'initial.json'
  initial.write_text(json.dumps(dict(sha256='f' * 64)))
  with pytest.raises(StateError, match='initial_sha256: ffff'):
    reporting.load(out)
  refused = call('report', out)
  assert refused.returncode == 3 and 'do not belong in one table' in refused.stderr
