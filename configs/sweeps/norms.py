"""Which norm, and where? LayerNorm or RMSNorm, post (BERT) or pre (GPT-2; Xiong et al. 2020)."""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.times(
  axes.zipped({'model.norm_position': ['post', 'pre'], 'model.final_norm': [False, True]}),
  axes.product({'model.norm': ['layer', 'rms'], 'objectives': [{'mlm': 1.0}], 'seed': [0, 1, 2]}),
)
TABLE = dict(rows='model.norm_position', columns='model.norm', value='loss')
