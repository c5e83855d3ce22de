"""How much to hide? "Should You Mask 15% in Masked Language
Modeling?" (Wettig et al. 2023, Table 1) finds 40% better.

Validation hides 15% whatever training does, so the rows of the table are asked the same question.
"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.times(
  axes.product({'mlm.rate': [0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8]}),
  axes.product({'objectives': [{'mlm': 1.0}], 'seed': [0, 1, 2]}),
)
TABLE = dict(rows='mlm.rate', columns='objectives', value='loss')
