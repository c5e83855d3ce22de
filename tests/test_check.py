"""A config that cannot work is refused in words, and every config that is here can work."""

import copy
import importlib
import json
from pathlib import Path

import ml_collections
import pytest

from configs import base
from configs.schema import check, foreign, meshes
from configs.schema.check import ConfigError
from configs.schema.upgrade import ADDED, RENAMED, renamed, upgrade

CONFIGS = sorted(
  path.stem
  for path in Path(base.__file__).parent.glob('*.py')
  if path.stem not in ('__init__', 'axes', 'cells', 'check', 'cli', 'base', 'meshes')
)


def config(**changes):
  changed = base.get_config()
  with changed.unlocked():
    for name, value in changes.items():
      group, _, leaf = name.rpartition('__')
      (changed[group] if group else changed)[leaf] = value
  return changed


def refusal(changed) -> str:
  with pytest.raises(check.ConfigError) as refused:
    check.check(changed)
  assert refused.value.exit_code == 2
  return str(refused.value)


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_passes_and_comes_back_from_its_json(name):
  ours = importlib.import_module(f'configs.{name}').get_config()
  check.check(ours)
  resolved = check.resolve(ours)
  again = check.from_resolved(json.loads(json.dumps(resolved)))
  assert check.resolve(again) == resolved and check.difference(resolved, check.resolve(again)) == []
  assert again.is_locked


FUSED = dict(model__attention_dropout=0.0, model__dtype='bfloat16')


