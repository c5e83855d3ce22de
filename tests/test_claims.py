"""A claim is a published number; it is confirmed, off by so much, or not runnable here and why."""

import ast
import json
import os
from pathlib import Path
import re
import subprocess
import sys

import pytest
import runs

from runtime import records
from tools.claims import evidence, measure, schema, verdict
from tools.claims.schema import ClaimError
from tools.claims.verdict import ClaimOff, NothingRan

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = schema.find(measure.FOLDER, 'all')
COUNT = """
paper: a paper
source: a source
claims:
  - id: one
    says: bert_tiny with its heads
    table: Table 1
    kind: parameters
    value: 958978
    unit: parameters
    split: none
    metric: elements of all arrays
    seeds: none
    initialisation: none
    tolerance: 0
    provenance: C
    measure: {config: bert_tiny, heads: [mlm, nsp]}
"""
LOSS = """
paper: a paper
source: a source
claims:
  - id: one
    says: loss
    table: Table 1
    kind: validation
    value: 5.0
    unit: nats
    split: validation
    metric: loss
    seeds: not stated
    initialisation: random
    tolerance: 0.5
    provenance: V
    measure: {config: bert_tiny, name: mlm_loss}
"""


def write(folder: Path, text: str, *changes: tuple[str, str]) -> Path:
  for old, new in changes:
    assert old in text, old
    text = text.replace(old, new)
  path = folder / 'some.yaml'
  path.write_text(text)
  return path


def measured(
  folder: Path, text: str, *changes: tuple[str, str], directory: Path | None = None
) -> verdict.Answer:
  [claim] = schema.load(write(folder, text, *changes))
  return measure.measure(claim, directory and str(directory))


@pytest.mark.parametrize('claim', SHIPPED, ids=lambda claim: claim.name)
def test_a_shipped_claim_names_a_config_a_source_and_what_would_measure_it(claim):
  assert claim.paper and claim.source and claim.provenance in schema.PROVENANCE
  if 'config' in claim.measure:
    assert evidence.config_of(claim).steps > 0
  if claim.kind == 'sign':
    assert (ROOT / f'configs/sweeps/{claim.measure["sweep"]}.py').is_file()


def test_every_kind_of_claim_is_shipped_and_what_runs_here_holds():
  assert {claim.kind for claim in SHIPPED} == schema.MEASURE.keys()
  here = [
    measure.measure(claim, None) for claim in SHIPPED if claim.kind in ('parameters', 'flops')
  ]
  assert len(here) > 30
  # OpenAI's own table says 117M; the shape that it publishes has 124,439,808.
  assert {answer.claim.name for answer in here if answer.verdict == 'off'} == {
    'gpt2:small_parameters_paper'
  }
  unread = {answer.claim.name for answer in here if answer.claim.provenance in 'FR'}
  assert {answer.claim.name for answer in here if answer.verdict == 'not runnable'} == unread


def test_what_this_repository_claims_is_what_its_configs_state():
  for claim in SHIPPED:
    if claim.name.startswith('onemask:'):
      path = ROOT / f'configs/{claim.measure["config"]}.py'
      numbers = re.findall(r'\d[\d,]*(?:\.\d+)?', ast.get_docstring(ast.parse(path.read_text())))
      assert claim.value in {float(number.replace(',', '')) for number in numbers}, claim.name
      assert claim.tolerance <= 0.03 * claim.value


def test_a_right_claim_is_confirmed_and_an_altered_one_is_off_by_the_difference(tmp_path):
  right = measured(tmp_path, COUNT)
  assert (right.verdict, right.measured, right.off_by) == ('confirmed', 958_978, None)
  off = measured(tmp_path, COUNT, ('958978', '958970'), ('tolerance: 0', 'tolerance: 7'))
  assert (off.verdict, off.measured, off.off_by) == ('off', 958_978, 8)
  assert 'off by +8: measured 958,978, tolerance 7' in measure.words(off)
  within = measured(tmp_path, COUNT, ('958978', '958970'), ('tolerance: 0', 'tolerance: 8'))
  assert within.verdict == 'confirmed'


