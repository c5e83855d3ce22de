"""Runs as processes: cells that share a run, a batch drawn again,
and a run that begins with another's parameters.
"""

import json
import sys

import pytest
import runs

MIXED = {
  'schedule': '1 causal+clm & 3 bidirectional+mlm',
  'validation.extra_cells': 'causal+clm',
  'mlm.final_rate': 0.3,
  'objectives': "{'mlm': 1.0}",
}


def batch(workdir, step, *more):
  return runs.run([sys.executable, '-m', 'tools.batch', str(workdir), f'--step={step}', *more])


@pytest.fixture(scope='module')
def mixed(tmp_path_factory):
  folder = tmp_path_factory.mktemp('schedules')
  text = runs.corpus(folder)
  done = runs.run(runs.command('bert_tiny', folder / 'mixed', text, **MIXED))
  assert done.returncode == 0, done.stderr
  return folder, text


def test_a_run_of_two_cells_scores_both_and_leaves_a_certificate(mixed):
  folder, _ = mixed
  result = json.loads((folder / 'mixed/result.json').read_text())
  assert {'mlm_loss', 'causal+clm/clm_loss', 'causal+clm/bits_per_byte'} <= result[
    'validation'
  ].keys()
  logged = runs.rows(folder / 'mixed')
  trained = [row for row in logged if 'batch_hash' in row]
  assert {'train/causal+clm/clm_loss', 'train/bidirectional+mlm/mlm_loss', 'mask_hash'} <= trained[
    0
  ].keys()
  said = json.loads((folder / 'mixed/certificate.json').read_text())
  assert said == result['certificate']
  assert said['predictions'] == sum(row['predictions'] for row in trained) > 0
  assert said['steps'] == 12 and said['tokens'] == logged[-1]['tokens'] and said['flops'] > 0


def test_any_batch_of_a_run_is_drawn_again_with_the_hashes_that_it_logged(mixed):
  folder, _ = mixed
  drawn = batch(folder / 'mixed', 7, '--json')
  assert drawn.returncode == 0, drawn.stderr
  said = json.loads(drawn.stdout)
  row = next(row for row in runs.rows(folder / 'mixed') if row['step'] == 7)
  assert said['agrees'] and (said['batch_hash'], said['mask_hash']) == (
    row['batch_hash'],
    row['mask_hash'],
  )
  assert [one['cell'] for one in said['rows']] == (['causal+clm'] + ['bidirectional+mlm'] * 3) * 2
  assert sum(len(one['targets']) for one in said['rows']) == row['predictions']
  hidden = next(one for one in said['rows'] if one['cell'] == 'bidirectional+mlm')
  assert '[MASK][' in hidden['text']


def test_a_batch_that_is_not_what_was_logged_is_not_passed_off_as_it(mixed):
  folder, _ = mixed
  path = folder / 'mixed/metrics.jsonl'
  text = path.read_text()
  row = next(row for row in runs.rows(folder / 'mixed') if row['step'] == 7)
  path.write_text(text.replace(row['mask_hash'], 'deadbeef'))
  drawn = batch(folder / 'mixed', 7)
  path.write_text(text)
  assert drawn.returncode == 3 and 'mask_hash deadbeef, drawn now' in drawn.stderr
  far = batch(folder / 'mixed', 12)
  assert far.returncode == 2 and 'steps 0 to 11' in far.stderr


def test_a_run_begins_with_the_parameters_of_another_and_says_what_it_kept(mixed):
  """Turned into a generator, it predicts at its first step what the other did at its last."""
  folder, text = mixed
  begun = runs.run(
    runs.command(
      'bert_tiny',
      folder / 'clm',
      text,
      **{'init_from': folder / 'mixed', 'mask': 'causal', 'objectives': "{'clm': 1.0}"},
    )
  )
  assert begun.returncode == 0, begun.stderr
  assert (
    '(bidirectional+mlm), now causal+clm:' in begun.stdout and 'left behind: mlm' in begun.stdout
  )
  last = next(row for row in reversed(runs.rows(folder / 'mixed')) if 'val/loss' in row)
  first = next(row for row in runs.rows(folder / 'clm') if 'val/loss' in row)
  # another program, the same sums
  assert first['val/loss'] == pytest.approx(last['val/causal+clm/loss'], rel=1e-6)


def test_another_tokenizer_or_another_trunk_is_refused(mixed):
  folder, text = mixed
  other = runs.run(runs.command('gpt_tiny', folder / 'bpe', text, init_from=folder / 'mixed'))
  assert (
    other.returncode == 3
    and 'another tokenizer' in other.stderr
    and 'tokenizer.json' in other.stderr
  )
  wide = runs.run(
    runs.command(
      'bert_tiny',
      folder / 'wide',
      text,
      **{'init_from': folder / 'mixed', 'model.feed_forward': 96, 'objectives': "{'mlm': 1.0}"},
    )
  )
  assert wide.returncode == 3 and 'feed_forward' in wide.stderr and 'same sizes' in wide.stderr


def test_a_run_whose_steps_decide_what_its_past_was_is_not_extended(mixed):
  folder, text = mixed
  more = runs.run(
    [*runs.command('bert_tiny', folder / 'mixed', text, **MIXED, steps=24), '--allow_change=steps']
  )
  assert (
    more.returncode == 3
    and 'cannot be extended' in more.stderr
    and 'config.init_from=' in more.stderr
  )