@pytest.mark.parametrize(
  'changes, words',
  [
    (dict(mlm__rate=0.0), ('mlm.rate=0.0', 'between 0 and 1')),
    (dict(mlm__rate=1.0), ('mlm.rate=1.0',)),
    (dict(mlm__rate=float('nan')), ('mlm.rate=nan', 'finite')),
    (dict(mlm__masked=0.9, mlm__random=0.2), ('masked + random',)),
    (dict(mlm__unit='tokn'), ('token, word, span',)),
    (dict(steps=0), ('steps=0', 'from 1')),
    (dict(steps=2**31), ('2147483647',)),
    (dict(seed=-1), ('seed=-1',)),
    (dict(name='../elsewhere'), ('names a folder',)),
    (dict(steps=50, optimizer__warmup_steps=50), ('warmup_steps=50', 'below steps=50')),
    (
      dict(data__rows='doc_sentences', objectives=dict(nsp=1.0)),
      ('doc_sentences', 'sentence_pairs'),
    ),
    (dict(data__rows='full_sentences', data__split='tail'), ('without sentences',)),
    (dict(data__rows='sentence_pairs', mlm__fixed_maskings=1), ('other config.data.rows',)),
    (dict(data__rows='sentence_pairs', model__segment_types=0), ('segment_types=0',)),
    (dict(data__rows='sentences'), ('full_sentences',)),
    (dict(optimizer__learning_rate=float('inf')), ('learning_rate=inf',)),
    (dict(optimizer__epsilon=0.0), ('epsilon=0.0',)),
    (dict(optimizer__name='muon', optimizer__learning_rate=0.0), ('above 0 with muon',)),
    (dict(optimizer__adam_learning_rate=0.1), ("without optimizer.name='muon'",)),
    (dict(data__split='random'), ('hash, tail',)),
    (dict(optimizer__schedule='exponential'), ('linear, cosine, wsd, constant',)),
    (dict(model__heads=7), ('must divide width 768', '6 and 8 do')),
    (dict(model__kv_heads=5), ('must divide heads 12', '4 and 6 do')),
    (dict(model__positions='rotary', model__head_width=33), ('rotary', 'even')),
    (dict(data__sequence_length=513), ('512 rows', 'max_length=513')),
    (dict(data__sequence_length=512, model__position_offset=2), ('510 rows', 'max_length=514')),
    (dict(batch_size=30, accumulate=4), ('must divide batch_size 30', '3 and 5 do')),
    (dict(data__short_share=0.9), ('short_length',)),
    (dict(data__short_length=64), ('short_share',)),
    (dict(model__attention='xla'), ('attention_dropout=0.1', 'reference')),
    (dict(model__attention='cudnn'), ('attention_dropout=0.1', 'reference')),
    (
      FUSED | dict(model__attention='cudnn', model__dtype='float32'),
      ("dtype='float32'", 'bfloat16'),
    ),
    (
      FUSED | dict(model__attention='cudnn', model__heads=6, model__head_width=132),
      ('head_width=132', 'up to 128'),
    ),
    (
      FUSED | dict(model__attention='cudnn', data__sequence_length=127),
      ('sequence_length=127', 'even'),
    ),
    (
      FUSED | dict(model__attention='splash', data__sequence_length=200),
      ('sequence_length=200', 'multiple of 128'),
    ),
    (
      FUSED | dict(model__attention='splash', data__short_length=64, data__short_share=0.5),
      ('short_length=64',),
    ),
    (FUSED | dict(model__attention='splash', mask='prefix'), ('prefix from both sides', 'auto')),
    (dict(mesh__fsdp=0), ('mesh.fsdp=0',)),
    (dict(mesh__tensor=-1), ('mesh.tensor=-1', 'data and tensor')),
    (dict(mesh__data=0), ('mesh.data=0',)),
    (
      dict(optimizer__schedule='constant', optimizer__final_share=0.1),
      ('final_share=0.1', 'does not fall', 'cosine'),
    ),
    (dict(objectives={}), ('at least one of clm, mlm, mntp, nsp, sop',)),
    (dict(objectives=dict(mlmm=1.0)), ('Did you mean mlm?',)),
    (dict(objectives=dict(mlm=0.0)), ('above 0',)),
    (dict(objectives=dict(mlm={})), ('objectives.mlm', 'above 0')),
    (dict(data__corpus='text:a\0b'), ('data.corpus', 'no file has such a name')),
    (dict(objectives=dict(mlm=dict(weight=1.0))), ('objectives.mlm.weight', 'no knob')),
    (dict(objectives=dict(clm=1.0)), ('see', 'the answer', "mask='causal'")),
    (dict(mask='causal', objectives=dict(clm=1.0, mlm=1.0)), ('alone',)),
    (dict(mask='prefix', objectives=dict(mlm=1.0, nsp=1.0)), ('sees only itself or a prefix',)),
    (dict(objectives=dict(mlm=1.0, mntp=1.0)), ('one head',)),
    (dict(mask='casual'), ('one of bidirectional, causal, prefix. Did you mean causal?',)),
    (dict(mask='clm', objectives=dict(causal=1.0)), ('MASK+OBJECTIVE', 'clm+causal')),
    (dict(validation__extra_cells='causl+clm'), ('did you mean causal?',)),
    (dict(model__norm='layr'), ('Did you mean layer?',)),
    (dict(mask='same'), ('is for fine-tuning', 'one of bidirectional, causal, prefix.')),
    (
      dict(mask='same', data__task='csv:a.csv', objectives=dict(classify=1.0)),
      ('--config.init_from=DIR is missing',),
    ),
    (
      dict(mask='same', data__groups='a.jsonl', objectives=dict(contrast=1.0)),
      ('--config.init_from=DIR is missing',),
    ),
    (dict(objectives=dict(classify=1.0)), ('classify needs labelled texts',)),
    (dict(objectives=dict(contrast=1.0)), ('contrast reads groups',)),
    (dict(objectives=dict(contrast=1.0, cosine=1.0)), ('contrast and cosine read groups',)),
    (dict(negative_control=True), ('sees none',)),
    (dict(mask='causal', objectives=dict(mlm=1.0, nsp=1.0)), ('sees only itself',)),
    (dict(objectives=dict(mlm=1.0, nsp=1.0), model__segment_types=0), ('segment_types=0',)),
  ],
)
def test_what_cannot_work_is_refused_with_a_value_that_can(changes, words):
  text = refusal(config(**changes))
  assert all(word in text for word in words), text


