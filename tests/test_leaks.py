"""The prover lets every shipped network through, and stops the mistakes that it is for."""

import dataclasses
import importlib

import jax.numpy as jnp
import pytest
import small

from evaluation import layer_check, mask_check
from models import banded, depth, kv_cache
from models.masks import Mask
from objectives import clm
from runtime.errors import LeakError

DENSE, WRITE, SHIFTED = Mask.dense, kv_cache.write, clm.shifted


def prove(config='gpt2_small', mask='causal', packed=True, heads=('clm',), **changes):
  mask_check.prove(small.model(config, **changes), mask=mask, packed=packed, heads=heads)


@pytest.mark.parametrize(
  'mask, packed, heads, changes',
  [
    ('bidirectional', False, ('mlm', 'nsp'), {}),
    ('bidirectional', True, ('mlm',), dict(shared_layers=True, embedding_width=16)),
    ('causal', True, ('mlm',), dict(norm='rms', gated=True, bias=False)),
    ('prefix', True, ('mlm',), {}),
    ('causal', True, ('clm',), dict(positions='rotary', kv_heads=2)),
    (
      'causal',
      True,
      ('clm',),
      dict(positions='rotary', qk_norm=True, norm='rms', init_residual_zero=True),
    ),
    ('prefix', True, ('clm',), dict(attention='reference')),
    # a norm hides a change of length alone
    ('causal', True, ('clm',), dict(layers=1, norm='rms', positions='rotary')),
  ],
)
def test_honest_networks_pass(mask, packed, heads, changes):
  prove('bert_base' if heads[0] == 'mlm' else 'gpt2_small', mask, packed, heads, **changes)


@pytest.mark.parametrize('name', ['bert_tiny', 'gpt_tiny', 'bert_base', 'gpt2_small'])
def test_every_shipped_config_passes(name):
  config = importlib.import_module(f'configs.{name}').get_config()
  heads = tuple(head for head in ('mlm', 'clm', 'nsp') if head in config.objectives)
  mask_check.prove(
    small.ModelConfig(**config.model.to_dict()),
    mask=config.mask,
    packed='nsp' not in heads,
    heads=heads,
  )


def off_by_one(mask, T, S):
  later = jnp.arange(S)[None] if mask.kv_position_BxS is None else mask.kv_position_BxS
  return DENSE(dataclasses.replace(mask, kv_position_BxS=later - 1), T, S)


@pytest.mark.parametrize(
  'bug, words',
  [
    (off_by_one, 'output 0 depends on input 1'),
    (
      lambda mask, T, S: DENSE(dataclasses.replace(mask, window=(0, 0)), T, S),
      'output 1 misses input 0',
    ),
    (
      lambda mask, T, S: DENSE(dataclasses.replace(mask, packed=False), T, S),
      'output 4 depends on input 0',
    ),
    (
      lambda mask, T, S: DENSE(dataclasses.replace(mask, causal=False, prefix_BxS=None), T, S),
      'depends on input',
    ),
  ],
)
def test_a_mask_with_a_mistake_stops_the_run(bug, words, monkeypatch):
  monkeypatch.setattr(Mask, 'dense', bug)
  with pytest.raises(LeakError, match=words):
    prove(attention='reference')


def test_a_shifted_position_in_the_cache_stops_the_run(monkeypatch):
  monkeypatch.setattr(
    kv_cache, 'write', lambda cached, new, position: WRITE(cached, new, position - 1)
  )
  with pytest.raises(LeakError, match='with a cache'):
    prove()


def test_an_objective_that_asks_for_what_is_seen_stops_the_run(monkeypatch):
  monkeypatch.setattr(
    clm, 'shifted', lambda token, segment, prefix=None: (token, SHIFTED(token, segment, prefix)[1])
  )
  with pytest.raises(LeakError, match='asks output 0 for input 0'):
    prove()


def test_a_negative_control_is_let_through_when_it_is_named_one():
  config = small.model('gpt2_small')
  mask_check.prove(config, mask='bidirectional', packed=True, heads=('clm',), answers_seen=True)
  with pytest.raises(LeakError, match='asks output 0 for input 1'):
    mask_check.prove(config, mask='bidirectional', packed=True, heads=('clm',))


WINDOWS = dict(
  layers=22,
  positions='rotary',
  rotary_base=160_000.0,
  window=64,
  window_rotary_base=10_000.0,
  global_every=3,
  skip_first_norm=True,
  norm_position='pre',
  final_norm=True,
)
KIND, SHORT_ROWS = depth._kind, banded._short_rows


def prove_layers(mask, packed=True, **changes):
  config = small.model('bert_base', **WINDOWS | changes)
  compare = mask_check.compare
  layer_check.prove(config, mask=mask, packed=packed, heads=('mlm',), compare=compare)


@pytest.mark.parametrize(
  'mask, changes',
  [
    ('bidirectional', {}),
    ('causal', dict(scan=False, shared_layers=True, skip_first_norm=False)),
    ('prefix', dict(global_every=2, window_rotary_base=0.0, attention='xla')),
  ],
)
def test_honest_windows_pass(mask, changes):
  prove_layers(mask, **changes)
  prove('bert_base', mask, True, ('mlm',), **WINDOWS | changes)


def another_layer_is_global(config, layer):
  return KIND(config, layer + 1 if layer else layer)


def one_base(config, layer):
  return KIND(config, layer)._replace(rotary_base=config.rotary_base)


def swapped_bases(config, layer):
  kind = KIND(config, layer)
  bases = config.rotary_base, config.window_rotary_base
  return kind._replace(rotary_base=bases[kind.window == 0])


@pytest.mark.parametrize('bug', [another_layer_is_global, one_base, swapped_bases])
def test_a_layer_of_the_wrong_kind_stops_the_run(bug, monkeypatch):
  monkeypatch.setattr(depth, '_kind', bug)
  words = 'does not have the rotary base' if 'base' in bug.__name__ else 'in layer'
  with pytest.raises(LeakError, match=words):
    prove_layers('bidirectional')


def wider(mask, T, S):
  """One too wide, on both sides."""
  if mask.window is not None:
    mask = dataclasses.replace(mask, window=tuple(side + 1 for side in mask.window))
  return DENSE(mask, T, S)


def one_sided(mask, T, S):
  if mask.window is not None:
    mask = dataclasses.replace(mask, window=(mask.window[0], 0))
  return DENSE(mask, T, S)


def without_segments(mask, *rest):
  return SHORT_ROWS(dataclasses.replace(mask, q_segment_BxT=None, kv_segment_BxS=None), *rest)


@pytest.mark.parametrize(
  'where, name, bug, words',
  [
    (Mask, 'dense', wider, 'in layer 0 with window 16 .*output 0 depends on input 17'),
    (Mask, 'dense', one_sided, 'in layer 0 with window 16 .*output 0 misses input 1'),
    (banded, '_short_rows', without_segments, 'output 74 depends on input 90'),  # padding
  ],
)
def test_a_window_with_a_mistake_stops_the_run(where, name, bug, words, monkeypatch):
  monkeypatch.setattr(where, name, bug)
  with pytest.raises(LeakError, match=words):
    prove_layers('bidirectional', packed=False, global_every=0, layers=1, skip_first_norm=False)
