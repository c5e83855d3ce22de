"""How many tokens should MLM mask? Wettig et al. 2023 (Table 1) find 40% better than 15%.

Validation masks 15% whatever training does, so losses are comparable.
"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.times(
  axes.product({'mlm.rate': [0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8]}),
  axes.product({'objectives': [{'mlm': 1.0}], 'seed': [0, 1, 2]}),
)
TABLE = dict(rows='mlm.rate', columns='objectives', value='loss')