@pytest.mark.parametrize('tag', 'FR')
def test_nothing_is_confirmed_or_refuted_by_a_figure_that_was_not_read(tmp_path, tag):
  for value in ('958978', '1'):
    answer = measured(tmp_path, COUNT, ('provenance: C', f'provenance: {tag}'), ('958978', value))
    assert answer.verdict == 'not runnable' and answer.measured == 958_978
    assert 'its source was not read' in answer.reason and schema.PROVENANCE[tag] in answer.reason


def test_flops_are_those_of_the_closed_form(tmp_path):
  text = COUNT.replace('kind: parameters', 'kind: flops').replace(
    'measure: {config: bert_tiny, heads: [mlm, nsp]}',
    'measure: {config: bert_base, length: 128, passes: 3, cell: {heads: [clm], rate: 0}}',
  )
  # 12 layers of 4 D^2 + 8 D^2 + 2 T D, and the vocabulary; two operations each, three passes.
  expected = 3 * 2 * (12 * (12 * 768**2 + 2 * 128 * 768) + 768 * 30_522)
  assert measured(tmp_path, text).measured == expected
  assert measured(tmp_path, text, ('passes: 3', 'passes: 1')).measured == expected / 3


@pytest.mark.parametrize(
  'old, new, words',
  [
    ('    split: none\n', '', r'claim 1: field split: is missing'),
    ('split: none', 'splitt: none', r'claim 1: field splitt: is unknown. Did you mean split\?'),
    (
      'split: none',
      'split: none\n    split: test',
      r'some.yaml, line 11: field split: is there '
      r'twice',
    ),
    ('split: none', 'split: " "', r'field split: is empty'),
    ('958978', '4e8', r"field value: '4e8' is no number .*4.0e\+8"),
    ('958978', '.nan', 'field value: nan is no number'),
    ('958978', 'true', 'field value: True is no number'),
    ('kind: parameters', 'kind: params', r"\(one\): field kind: 'params' is none of parameters"),
    ('seeds: none', 'seeds: 0', 'field seeds: 0: must be how many'),
    ('tolerance: 0', 'tolerance: -1', 'field tolerance: must not be negative'),
    ('provenance: C', 'provenance: X', "field provenance: 'X' is none of V"),
    ('heads: [mlm, nsp]', 'heads: mlm', r"measure: field heads: 'mlm' must be list"),
    ('heads: [mlm, nsp]', 'head: [mlm]', 'measure: field head: is unknown. Did you mean heads'),
    (', heads: [mlm, nsp]', '', 'measure: field heads: is missing'),
    ('paper: a paper\n', '', 'some.yaml: field paper: is missing'),
    ('paper: a paper', 'paper: [', 'some.yaml is no YAML'),
    ('paper: a paper', 'paper: !!python/object/apply:os.getcwd []', 'some.yaml is no YAML'),
    ('measure: {config', 'needs: 3\n    measure: {config', 'field needs: 3 must be str'),
  ],
)
def test_a_file_that_breaks_the_schema_is_refused_with_file_and_field(tmp_path, old, new, words):
  with pytest.raises(ClaimError, match=words):
    schema.load(write(tmp_path, COUNT, (old, new)))


def test_a_name_is_used_once_and_a_wrong_one_is_told_the_nearest(tmp_path):
  text = COUNT + COUNT[COUNT.index('  - id: one') :]
  with pytest.raises(ClaimError, match="claim 2: field id: 'one' is the name of another"):
    schema.load(write(tmp_path, text))
  path = write(tmp_path, COUNT)
  assert [claim.name for claim in schema.find(tmp_path, 'some:one')] == ['some:one']
  assert (
    schema.find(tmp_path, 'all')
    == schema.find(tmp_path, 'some')
    == schema.find(Path('/none'), str(path))
  )
  with pytest.raises(ClaimError, match="no claim 'ones'. Did you mean one"):
    schema.find(tmp_path, 'some:ones')
  with pytest.raises(ClaimError, match="no claims 'sum'.* has some"):
    schema.find(tmp_path, 'sum')


