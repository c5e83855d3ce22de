"""ModernBERT and Ettin as configs: sizes, twins, phases, and which stock class computes them."""

import ast
import importlib
import json
import math
from pathlib import Path
import re

import pytest
import runs

from configs.schema import check
from models.config import ModelConfig
from models.network import make_network, parameter_shapes
from objectives.term import Vocabulary
from training import budget, cost, describe
from training.experiment import build

FOLDER = Path(check.__file__).parents[1] / 'families'
SIZES = ('17m', '32m', '68m', '150m')
# With the head that predicts tokens, as the hub counts ModernBERT-base's file.
PUBLISHED = {
  'modernbert_base': 149_655_232,
  'ettin_17m': 16_913_600,
  'ettin_32m': 32_081_344,
  'ettin_68m': 68_457_664,
  'ettin_150m': 149_655_232,
}
PHASES = ('modernbert_base_long', 'modernbert_base_decay')
TINY = ('modern_tiny_encoder', 'modern_tiny_decoder')
TWINS = tuple(f'ettin_{size}_{kind}' for size in SIZES for kind in ('encoder', 'decoder'))
NAMES = ('modernbert_base', *PHASES, *TINY, *TWINS)


def config_of(name: str):
  return importlib.import_module(f'configs.families.{name}').get_config()


def count(config) -> int:
  model = ModelConfig(**config.model.to_dict())
  network = make_network(model, mask=config.mask, packed=True, heads=tuple(config.objectives))
  return sum(math.prod(shape) for shape in parameter_shapes(network).values())


@pytest.mark.parametrize('name', NAMES)
def test_a_config_is_valid_and_says_what_it_is(name):
  config = config_of(name)
  check.check(config)
  docstring = ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text()))
  for word in ('Source:', 'Expected:', 'Time:', f'configs/families/{name}.py'):
    assert word in docstring, word
  parameters = count(config)
  assert f'Parameters: {parameters:,} with' in docstring
  published = [size for known, size in PUBLISHED.items() if name.startswith(known)]
  assert parameters == (published or [parameters])[0]


@pytest.mark.parametrize('size', ['17m', '150m'])
def test_the_stock_class_of_that_shape_has_as_many_parameters(size):
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  for kind, name in (
    ('encoder', 'ModernBertForMaskedLM'),
    ('decoder', 'ModernBertDecoderForCausalLM'),
  ):
    model = config_of(f'ettin_{size}_{kind}').model
    fields = dict(
      hidden_size=model.width,
      num_hidden_layers=model.layers,
      num_attention_heads=model.heads,
      intermediate_size=model.feed_forward,
    )
    family = getattr(transformers, name)
    with torch.device('meta'):
      stock = family(family.config_class(**fields))
    assert stock.num_parameters() == PUBLISHED[f'ettin_{size}']


@pytest.mark.parametrize('twins', [*(f'ettin_{size}' for size in SIZES), 'modern_tiny'])
def test_a_decoder_is_its_encoder_but_for_mask_objective_and_head(twins):
  encoder, decoder = (
    check.resolve(config_of(f'{twins}_{kind}')) for kind in ('encoder', 'decoder')
  )
  differ = {name for name, *_ in check.difference(encoder, decoder)}
  heads = {'model.shared_head', 'model.plain_heads'}
  assert differ == {'name', 'mask', 'objectives.mlm', 'objectives.clm', *heads}


@pytest.mark.parametrize(
  'name, expected',
  [(name, 'ModernBertForMaskedLM') for name in ('modernbert_base', 'modernbert_base_long')]
  + [('ettin_17m_encoder', 'ModernBertForMaskedLM'), (TINY[0], 'ModernBertForMaskedLM')]
  + [(name, 'ModernBertDecoderForCausalLM') for name in ('ettin_150m_decoder', TINY[1])],
)
def test_a_stock_class_computes_it(name, expected):
  config = budget.settle(config_of(name))
  experiment = build(config, Vocabulary.any_of(config.model.vocab_size))
  assert describe.stock_class(experiment) == expected


def test_windows_are_counted_as_windows():
  config = config_of('modernbert_base').model
  model = ModelConfig(**config.to_dict())
  with config.unlocked():
    config.update(window=0, global_every=1)
  everywhere = ModelConfig(**config.to_dict())
  windowed, whole = (cost.flops_per_token(one, (), 8_192, 0) for one in (model, everywhere))
  saved = 14 * 2 * (8_192 - 129) * 768  # of 14 layers, scores and their products with values
  assert whole - windowed == 3 * 2 * saved


def test_a_second_phase_has_longer_rows_and_another_rotary_base(tmp_path):
  text = runs.corpus(tmp_path)
  sizes = {'model.window': 3, 'optimizer.bias_correction': 'True', 'model.layers': 4}
  first = runs.command('families/modern_tiny_encoder', tmp_path / 'first', text, **sizes)
  begun = runs.run(first)
  assert begun.returncode == 0, begun.stderr
  longer = {
    'init_from': tmp_path / 'first',
    'data.tokenizer': tmp_path / 'first/tokenizer.json',
    'data.sequence_length': 64,
    'model.max_length': 64,
    'model.rotary_base': 160_000.0,
    'model.window_rotary_base': 10_000.0,
    'mlm.rate': 0.15,
  }
  command = runs.command(
    'families/modern_tiny_encoder', tmp_path / 'second', text, **sizes | longer
  )
  done = runs.run(command)
  assert done.returncode == 0, done.stderr
  assert re.search(r'begins with .*: (\d+) of \1 parameters kept', done.stdout), done.stdout
  assert check.difference(
    *(config_at(tmp_path / name)['model'] for name in ('first', 'second'))
  ) == [
    ('max_length', 32, 64),
    ('rotary_base', 10_000.0, 160_000.0),
    ('window_rotary_base', 0.0, 10_000.0),
  ]


def config_at(workdir: Path) -> dict:

  return json.loads((workdir / 'config.json').read_text())
