"""Which positions: a learned table, a sinusoidal table, rotary, or none?"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.times(
  axes.zipped({'mask': ['bidirectional', 'causal'], 'objectives': [{'mlm': 1.0}, {'clm': 1.0}]}),
  axes.product({'model.positions': ['learned', 'sinusoidal', 'rotary', 'none'], 'seed': [0, 1, 2]}),
)
TABLE = dict(rows='model.positions', columns='objectives', value='loss')
