"""Several seeds as one run: each trains as it would alone, and the best one is used."""

import json
import math
from pathlib import Path
import signal

from in_process import call
import jax
import numpy as np
import pytest
import runs
from test_predict_runs import table, tune

from configs import base
from configs.schema import check
from training import load, stacked

SEEDS = {'finetune.seeds': 2, 'seed': 4, 'validation.every': 3}


@pytest.fixture(scope='module')
def several(tmp_path_factory) -> Path:
  """The workdir of a run of seeds 4 and 5."""
  folder = tmp_path_factory.mktemp('several')
  table(folder, 'class')
  columns = {'data.columns': 'text=review,label=stars'}
  return tune(folder, 'classify', f'csv:{folder}', **columns, **SEEDS)


def result_of(run: Path) -> dict:
  return json.loads((run / 'result.json').read_text())


def test_each_seed_trains_as_it_would_alone(several, tmp_path):
  columns = {'data.columns': 'text=review,label=stars', 'validation.every': 3}
  alone = tune(tmp_path, 'classify', f'csv:{several.parent}', **columns, seed=5)
  both, rows, seen = runs.rows(several), runs.rows(alone), 0
  for row, together in zip(rows, both, strict=True):
    own = {name[7:]: value for name, value in together.items() if name.startswith('seed_5/')}
    for name, value in row.items():
      if name == 'train/loss' or name.startswith('val/'):
        # A batched product adds in another order, so the last bits of float32 differ and grow.
        assert own[name] == pytest.approx(value, rel=1e-5), (row['step'], name)
        seen += 1
  assert seen > len(rows)
  # Rows and tokens of the two seeds are counted, and what is no count is a mean.
  assert both[-1]['tokens'] > 1.5 * rows[-1]['tokens']
  for row in both[:-1]:
    losses = [row[f'seed_{seed}/train/loss'] for seed in (4, 5)]
    assert losses[0] != losses[1]
    assert row['train/loss'] == pytest.approx(sum(losses) / 2)
  scores, single = result_of(several)['seeds'], result_of(alone)
  for split in ('validation', 'test'):
    for name, value in single[split].items():
      assert scores[split][name]['values'][1] == pytest.approx(value, rel=1e-5)
  state, other = load.load(several), load.load(alone)
  assert other.source.endswith('step 6') and 'seed ' in state.source
  if result_of(several)['seeds']['best'] == 5:
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, atol=1e-4), state.params, other.params
    )


def test_the_result_has_every_seed_and_the_weights_are_those_of_the_best(several):
  result, labels = result_of(several), json.loads((several / 'labels.json').read_text())
  seeds = result['seeds']
  values = seeds['validation']['accuracy']['values']
  assert seeds['list'] == [4, 5] and labels['seed'] == seeds['best'] == 4 + int(np.argmax(values))
  assert result['validation']['accuracy'] == max(values)
  baseline = result['majority']['validation']['accuracy']
  assert seeds['failed'] == [seed for seed, value in zip([4, 5], values) if value <= baseline]
  for split in ('validation', 'test'):
    for found in seeds[split].values():
      assert found['mean'] == pytest.approx(np.mean(found['values']))
      assert found['std'] == pytest.approx(np.std(found['values'], ddof=1))
      assert (found['min'], found['max']) == (min(found['values']), max(found['values']))
  curve, shown = result['learning_curve'], runs.rows(several)
  assert curve['steps'] == [row['step'] for row in shown if 'val/accuracy' in row] == [0, 3, 6]
  assert curve['seeds']['5'] == [row['seed_5/val/accuracy'] for row in shown[::3]]
  assert curve['mean'][-1] == seeds['validation']['accuracy']['mean']
  for name in ('learning_curve.png', 'curves.png', 'labels.png'):
    assert (several / name).exists(), name
  scored = call('eval', f'--workdir={several}', '--json')
  assert scored.code == 0, scored.err
  scored = json.loads(scored.out)
  for split in ('validation', 'test'):
    assert scored[split] == {name: result[split][name] for name in scored[split]}


