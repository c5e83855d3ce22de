"""An experiment on real text, put together as a run does, and scored."""

import math

import jax
import numpy as np
import pytest
import runs

from configs import base, bert_tiny, gpt_tiny
from configs.schema import grid, names
from evaluation.validation import Part, make_evaluator, perplexity
from evaluation.validation import rows as result_rows
from objectives.mix import module_of
from parallel import sharding
from training.experiment import build_experiment, make_run_state
from training.frozen import masking_of

CELLS = dict(bert=bert_tiny, gpt=gpt_tiny)


@pytest.fixture(scope='module', params=CELLS)
def experiment(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp('corpus')
  config = CELLS[request.param].get_config()
  config.update_from_flattened_dict(
    {
      name: value == 'True' if value in ('True', 'False') else value
      for name, value in runs.TINY.items()
    }
  )
  config.update_from_flattened_dict(
    {
      'data.corpus': f'text:{runs.corpus(folder, documents=80)}',
      'data.cache': str(folder / 'cache'),
      'data.validation_share': 0.3,
      **({'mlm.rate': 0.4} if request.param == 'bert' else {}),
    }
  )
  return build_experiment(config)


def score(experiment, batch_size, params=None):
  mesh = sharding.make_mesh(experiment.config.mesh, jax.devices()[:1])
  with jax.set_mesh(mesh):
    params = (
      make_run_state(experiment.config, experiment.network, mesh)[1]().params
      if params is None
      else params
    )
    evaluate = make_evaluator(
      experiment.network.apply,
      experiment.held_out,
      seed=experiment.config.validation.seed,
      shard=lambda batch: sharding.shard_batch(batch, mesh),
    )
    batches = experiment.validation(batch_size)
    in_order = (batches[i] for i in range(len(batches)))
    return evaluate(params, {'': Part(in_order, experiment.prepared.report['validation'])})


def test_the_batch_size_of_validation_changes_no_mask_and_no_number(experiment):
  rows = experiment.validation(1).rows
  assert rows % 8 and rows > 8  # so that the last batch is filled up
  one, *others = (score(experiment, size) for size in (8, rows, rows + 3))
  for other in others:
    assert other.keys() == one.keys() and other.get('mask_sha256') == one.get('mask_sha256')
    for name in one.keys() - {'mask_sha256'}:
      # Sums in float32 within a batch; nothing but their order differs.
      assert math.isclose(other[name], one[name], rel_tol=1e-5), name


def test_validation_predicts_what_its_rows_say(experiment):
  """Counted by hand, whatever the training masks: 15% of a row's
  tokens, or every token but a document's first.
  """
  batch = experiment.validation(experiment.validation(1).rows)[0]
  prepared = experiment.held_out.prepare(jax.random.key(0), batch, batch['id'])
  weights = {name: float(np.sum(x)) for name, x in experiment.held_out.counts(prepared).items()}
  filled = (batch['segment'] > 0).sum(axis=1)
  if 'mlm' in weights:
    assert masking_of(experiment.config).rate == 0.4
    assert weights == dict(
      mlm=sum(max(1, round(0.15 * n)) for n in filled.tolist()), nsp=len(filled)
    )
  else:
    documents = sum(len(set(row[row > 0].tolist())) for row in batch['segment'])
    assert weights == dict(clm=filled.sum() - documents)


def test_an_untrained_model_scores_near_chance(experiment):
  results = score(experiment, 16)
  V = experiment.config.model.vocab_size
  name = 'mlm' if 'mlm_loss' in results else 'clm'
  assert abs(results[f'{name}_loss'] - math.log(V)) < 0.5
  assert math.isclose(results[f'{name}_perplexity'], math.exp(results[f'{name}_loss']))
  text = experiment.prepared.report['validation']
  if name == 'clm':
    # A word has several tokens, and a token several bytes: the three units tell one story.
    nats = math.log(results['clm_word_perplexity']) * text['words']
    assert math.isclose(results['bits_per_byte'] * text['bytes'] * math.log(2), nats, rel_tol=1e-9)
  else:
    assert abs(results['nsp_loss'] - math.log(2)) < 0.3


def test_a_perplexity_beyond_floats_is_infinite():
  assert perplexity(0.0) == 1.0 and perplexity(701.0) == math.inf


@pytest.mark.parametrize(
  'short, share, phases',
  [
    (0, 0.9, ((0, 512),)),
    (128, 0.9, ((0, 128), (900, 512))),
    (128, 0.0, ((0, 512),)),
  ],
)
def test_bert_trains_short_before_it_trains_long(short, share, phases):
  config = base.get_config()
  config.steps = 1_000
  config.data.update(sequence_length=512, short_length=short, short_share=share)
  assert grid.phases(config) == phases


@pytest.mark.parametrize('name', names.objectives())
def test_every_number_of_every_objective_has_words(name):
  module = module_of(name)
  of_its_own = module.ROWS == 'text_groups' or module.PREDICTS == 'teacher'
  own = [*module.UNITS.keys() - {'loss'}] if of_its_own else ['accuracy']
  kinds = ['loss', *own] + ['perplexity'] * (module.PREDICTS == 'tokens')
  units = {f'{name}_{kind}': unit for kind, unit in module.UNITS.items()}
  words = result_rows({f'{name}_{kind}': 1.0 for kind in kinds}, units)
  assert len(words) == len(kinds) and all(len(text) > len('1.0000  ') for text in words.values())
