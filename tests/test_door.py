"""The door of every program: --help says all, and a mistake is one line in our words.

The kinds are programs x {help, a value of the wrong type, a path that is not there} and knobs x
{a value of the wrong type, its name without its group}; flags are read from the programs' sources.
"""

import ast
import re

from in_process import call
import pytest

from configs import base
from configs.schema import check
from tools import __main__ as tools

# What each kind of flag must be given, in the words of an error.
NEEDED = {
  'DEFINE_integer': 'a whole number is needed',
  'DEFINE_float': 'a number is needed',
  'DEFINE_bool': 'true or false is needed',
  'DEFINE_enum': 'choose one of ',
}
OF_CLI = dict(
  define_step=('step', 'DEFINE_integer'),
  define_json=('json', 'DEFINE_bool'),
  define_keep=('keep', 'DEFINE_bool'),
)


def flags_of(name: str) -> dict[str, str]:
  """{flag: how it is defined} of a program, read from its source."""
  found = {'debug': 'DEFINE_bool'}
  for node in ast.walk(ast.parse(tools.source_of(name).read_text(encoding='utf-8'))):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
      kind = node.func.attr
      if kind.startswith('DEFINE_'):
        found[node.args[0].value] = kind
      elif kind in OF_CLI:
        found[OF_CLI[kind][0]] = OF_CLI[kind][1]
      elif kind in ('define_weights', 'define_config'):
        found[kind.removeprefix('define_')] = 'DEFINE_string'
  return found


TYPED = [
  (name, flag, NEEDED[kind])
  for name in tools.PROGRAMS
  for flag, kind in flags_of(name).items()
  if kind in NEEDED
]
KNOBS = check.flatten(base.get_config())
GROUPS = {knob.partition('.')[0] for knob in KNOBS if '.' in knob}
# Programs whose flags have the name of a knob, too.
TRAIN_FLAGS = {*flags_of('train'), 'config'}


def refused(name: str, *arguments: str, codes: tuple[int, ...] = (2,)) -> str:
  """The one line of a refusal."""
  answer = call(name, *arguments)
  assert answer.code in codes, answer
  assert answer.err.count('\n') == 1 and 'Traceback' not in answer.err, answer.err
  assert answer.out == '', answer.out
  return answer.err


@pytest.mark.parametrize('name', tools.PROGRAMS)
def test_help_has_purpose_example_groups_and_every_flag_with_its_default(name):
  answer = call(name, '--help')
  assert answer.code == 0 and answer.err == ''
  purpose, _, rest = answer.out.partition('\n\n')
  assert 2 < len(purpose.split()) and len(purpose) <= 100 and purpose.endswith('.'), purpose
  assert rest.startswith('Example:\n  python ')
  assert re.search(r'^[A-Z][^\n]*:\n  --', rest, re.MULTILINE)
  entries = dict(re.findall(r'^  --(?:\[no\])?(\w+)(.*\n(?:      .*\n?)+)', rest, re.MULTILINE))
  assert entries.keys() - {'help', 'workdir'} == flags_of(name).keys() - {'workdir'}
  for flag in entries.keys() - {'help', 'workdir', 'weights'}:
    assert 'default' in entries[flag], entries[flag]


def test_help_names_the_choices_and_the_groups():
  text = call('generate', '--help').out
  assert '--overflow=error|roll' in text and '(default: error)' in text
  assert '--temperature=NUMBER' in text and '(default: 0.8)' in text
  titles = ['Model:', 'Prompts:', 'How tokens are drawn:', 'Every program:']
  assert [line for line in text.splitlines() if line in titles] == titles


@pytest.mark.parametrize('name, flag, needed', TYPED)
def test_a_value_of_the_wrong_type_is_one_line_in_our_words(name, flag, needed):
  line = refused(name, f'--{flag}=hot')
  assert f': --{flag}=hot: {needed}' in line, line


@pytest.mark.parametrize('knob', KNOBS)
def test_a_knob_of_the_wrong_type_or_without_its_group_is_explained(knob):
  if isinstance(KNOBS[knob], bool | int | float) and not knob.startswith('objectives.'):
    line = refused('train', f'--config.{knob}=hot')
    assert f'--config.{knob}=hot: ' in line and ' is needed, as in ' in line
  leaf = knob.rpartition('.')[2]
  if knob.startswith('objectives.') or leaf in TRAIN_FLAGS:
    return
  assert f'--config.{knob}' in refused('train', f'--{leaf}=1')
  if leaf not in KNOBS and leaf not in GROUPS:
    assert f'--config.{knob}' in refused('train', f'--config.{leaf}=1')


