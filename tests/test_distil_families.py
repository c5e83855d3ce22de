"""DistilBERT and DistilGPT2 as configs: shapes as published, teachers that fit, stock classes."""

import importlib
import math
from pathlib import Path

import pytest

from configs import base
from configs.schema.shapes import layer_numbers
from models.network import make_network, parameter_shapes
from objectives.term import Vocabulary
from tools.sweep import runs
from training import budget, cost, describe
from training.experiment import build
from training.frozen import model_config, trained_heads

FOLDER = Path(base.__file__).parent / 'families'
STUDENTS = {
  'distilbert': ('bert_base', 66_985_530),
  'distilgpt2': ('gpt2_small', 81_912_576),
  'distil_tiny': ('families.distil_teacher', None),
  'distilgpt_tiny': ('gpt_tiny', None),
}


def config_of(name: str):
  return importlib.import_module(f'configs.{name}').get_config()


def size(config, heads: tuple[str, ...]) -> int:
  network = make_network(model_config(config), mask=config.mask, packed=False, heads=heads)
  return sum(math.prod(shape) for shape in parameter_shapes(network).values())


@pytest.mark.parametrize('name', STUDENTS)
def test_a_student_is_its_teacher_with_fewer_layers(name):
  """What else differs is what a student has not: segments, a second phase; dropout is no output."""
  config, (teacher, published) = config_of(f'families.{name}'), STUDENTS[name]
  ours, theirs = config.model.to_dict(), config_of(teacher).model.to_dict()
  differ = {field for field in ours if ours[field] != theirs[field]}
  assert differ - {'dropout', 'attention_dropout', 'shared_head'} <= {'layers', 'segment_types'}
  assert config.init_from == config.distill.teacher
  numbers = layer_numbers(config.init_layers)
  depth = 4 if name == 'distilgpt_tiny' else theirs['layers']
  assert len(numbers) == depth // 2 and max(numbers) < depth
  assert published in (None, size(config, trained_heads(config)))


def test_distilbert_has_the_published_number_of_parameters():
  """66,362,880 without its head; with it what DistilBertForMaskedLM has."""
  config = config_of('families.distilbert')
  assert size(config, ()) == 66_362_880
  bert = config_of('bert_base')
  smaller = 1 - size(config, ()) / size(bert, ('pool',))
  assert abs(smaller - 0.40) < 0.01


@pytest.mark.parametrize(
  'name, expected',
  [
    ('distilbert', 'DistilBertForMaskedLM'),
    ('distilgpt2', 'GPT2LMHeadModel'),
    ('distil_tiny', 'DistilBertForMaskedLM'),
    ('distilgpt_tiny', 'GPT2LMHeadModel'),
  ],
)
def test_a_student_exports_to_a_stock_class(name, expected):
  config = config_of(f'families.{name}')
  experiment = build(config, Vocabulary.any_of(config.model.vocab_size))
  assert describe.stock_class(experiment) == expected


def test_the_arms_without_a_teacher_spend_what_the_arm_with_one_spends(tmp_path):
  """Within 1%: its own steps and the teacher's forward passes; and the teacher's training too."""
  sweep = runs.load(FOLDER.parent / 'sweeps/distil.py', tmp_path)
  arms = {run.changes['name']: run for run in sweep.runs}
  teacher = config_of('families.distil_teacher')
  student, T = arms['all'].config, teacher.data.sequence_length
  P = math.ceil(0.15 * T)
  a_token = cost.flops_per_token(model_config(teacher), ('hidden', 'mlm'), T, P) / 3
  spent = arms['all'].flops() + student.steps * student.batch_size * T * a_token
  trained = budget.spending(teacher)['flops']
  assert math.isclose(arms['alone_same_flops'].flops(), spent, rel_tol=0.01)
  assert math.isclose(arms['alone_all_flops'].flops(), spent + trained, rel_tol=0.01)
