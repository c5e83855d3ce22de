"""Hide the same tokens of a row each time, ten choices in turn, or
new ones? (RoBERTa, Liu et al. 2019, Table 1.)

Half of the corpus and 6,000 steps, so that each row is read about
ten times: what is hidden anew must be seen again.
"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.times(
  axes.product({'mlm.fixed_maskings': [0, 10, 1]}),
  axes.product(
    {
      'objectives': [{'mlm': 1.0}],
      'data.validation_share': [0.5],
      'steps': [6_000],
      'seed': [0, 1, 2],
    }
  ),
)
TABLE = dict(rows='mlm.fixed_maskings', columns='objectives', value='loss')
