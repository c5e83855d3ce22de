"""A run compiles its step and its validation once each, and nothing while it goes on."""

from pathlib import Path
import sys

import pytest
import runs

# Runs train.py, and writes a line for each program that jax compiles: where the run was, its name.
_WATCHED = """
import os, pathlib, runpy, sys
import jax
workdir, programs = pathlib.Path(sys.argv[1]), open(sys.argv[2], 'a')
def heard(event, seconds, **about):
  if event == '/jax/core/compile/backend_compile_duration':
    phase = workdir / 'phase'
    where = phase.read_text() if phase.exists() else 'start'
    print(where, about['fun_name'], file=programs, flush=True)
jax.monitoring.register_event_duration_secs_listener(heard)
os.environ['GLIBC_TUNABLES'] = ''  # no exec, after which nobody would listen
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def compiled(folder: Path, cell: str, **changes) -> list[tuple[str, str]]:
  """[(phase, program)] of a run, in order; phases as runtime/faults.py marks them."""
  command = runs.command(cell, folder / 'run', runs.corpus(folder), **changes)
  watched = [sys.executable, '-c', _WATCHED, str(folder / 'run'), str(folder / 'programs')]
  done = runs.run([*watched, *command[1:]], fault='none')
  assert done.returncode == 0, done.stderr
  return [tuple(line.split()) for line in (folder / 'programs').read_text().splitlines()]


@pytest.mark.parametrize(
  'cell, changes, steps, evaluations',
  [
    ('bert_tiny', {}, 1, 1),
    pytest.param('gpt_tiny', {'accumulate': 2}, 1, 1, marks=pytest.mark.slow),
    # two stages, and two lengths of the first one
    pytest.param(
      'gpt_tiny',
      {
        'schedule': '1 prefix+clm, 1 causal+clm',
        'data.short_length': 16,
        'data.short_share': 0.25,
        'validation.extra_cells': 'prefix+clm',
      },
      3,
      2,
      marks=pytest.mark.slow,
    ),
  ],
)
def test_a_run_compiles_its_step_and_its_validation_once(
  cell, changes, steps, evaluations, tmp_path
):
  programs = compiled(tmp_path, cell, **changes)
  looped = [name for phase, name in programs if phase.startswith(('step', 'eval', 'save', 'done'))]
  small = ['jit(<lambda>)']  # by which the processes of a run agree on stopping
  expected = ['jit(train_step)'] * steps + ['jit(score)'] * evaluations + small
  assert sorted(looped) == sorted(expected), programs