@pytest.mark.parametrize(
  'changes',
  [
    dict(optimizer__warmup_steps=0),
    dict(mask='causal'),
    dict(mask='causal', objectives=dict(clm=1.0)),
    dict(data__sequence_length=510, model__position_offset=2),
    dict(data__sequence_length=1024, model__positions='rotary'),
    dict(model__heads=7, model__head_width=32),
    dict(batch_size=30, accumulate=5),
    dict(optimizer__clip=0.0, optimizer__final_share=1.0),
  ],
)
def test_what_works_is_not_refused(changes):
  check.check(config(**changes))


@pytest.mark.parametrize(
  'changes, meant',
  [
    (dict(stepps=3), 'config.steps'),
    (dict(modle=dict(width=3)), 'config.model.width'),
    (dict(width=3), 'config.model.width'),  # the right name in the wrong place
    (dict(model__widht=3), 'config.model.width'),
    (dict(mlm=dict(rate=0.2, maskd=0.8)), 'config.mlm.masked'),
    (dict(optimizer__lr=3), 'config.optimizer.learning_rate'),
    (dict(max_length=3), 'config.data.sequence_length or config.model.max_length'),
  ],
)
def test_a_misspelt_field_is_told_the_nearest_real_one(changes, meant):
  assert f'Did you mean {meant}?' in refusal(config(**changes))


@pytest.mark.parametrize(
  'name, value',
  [('steps', '10'), ('steps', 1.5), ('steps', True), ('steps', None), ('steps', [1]), ('mlm', 3)],
)
def test_a_value_of_another_type_is_refused(name, value):
  loose = ml_collections.ConfigDict(check.resolve(base.get_config()) | {name: value})
  assert f'config.{name}' in refusal(loose)


def test_a_group_replaced_by_part_of_itself_is_refused():
  assert 'config.mlm.final_rate is missing' in refusal(config(mlm=dict(rate=0.2)))


def test_a_hostile_resolved_config_is_refused():
  good = check.resolve(base.get_config())
  nested = {}
  for _ in range(500):
    nested = {'a': nested}
  changes = [
    {'auto_map': 'os.system'},
    {'_target_': 'os.system'},
    {'model': nested},
    {'steps': 10**400},
    {'a.b': 1},
    {'seed': '0'},
    {'model': good['model'] | {'_attn': 'x'}},
    {'objectives': {'os.system': 1.0}},
    {'batch_size': float('nan')},
    {'objectives': nested},
    {'optimizer': []},
  ]
  for bad in [[], None, {}, *(good | change for change in changes)]:
    with pytest.raises(check.ConfigError):
      check.from_resolved(bad)


def test_differences_are_listed_field_by_field():
  old = check.resolve(base.get_config())
  new = check.resolve(config(steps=5, mlm__rate=0.2, objectives=dict(mlm=2.0)))
  assert check.difference(old, new) == [
    ('mlm.rate', 0.15, 0.2),
    ('objectives.mlm', 1.0, 2.0),
    ('steps', 1_000, 5),
  ]
  assert check.config_hash(old) != check.config_hash(new)
  assert check.config_hash(dict(reversed(old.items()))) == check.config_hash(old)


@pytest.mark.parametrize('name', ADDED)
def test_a_knob_that_a_version_brings_renames_no_run_that_does_not_use_it(name):
  resolved = check.resolve(base.get_config())
  group, _, leaf = name.rpartition('.')
  older, using = copy.deepcopy(resolved), copy.deepcopy(resolved)
  del (older[group] if group else older)[leaf]
  (using[group] if group else using)[leaf] = 'another'
  assert check.config_hash(older) == check.config_hash(resolved) != check.config_hash(using)