@pytest.mark.slow
def test_what_uses_a_run_of_several_seeds_uses_the_best_one(several, tmp_path):
  said = [json.loads(line) for line in (several / 'predictions_test.jsonl').open()]
  answer = call('predict', f'--weights={several}', f'--input={several.parent}/test.csv', '--json')
  assert answer.code == 0, answer.err
  for line, before in zip(map(json.loads, answer.out.splitlines()), said, strict=True):
    assert line['label'] == before['prediction']
    assert line['probabilities'] == pytest.approx(before['probabilities'], abs=1e-5)
  drawn = call('batch', str(several), '--step=2', '--json')
  assert drawn.code == 0 and json.loads(drawn.out)['agrees'], drawn.err
  next_one = tune(
    tmp_path,
    'classify',
    f'csv:{several.parent}',
    **{'data.columns': 'text=review,label=stars', 'init_from': several, 'validation.first': True},
  )
  # an intermediate task begins with the weights that are used
  first = runs.rows(next_one)[0]
  assert first['val/loss'] == pytest.approx(result_of(several)['validation']['loss'], rel=1e-5)


def command(several: Path, workdir: Path) -> list[str]:
  """The command of the run in `several`, for another workdir."""
  config = json.loads((several / 'config.json').read_text())
  wanted = (
    'seed steps batch_size init_from data.task data.columns finetune.seeds optimizer.learning_rate '
    'validation.every validation.batch_size checkpoint.every log.tensorboard'
  ).split()
  fields = check.flatten(config)
  return [
    runs.sys.executable,
    str(runs.ROOT / 'train.py'),
    f'--config={runs.ROOT}/configs/finetune/classify.py',
    f'--workdir={workdir}',
    *(f'--config.{name}={fields[name]}' for name in wanted),
  ]


@pytest.mark.slow
def test_a_killed_run_of_several_seeds_ends_with_the_same_bits(several, tmp_path):
  whole = tmp_path / 'whole'
  assert runs.run(command(several, whole)).returncode == 0
  args = command(several, tmp_path / 'run')
  assert runs.run(args, fault='die_at_step:5').returncode == -signal.SIGKILL
  last = runs.run(args)
  assert last.returncode == 0 and 'at step 4' in last.stdout, last.stderr
  assert runs.rows(tmp_path / 'run') == runs.rows(whole)
  assert runs.digest(tmp_path / 'run') == runs.digest(whole)
  for name in ('certificate.json', 'predictions_test.jsonl', 'labels.json'):
    assert (tmp_path / 'run' / name).read_text() == (whole / name).read_text(), name


@pytest.mark.slow
def test_eight_devices_train_several_seeds_as_one_does(several, tmp_path, monkeypatch):
  monkeypatch.setenv('JAX_NUM_CPU_DEVICES', '8')
  done = runs.run(command(several, tmp_path / 'run'))
  assert done.returncode == 0, done.stderr
  one, eight = (
    json.loads((path / 'certificate.json').read_text()) for path in (several, tmp_path / 'run')
  )
  assert one['tokens'] == eight['tokens'] and one['initial_sha256'] == eight['initial_sha256']
  for row, other in zip(runs.rows(several), runs.rows(tmp_path / 'run'), strict=True):
    for name in ('seed_4/train/loss', 'seed_5/train/loss', 'val/loss'):
      assert row.get(name, 0) == pytest.approx(other.get(name, 0), rel=1e-4), (row['step'], name)


def test_a_seed_that_is_no_better_than_the_majority_failed():
  scores = [dict(accuracy=value) for value in (0.9, 0.6, math.nan, 0.8)]
  found = stacked.summary(dict(validation=scores, test=[{}] * 4), range(3, 7), 'accuracy', 0.6)
  assert found['failed'] == [4, 5] and found['failed_share'] == 0.5 and found['best'] == 3
  assert 'test' not in found  # nobody knows its labels
  one = stacked.summary(dict(validation=scores[:1]), range(1), 'accuracy', 0.6)
  assert one['validation']['accuracy'] == dict(mean=0.9, std=0.0, min=0.9, max=0.9, values=[0.9])


@pytest.mark.parametrize(
  'fields, words',
  [
    ({'finetune.seeds': 8}, 'config.finetune.seeds=8 is for labelled tasks'),
    ({'finetune.seeds': 0}, 'config.finetune.seeds=0: must be from 1'),
    ({'seed': 2**31 - 1, 'finetune.seeds': 2, 'data.task': 'csv:a'}, 'the last of 2 seeds'),
  ],
)
def test_seeds_that_cannot_be_are_named(fields, words):
  config = base.get_config()
  with config.unlocked():
    config.objectives = dict(classify=1.0) if 'data.task' in fields else dict(mlm=1.0)
  config.update_from_flattened_dict(fields)
  with pytest.raises(check.ConfigError, match=words.replace('.', r'\.')):
    check.check(config)
