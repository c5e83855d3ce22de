"""How does the network know where a token is? Learned and sinusoidal
tables, rotary positions, or nothing at all.
"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.times(
  axes.zipped({'mask': ['bidirectional', 'causal'], 'objectives': [{'mlm': 1.0}, {'clm': 1.0}]}),
  axes.product({'model.positions': ['learned', 'sinusoidal', 'rotary', 'none'], 'seed': [0, 1, 2]}),
)
TABLE = dict(rows='model.positions', columns='objectives', value='loss')