@pytest.mark.parametrize(
  'changes, devices, processes, words',
  [
    (dict(batch_size=30), 8, 1, ('24 or 32',)),
    (dict(batch_size=3), 8, 1, ('use 8.',)),
    (dict(batch_size=32, accumulate=8), 8, 1, ('use 64.',)),
    (dict(batch_size=4, mesh__tensor=8), 8, 8, ('8 processes', 'use 8.')),
    (dict(mesh__fsdp=3), 8, 1, ('does not make 8 devices',)),
    (dict(mesh__fsdp=16), 8, 1, ('does not make 8 devices',)),
    (dict(mesh__data=4), 8, 1, ('does not make 8 devices',)),
    (
      dict(model__remat='full', model__scan=False),
      8,
      1,
      ('remat=full saves no memory', 'scan=True'),
    ),
    (
      FUSED | dict(model__attention='cudnn'),
      8,
      1,
      ('cudnn runs on a gpu and not on a cpu', 'auto'),
    ),
  ],
)
def test_a_batch_or_mesh_that_does_not_fit_the_devices_is_refused(
  changes, devices, processes, words
):
  with pytest.raises(check.ConfigError) as refused:
    meshes.check(config(**changes), devices, processes, 'cpu')
  assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(
  'name, sizes',
  [
    ('replicated', (-1, 1, 1)),
    ('fsdp', (1, -1, 1)),
    ('tensor', (1, 1, -1)),
    ('tensor4', (1, 1, 4)),
    ('fsdp+tensor4', (1, -1, 4)),
    ('data2+fsdp', (2, -1, 1)),
    ('data+fsdp2+tensor2', (-1, 2, 2)),
  ],
)
def test_a_preset_names_a_mesh(name, sizes):
  changed = base.with_arguments(base.get_config(), f'mesh={name}')
  assert tuple(changed.mesh.values()) == sizes
  check.check(changed)


@pytest.mark.parametrize('name', ['fdsp', 'fsdp*tensor', 'data0', 'fsdp+', ''])
def test_a_preset_that_is_none_is_refused(name):
  with pytest.raises(ValueError, match='mesh='):
    base.with_arguments(base.get_config(), f'mesh={name}')


def test_a_batch_that_divides_is_accepted():
  meshes.check(config(batch_size=32, accumulate=2), 8, 2, 'cpu')
  meshes.check(config(batch_size=4, mesh__tensor=8), 8, 1, 'cpu')


def test_a_config_of_before_has_todays_names_and_only_what_it_meant():
  old = check.resolve(base.get_config())
  old['start_from'] = old.pop('init_from')
  old['mlm']['static'] = 10
  del old['mlm']['fixed_maskings']
  old['model']['position_init_scale'] = 0.02
  new = check.from_resolved(upgrade(old))
  assert new.mlm.fixed_maskings == 10 and new.init_from == ''
  old['model']['position_init_scale'] = 0.5
  with pytest.raises(ConfigError, match='position_init_scale'):
    check.from_resolved(upgrade(old))


@pytest.mark.parametrize('name', RENAMED)
def test_an_old_name_is_an_error_that_names_the_new_one(name):
  config = base.get_config().copy_and_resolve_references()
  group, _, leaf = name.rpartition('.')
  with config.unlocked():
    (config[group] if group else config)[leaf] = ''
  with pytest.raises(ConfigError, match=f'another name now: config.{renamed(name)}'):
    check.check(config)


def test_every_name_of_another_library_leads_to_a_knob_and_is_none_itself():
  known = check.flatten(base.get_config())
  assert set(foreign.FOREIGN.values()) <= set(known)
  assert not set(foreign.FOREIGN) & set(known)
  for name, knob in foreign.FOREIGN.items():
    assert knob in check.nearest(name) and knob in check.nearest(f'model.{name}')