@pytest.mark.parametrize(
  'old, new, words',
  [
    ('config: bert_tiny', 'config: bert_tini', 'measure.config: there is no configs/bert_tini.py'),
    ('config: bert_tiny', 'config: ../x', 'measure.config: there is no'),
    ('nsp]}', 'nsp], without: clm}', 'measure.without: the network has no parameters clm/'),
  ],
)
def test_a_measurement_that_cannot_be_is_refused(tmp_path, old, new, words):
  with pytest.raises(ClaimError, match=words):
    measured(tmp_path, COUNT, (old, new))


@pytest.mark.parametrize(
  'changes, code',
  [
    ([], 0),
    ([('958978', '958970')], 5),
    ([('provenance: C', 'provenance: R')], 6),
  ],
)
def test_what_is_off_or_not_runnable_does_not_exit_zero(tmp_path, capsys, changes, code):
  path = write(tmp_path, COUNT, *changes)
  if code:
    with pytest.raises((ClaimOff, NothingRan)) as error:
      measure.answer(str(path), None, as_json=True)
    assert error.value.exit_code == code
  else:
    measure.answer(str(path), None, as_json=True)
  [one] = json.loads(capsys.readouterr().out)
  assert (
    one['verdict'] == {0: 'confirmed', 5: 'off', 6: 'not runnable'}[code]
    and one['measured'] == 958_978
  )
  assert one['off_by'] == (8 if code == 5 else None)


def test_a_model_that_is_not_here_is_said_with_the_command_that_makes_it(tmp_path):
  answer = measured(tmp_path, LOSS)
  assert answer.verdict == 'not runnable' and re.search(
    r'FLOPs or about .* on this machine', answer.reason
  )
  assert answer.command == 'python train.py --config=configs/bert_tiny.py --workdir=DIR'
  task = LOSS.replace('kind: validation', 'kind: task').replace(
    'mlm_loss}', 'finetune_mrpc, weights: trained}'
  )
  assert measured(tmp_path, task).command.endswith(
    '&& python -m tools.finetune DIR --tasks=mrpc --task_data=DIR --finetune_mask=same '
    '--split=validation'
  )
  answer = measured(tmp_path, task, ('finetune_mrpc', 'finetune_nothing'))
  assert (
    answer.reason == 'no program of this repository measures finetune_nothing'
    and answer.command is None
  )
  answer = measured(tmp_path, LOSS, ('provenance: V', 'provenance: V\n    needs: a telescope'))
  assert answer.verdict == 'not runnable' and answer.reason == 'it needs a telescope'


def test_signs_are_judged_by_the_interval_of_paired_differences(tmp_path):
  text = LOSS.replace('kind: validation', 'kind: sign').replace(
    '{config: bert_tiny, ', '{sweep: masking_recipe, higher: {seed: 1}, lower: {seed: 2}, '
  )
  [claim] = schema.load(write(tmp_path, text))
  judged = lambda mean, half: verdict.judge_sign(claim, mean, half, 'here').verdict
  assert [judged(1, 0.5), judged(-1, 0.5), judged(1, 1.5), judged(1, None)] == [
    'confirmed',
    'off',
    'not runnable',
    'not runnable',
  ]
  assert verdict.judge_sign(claim, -1, 0.5, 'here').off_by == -6


