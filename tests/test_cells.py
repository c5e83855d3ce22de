"""What `config.schedule` says: which cell trains at which
step, on which rows; and what a budget buys.
"""

import pytest

from configs import base
from configs.schema import check, grid
from training import budget


def config(**changes):
  made = base.get_config()
  with made.unlocked():
    if 'objectives' in changes:
      made.objectives = changes.pop('objectives')
  made.update_from_flattened_dict(
    {name.replace('__', '.'): value for name, value in changes.items()}
  )
  return made


def laid_out(schedule, steps=24, batch_size=24, **changes):
  stages = grid.stages(config(schedule=schedule, steps=steps, batch_size=batch_size, **changes))
  return [
    (
      stage.first,
      stage.end,
      [(str(part.cell), part.first, part.share, part.period) for part in stage.shares],
    )
    for stage in stages
  ]


def test_without_a_schedule_one_cell_has_every_row_of_every_step():
  assert laid_out('') == [(0, 24, [('bidirectional+mlm', 0, 1, 1)])]


def test_stages_take_their_shares_of_the_steps():
  clm, mlm = ('causal+clm', 0, 1, 1), ('bidirectional+mlm', 0, 1, 1)
  assert laid_out('4 causal+clm, 16 bidirectional+mlm, 4 causal+clm', steps=240) == [
    (0, 40, [clm]),
    (40, 200, [mlm]),
    (200, 240, [clm]),
  ]
  assert laid_out('1 causal+clm, 3 bidirectional+mlm', steps=10) == [(0, 2, [clm]), (2, 10, [mlm])]


def test_cells_share_a_batch_by_rows():
  assert laid_out('1 causal+clm & 7 bidirectional+mntp') == [
    (0, 24, [('causal+clm', 0, 1, 8), ('bidirectional+mntp', 1, 7, 8)])
  ]


@pytest.mark.parametrize(
  'changes, words',
  [
    (dict(schedule='causal+clm, 3 bidirectional+mlm'), ("'causal+clm' is not a share and a cell",)),
    (dict(schedule='0 causal+clm, 3 bidirectional+mlm'), ('not a share',)),
    (dict(schedule='1 causal+clm & 2 bidirectional+mlm, 1 causal+clm'), ('not both',)),
    (dict(schedule='1 sideways+clm, 3 bidirectional+mlm'), ('bidirectional, causal, prefix',)),
    (
      dict(schedule='1 causal+clmm, 3 bidirectional+mlm'),
      ("'clmm' is none of clm, distill", 'mlm, mntp, nsp, sop'),
    ),
    (dict(schedule='1 causal, 3 bidirectional+mlm'), ('name each objective once',)),
    (dict(schedule='1 bidirectional+clm, 3 bidirectional+mlm'), ('sees the answer',)),
    (
      dict(schedule='1 causal+clm, 999 bidirectional+mlm', steps=200),
      ("'1 causal+clm' has no step", 'too few'),
    ),
    (dict(schedule='1 causal+clm & 2 causal+clm'), ('each cell once',)),
    (
      dict(schedule='1 bidirectional+mntp, 3 bidirectional+mlm'),
      ('one head at different positions',),
    ),
    (dict(objectives=dict(mlm=1.0, nsp=1.0), mlm__fixed_maskings=10), ('drawn anew',)),
    (
      dict(schedule='1 causal+clm'),
      ('bidirectional+mlm is to be scored', 'the head of mlm', 'shared_head'),
    ),
    (dict(validation__extra_cells='causal+clm'), ('causal+clm is to be scored', 'the head of clm')),
    (dict(schedule='1 causal+clm & 7 bidirectional+mlm', batch_size=12), ('batch_size=12', 'by 8')),
    (
      dict(schedule='1 causal+clm, 1 bidirectional+mlm+nsp'),
      ('sentence pairs', 'every cell or for none'),
    ),
    (dict(objectives=dict(mlm=1.0, nsp=1.0, sop=1.0)), ('different wrong pairs',)),
    (
      dict(objectives=dict(mlm=2.0), schedule='1 causal+clm, 3 bidirectional+mlm'),
      ('give them weight 1',),
    ),
    (dict(budget='flops'), ('budget_amount=0.0',)),
    (dict(budget_amount=5.0), ("0 with 'steps'",)),
  ],
)
def test_what_cannot_be_scheduled_is_refused_with_the_reason(changes, words):
  with pytest.raises(check.ConfigError) as caught:
    check.check(config(**changes))
  assert all(word in str(caught.value) for word in words), caught.value


def test_a_shared_head_lets_one_cell_answer_for_another():
  check.check(
    config(schedule='1 causal+clm', model__shared_head=True, validation__extra_cells='causal+clm')
  )


@pytest.mark.parametrize('unit', ['tokens', 'flops', 'predictions'])
def test_a_budget_buys_the_steps_that_spend_it(unit):
  for changes in (
    {},
    dict(mask='causal', objectives=dict(clm=1.0)),
    dict(
      schedule='1 causal+clm, 3 bidirectional+mlm', data__short_length=32, data__short_share=0.9
    ),
  ):
    made = config(**changes)
    amount = budget.spending(made)[unit]
    spent = config(**changes, budget=unit, budget_amount=3 * amount)
    settled = budget.settle(spent)
    assert abs(settled.steps - 3 * made.steps) <= 1 and spent.steps == made.steps
    assert budget.spending(settled)[unit] == pytest.approx(3 * amount, rel=2e-3)


def test_clm_costs_a_fifth_more_than_mlm_and_predicts_nearly_seven_times_as_much():
  """recipes.md, computed there from ELECTRA's
  flops_computation.py: 4.48e8 and 3.66e8 a token at T = 128.
  """
  mlm = budget.spending(config())
  clm = budget.spending(config(mask='causal', objectives=dict(clm=1.0)))
  assert clm['flops'] / mlm['flops'] == pytest.approx(4.48 / 3.66, rel=0.03)
  assert clm['predictions'] / mlm['predictions'] == pytest.approx(6.7, rel=0.01)


def test_a_batch_of_both_costs_its_shares():
  alone = [
    budget.flops_per_token(config(), grid.cell_of(text), 128)
    for text in ('causal+clm', 'bidirectional+mlm')
  ]
  mixed = config(schedule='1 causal+clm & 7 bidirectional+mlm')
  assert budget.mean_flops_per_token(mixed, 128) == pytest.approx((alone[0] + 7 * alone[1]) / 8)


def test_the_closed_form_of_predictions_follows_a_rate_that_falls():
  rates = {rate: budget.spending(config(mlm__rate=rate))['predictions'] for rate in (0.15, 0.3)}
  falling = budget.spending(config(mlm__rate=0.3, mlm__final_rate=0.15))['predictions']
  assert falling == pytest.approx(sum(rates.values()) / 2, rel=0.03)  # P is a whole number
