"""Static or dynamic masking: 1 or 10 maskings per row, or new ones? (Liu et al. 2019, Table 1)

Half of the corpus and 6,000 steps make about ten epochs; the choice matters only when rows repeat.
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