@pytest.mark.slow
def test_a_run_speaks_for_the_claim_of_its_own_config_and_for_no_other(tmp_path):
  text = runs.corpus(tmp_path)
  work = tmp_path / 'run'
  fields = {name: value for name, value in runs.TINY.items() if name != 'log.tensorboard'}
  fields['data.corpus'] = f'text:{text}'
  assert runs.run(runs.command('bert_tiny', work, text)).returncode == 0
  loss = json.loads((work / 'result.json').read_text())['validation']['mlm_loss']
  run = LOSS.replace('name: mlm_loss', f'name: mlm_loss, changes: {json.dumps(fields)}')
  answer = measured(tmp_path, run, ('5.0', str(loss)), directory=work)
  assert (
    answer.verdict == 'confirmed'
    and answer.measured == loss
    and answer.reason == f'mlm_loss of {work}, seed 0'
  )
  answer = measured(tmp_path, run, ('5.0', str(loss - 0.75)), directory=work)
  assert answer.verdict == 'off' and answer.off_by == pytest.approx(0.75)
  answer = measured(tmp_path, run, ('"steps": 12', '"steps": 13'), directory=work)
  assert (
    answer.verdict == 'not runnable'
    and 'is another run: steps=12 where the claim has 13' in answer.reason
  )
  answer = measured(tmp_path, LOSS, directory=work)
  assert (
    'is another run: batch' not in answer.reason
    and 'and ' in answer.reason
    and answer.verdict == 'not runnable'
  )
  answer = measured(tmp_path, run, ('name: mlm_loss', 'name: clm_loss'), directory=work)
  assert answer.verdict == 'not runnable' and 'has no clm_loss' in answer.reason

  task = (
    run.replace('kind: validation', 'kind: task')
    .replace('name: mlm_loss', 'weights: trained, name: finetune_mrpc')
    .replace('unit: nats', 'unit: percent')
    .replace('5.0', '70')
    .replace('metric: loss', 'metric: accuracy')
  )
  answer = measured(tmp_path, task, directory=work)
  assert answer.verdict == 'not runnable' and answer.command.startswith(
    f'python -m tools.finetune {work} --tasks=mrpc'
  )
  said = dict(
    finetune_mrpc=dict(
      value=0.704, unit='accuracy, over 4 seeds', higher_is_better=True, split='test'
    )
  )
  (work / 'evaluations.json').write_text(json.dumps(said))
  answer = measured(tmp_path, task, directory=work)
  assert (
    answer.verdict == 'not runnable'
    and "of split 'test', the claim is of 'validation'" in answer.reason
  )
  said['finetune_mrpc']['split'] = 'validation'
  (work / 'evaluations.json').write_text(json.dumps(said))
  answer = measured(tmp_path, task, directory=work)
  assert answer.verdict == 'confirmed' and answer.measured == pytest.approx(70.4)
  assert 'split validation' in answer.reason
  answer = measured(tmp_path, task, ('metric: accuracy', 'metric: F1'), directory=work)
  assert (
    answer.verdict == 'not runnable'
    and "is 'accuracy, over 4 seeds', the claim is 'F1'" in answer.reason
  )
  answer = measured(tmp_path, task, ('weights: trained', 'weights: published'), directory=work)
  assert answer.verdict == 'not runnable' and 'was trained here' in answer.reason

  (work / 'result.json').unlink()
  answer = measured(tmp_path, run, directory=work)
  assert answer.verdict == 'not runnable' and 'is not finished' in answer.reason


@pytest.mark.parametrize(
  'claim', [each for each in SHIPPED if each.kind == 'sign'], ids=lambda claim: claim.name
)
def test_a_sign_names_the_sweep_that_measures_it(claim):
  answer = measure.measure(claim, None)
  assert f'configs/sweeps/{claim.measure["sweep"]}.py --workdir=DIR' in answer.command
  evaluated = claim.name.startswith('understanding')  # by the sweep, for each of its runs
  assert answer.command.endswith(' --workdir=DIR --task_data=DIR') == evaluated


