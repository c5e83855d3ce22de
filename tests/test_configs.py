"""The published shapes, counted exactly, through abstract
evaluation; and what every config file promises.
"""

import ast
import importlib
from pathlib import Path

import jax
import pytest

from configs import base
from configs.schema import check
from models.config import ModelConfig
from models.network import example_batch, make_network
from objectives.term import Vocabulary
from training import budget, certificate, describe
from training.experiment import build
from training.frozen import trained_heads

FOLDER = Path(base.__file__).parent
FAMILIES = sorted(f'families.{path.stem}' for path in FOLDER.glob('families/[!_]*.py'))
NAMES = sorted({path.stem for path in FOLDER.glob('*.py')} - {'__init__', 'base'}) + FAMILIES
BASE, GPT = 'bert_base', 'gpt2_small'


def count(config: str, needed: tuple[str, ...], changes: dict) -> int:
  shape = ModelConfig(
    **importlib.import_module(f'configs.{config}').get_config().model.to_dict() | changes
  )
  net = make_network(shape, mask='bidirectional', packed=False, heads=needed)
  params = jax.eval_shape(net.init, jax.random.key(0), example_batch(1, 8, 2))
  total = sum(leaf.size for leaf in jax.tree.leaves(params))
  # The published "backbone" has a pooler and not the classifier behind it.
  return total - (2 * shape.width + 2 if needed == ('nsp',) else 0)


def tiny(layers, width, heads):
  return dict(layers=layers, width=width, heads=heads, feed_forward=4 * width)


@pytest.mark.parametrize(
  'published, config, heads, changes',
  [
    (109_482_240, BASE, ('nsp',), {}),
    (110_104_890 + 1_538, BASE, ('mlm', 'nsp'), {}),
    (335_141_888, 'bert_large', ('nsp',), {}),
    (336_226_108, 'bert_large', ('mlm', 'nsp'), {}),
    (108_310_272, BASE, ('nsp',), dict(vocab_size=28_996)),
    (108_932_934, BASE, ('mlm', 'nsp'), dict(vocab_size=28_996)),
    (177_853_440, 'families.mbert_base', ('nsp',), {}),
    (167_356_416, BASE, ('nsp',), dict(vocab_size=105_879)),
    (4_385_920, BASE, ('nsp',), tiny(2, 128, 2)),
    (4_433_210 + 2 * 128 + 2, BASE, ('mlm', 'nsp'), tiny(2, 128, 2)),
    (11_170_560, 'bert_mini', ('nsp',), {}),
    (28_763_648, 'bert_small', ('nsp',), {}),
    (41_373_184, 'bert_medium', ('nsp',), {}),
    (41_667_386 + 2 * 512 + 2, 'bert_medium', ('mlm', 'nsp'), {}),
    (124_645_632, 'families.roberta_base', ('nsp',), {}),
    (355_359_744, 'families.roberta_large', ('nsp',), {}),
    (66_362_880, BASE, (), dict(layers=6, segment_types=0)),
    (11_683_584, 'families.albert_base', ('nsp',), {}),
    (17_683_968, 'families.albert_large', ('nsp',), {}),
    (58_724_864, 'families.albert_xlarge', ('nsp',), {}),
    (222_595_584, 'families.albert_xxlarge', ('nsp',), {}),
    (
      116_534_784,
      GPT,
      ('clm',),
      dict(vocab_size=40_478, max_length=512, norm_position='post', final_norm=False),
    ),
    (124_439_808, GPT, ('clm',), {}),
    (354_823_168, 'gpt2_medium', ('clm',), {}),
    (774_030_080, 'gpt2_large', ('clm',), {}),
    (1_557_611_200, 'gpt2_xl', ('clm',), {}),
  ],
)
def test_parameters_are_counted_as_published(published, config, heads, changes):
  assert count(config, heads, changes) == published


def docstring_of(name: str) -> str:
  return ast.get_docstring(ast.parse((FOLDER / f'{name.replace(".", "/")}.py').read_text()))


@pytest.mark.parametrize('name', NAMES)
def test_a_config_says_where_it_is_from_what_to_expect_and_how_to_run_it(name):
  docstring, file = docstring_of(name), f'configs/{name.replace(".", "/")}.py'
  for word in ('Source:', 'Parameters:', 'Expected:', 'Time:', 'Command:', file):
    assert word in docstring, word


@pytest.mark.parametrize('name', NAMES)
def test_a_config_is_valid_and_states_its_own_parameter_count(name):
  config = importlib.import_module(f'configs.{name}').get_config()
  check.check(config)
  heads = trained_heads(config)
  net = make_network(
    ModelConfig(**config.model.to_dict()), mask=config.mask, packed=False, heads=heads
  )
  params = jax.eval_shape(net.init, jax.random.key(0), example_batch(1, 8, 2))
  assert f'{sum(leaf.size for leaf in jax.tree.leaves(params)):,}' in docstring_of(name)


STOCK = dict(roberta='RobertaForMaskedLM', albert='AlbertForPreTraining')
OF_STOCK = [name for name in FAMILIES if name.split('.')[1].split('_')[0] in STOCK]


@pytest.mark.parametrize('name', OF_STOCK)
def test_a_family_states_its_published_count_and_exports_to_its_stock_class(name):
  config = importlib.import_module(f'configs.{name}').get_config()
  experiment = build(budget.settle(config), Vocabulary.any_of(config.model.vocab_size))
  family = STOCK[name.split('.')[1].split('_')[0]]
  expected = 'GPT2LMHeadModel' if config.mask == 'causal' else family
  assert describe.stock_class(experiment) == expected
  if 'tiny' not in name:
    assert f'{count(name, ("nsp",), {}):,} with a pooler' in docstring_of(name)


@pytest.mark.parametrize(
  'name, changes, expected',
  [
    ('bert_tiny', {}, 'JinaEmbeddingsV3ForMaskedLM, without nsp'),
    ('bert_base', {}, 'BertForPreTraining'),
    ('bert_base', dict(objectives=dict(mlm=1.0)), 'BertForMaskedLM'),
    ('gpt_tiny', {}, 'GPT2LMHeadModel'),
    ('families.mbert_base', {}, 'BertForPreTraining'),
    ('families.mbert_tiny', {}, 'JinaEmbeddingsV3ForMaskedLM'),
    ('families.biobert', {}, 'BertForPreTraining'),
    ('families.scibert', {}, 'BertForPreTraining'),
    ('families.finbert', {}, 'BertForPreTraining'),
    ('gpt_char', {}, 'nothing; llama: qk_norm would be False, and is True'),
    ('bert_base', dict(objectives=dict(mntp=1.0)), 'nothing; no class fills a blank'),
    ('gpt_tiny', dict(mask='prefix'), 'nothing; no class is near'),
  ],
)
def test_what_a_config_exports_to_is_known_before_it_trains(name, changes, expected):
  config = importlib.import_module(f'configs.{name}').get_config()
  with config.unlocked():
    for key, value in changes.items():
      config[key] = value
  experiment = build(budget.settle(config), Vocabulary.any_of(config.model.vocab_size))
  assert describe.stock_class(experiment).startswith(expected)


def test_what_masks_nothing_says_nothing_of_masks_and_predictions():
  known = dict(initial_sha256='a', rows_sha256='b', masks_sha256='c', tokens=8, flops=1e6)
  masking = ' '.join(certificate.rows(known | dict(predictions=3)).values())
  labels = ' '.join(certificate.rows(known | dict(predictions=0)).values())
  assert 'masked positions c' in masking and '3 predictions' in masking
  assert 'masked' not in labels and 'predictions' not in labels and '8 tokens' in labels