MISSING = [
  ('train', ['--config={}/no.py'], 2),
  ('train', ['--config.data.corpus=text:{}/no'], 4),
  ('train', ['--config.data.tokenizer={}/no'], 4),
  ('train', ['--config.init_from={}/no'], 3),
  ('eval', ['--workdir={}/no'], 3),
  ('eval', ['--workdir={}', '--tasks=blimp', '--task_data={}/no'], 4),
  ('eval', ['--claim={}/no'], 2),
  ('claims', ['{}/no'], 2),
  ('generate', ['--weights={}/no', '--prompt=a'], 3),
  ('generate', ['--weights={}', '--prompts={}/no'], 4),
  ('fill_mask', ['--weights={}/no', 'a [MASK]'], 3),
  ('embed', ['--weights={}/no', '--input={}/there.txt', '--search=a'], 3),
  ('embed', ['--weights={}', '--input={}/no', '--search=a'], 4),
  ('embed', ['--weights={}', '--input={}/there.txt', '--output={}/no/x.npy'], 2),
  ('attention', ['--weights={}/no', '--text=a', '--out={}/x.html'], 3),
  ('attention', ['--weights={}', '--text=a', '--out={}/no/x.html'], 2),
  ('convert', ['--from={}/no', '--to={}/new'], 3),
  ('convert', ['--export=hf', '--workdir={}/no', '--to={}/new'], 3),
  ('finetune', ['{}/no', '--tasks=sst2', '--task_data={}', '--finetune_mask=same'], 3),
  ('finetune', ['{}', '--tasks=sst2', '--task_data={}/no', '--finetune_mask=same'], 4),
  ('batch', ['{}/no', '--step=1'], 3),
  ('bounds', ['{}/no'], 2),
  ('report', ['{}/no'], 3),
  ('sweep', ['{}/no.py', '--workdir={}/sweep'], 2),
  ('prepare', ['--config={}/no.py'], 2),
  ('prepare', ['--config=configs/bert_tiny.py', '--config.data.corpus=text:{}/no'], 4),
  ('plan', ['--config={}/no.py', '--topology=cpu:1'], 2),
  ('memory', ['--config={}/no.py'], 2),
  ('architecture', ['--out={}/no/x.png'], 2),
  ('architecture', ['--tour={}/no'], 2),
  ('configs', ['--out={}/no/x.md'], 2),
  ('grid', ['--out={}/no/x.png'], 2),
  ('bench', ['--save={}/no/x.json'], 2),
  ('predict', ['--weights={}/no', '--input={}/there.txt'], 3),
  ('transfer', ['--workdir={}/no'], 3),
  ('rank', ['--weights={}/no', '--query=a', '--input={}/there.txt'], 3),
  ('poolings', ['{}/no', '--tasks=mean', '--task_data={}'], 3),
  ('poolings', ['{}', '--tasks=mean', '--task_data={}/no'], 4),
  ('mine', ['--weights={}', '--groups={}/no.jsonl', '--output={}/new.jsonl'], 4),
]


@pytest.mark.parametrize('name, arguments, code', MISSING)
def test_a_path_that_is_not_there_is_one_line_with_the_path(name, arguments, code, tmp_path):
  (tmp_path / 'there.txt').write_text('text\n')
  line = refused(name, *(one.format(tmp_path) for one in arguments), codes=(code,))
  assert f'{tmp_path}/no' in line, line
  assert [path.name for path in tmp_path.iterdir()] == ['there.txt']


def test_every_program_has_been_given_a_missing_path():
  assert {name for name, *_ in MISSING} == set(tools.PROGRAMS)


def test_a_case_of_the_bench_without_its_data_is_refused_by_name():
  assert 'finetune-sst2, finetune-mrpc: --task_data=FOLDER' in refused('bench', '--only=finetune')


def test_a_mesh_that_does_not_fit_is_refused_by_name():
  assert 'config.mesh: ' in refused(
    'memory', '--config=configs/bert_tiny.py', '--config.mesh.data=7'
  )


def test_the_grid_is_drawn_where_the_command_runs(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  answer = call('grid')
  assert answer.code == 0 and answer.out == 'mask_grid.png: 3 masks x 3 columns\n', answer
  assert [path.name for path in tmp_path.iterdir()] == ['mask_grid.png']


@pytest.mark.parametrize(
  'mix, objectives',
  [
    ('mlm+nsp', dict(mlm=1.0, nsp=1.0)),
    ('mlm', dict(mlm=1.0)),
    ("{'mlm': 1.0, 'nsp': 0.5}", dict(mlm=1.0, nsp=0.5)),
  ],
)
def test_objectives_are_named_as_cells_are(mix, objectives):
  from runtime import config_flag

  parsed = config_flag._Objectives().parse(mix)
  assert parsed.to_dict() == objectives


@pytest.mark.parametrize('mix', ['mlm+mlm', 'mlm+', '+', '{', '[1]', '{1: 2}', 'mlm nsp'])
def test_other_words_for_objectives_are_refused(mix):
  assert '--config.objectives=' in refused('train', f'--config.objectives={mix}')


def test_a_cell_may_follow_the_name_of_a_config():
  from configs import bert_tiny, gpt_tiny

  for module, cell, mask in (
    (bert_tiny, 'causal+clm', 'causal'),
    (gpt_tiny, 'prefix+mlm', 'prefix'),
  ):
    config = module.get_config(f'cell={cell}')
    assert config.mask == mask and list(config.objectives) == [cell.partition('+')[2]]
    check.check(config)
  assert 'cell=MASK+OBJECTIVE' in refused('train', '--config=configs/bert_tiny.py:cell=causal')