@pytest.mark.slow
def test_a_sign_is_measured_in_a_sweep_within_each_seed(tmp_path):
  text = runs.corpus(tmp_path)
  common = runs.TINY | {
    'data.corpus': f'text:{text}',
    'data.cache': str(tmp_path / 'cache'),
    'log.tensorboard': False,
    'objectives': {'mlm': 1.0},
  }
  cells = [
    common | dict(mask=mask, seed=seed) for mask in ('bidirectional', 'causal') for seed in (0, 1)
  ]
  (tmp_path / 'small.py').write_text(
    f'BASE = "configs/bert_tiny.py"\nRUNS = {cells!r}\n'
    'TABLE = dict(rows="mask", columns="objectives", value="loss")\n'
  )
  out = tmp_path / 'out'
  assert (
    runs.run(
      [sys.executable, '-m', 'tools.sweep', str(tmp_path / 'small.py'), f'--workdir={out}'],
      timeout=400,
    ).returncode
    == 0
  )
  losses = {}
  for run in json.loads((out / 'sweep.json').read_text())['runs']:
    result = json.loads((out / run['folder'] / 'result.json').read_text())
    losses[run['changes']['mask'], run['changes']['seed']] = result['validation']['mlm_loss']
  each = [losses['causal', seed] - losses['bidirectional', seed] for seed in (0, 1)]
  sides = (
    'higher: {mask: causal, objectives: [mlm]}, lower: {mask: bidirectional, objectives: [mlm]}'
  )
  sign = LOSS.replace('kind: validation', 'kind: sign').replace(
    '{config: bert_tiny, ', f'{{sweep: mask_by_objective, {sides}, '
  )
  answer = measured(tmp_path, sign, directory=out)
  assert answer.measured == pytest.approx(sum(each) / 2) and '2 seeds' in answer.reason
  # Student's t for two values: 12.706.
  decided = abs(sum(each) / 2) > 12.706 * abs(each[0] - each[1]) / 2
  assert answer.verdict == (
    ('confirmed' if sum(each) > 0 else 'off') if decided else 'not runnable'
  )
  answer = measured(
    tmp_path, sign, ('objectives: [mlm]}, name', 'objectives: [clm]}, name'), directory=out
  )
  assert answer.verdict == 'not runnable' and 'no seed' in answer.reason
  two = ('name: mlm_loss', 'name: finetune_mrpc_causal, lower_name: finetune_mrpc_bidirectional')
  entry, percent = (
    dict(unit='accuracy'),
    (('unit: nats', 'unit: percent'), ('c: loss', 'c: accuracy')),
  )
  for number, run in enumerate(json.loads((out / 'sweep.json').read_text())['runs']):
    said = {'_causal': 0.75 + number / 100, '_bidirectional': 0.5 + number / 50}
    records.note_evaluations(
      out / run['folder'],
      {f'finetune_mrpc{mask}': entry | dict(value=x) for mask, x in said.items()},
    )
  answer = measured(tmp_path, sign, two, *percent, directory=out)
  # Runs 0 and 1 are the bidirectional ones: 77 - 50 and 78 - 52.
  assert answer.measured == pytest.approx(26.5) and answer.verdict == 'confirmed'
  assert 'finetune_mrpc_causal and finetune_mrpc_bidirectional' in answer.reason
  answer = measured(tmp_path, sign, ('name: mlm_loss', 'name: finetune_mrpc'), directory=out)
  assert 'no seed' in answer.reason and answer.command == (
    'python -m tools.finetune RUN --tasks=mrpc --task_data=DIR --finetune_mask=same '
    '--split=validation'
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  'asked, code, words',
  [
    ('gpt2:small_parameters', 0, 'measured 124,439,808'),
    ('gpt2:small_parameters_paper', 5, '1 of 1 claims off: gpt2:small_parameters_paper'),
    ('bert:table1_base_glue', 6, 'none of 1 claims could be confirmed here'),
    ('bert:tabel1', 2, 'Did you mean'),
    ('onemask:bert_tiny_mlm_loss --workdir=/none', 3, 'holds no run'),
  ],
)
def test_eval_answers_with_a_code(asked, code, words):
  result = subprocess.run(
    [sys.executable, 'eval.py', *f'--claim={asked}'.split()],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=600,
    env=dict(os.environ, JAX_PLATFORMS='cpu'),
  )
  assert result.returncode == code, result.stderr
  assert words in result.stdout + result.stderr and 'Traceback' not in result.stderr
