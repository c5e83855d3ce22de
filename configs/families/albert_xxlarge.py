"""ALBERT-xxlarge (Lan et al. 2020): 12 times one layer of width 4096, 64 heads.

ALBERT-base's recipe, without dropout.

Source:     paper table 1; google-research/albert README
Parameters: 223,158,450 with the MLM and SOP heads; 222,595,584 with a pooler in their place
Expected:   version 1: average 91.0, MNLI 90.8, SST-2 96.9, RACE 86.5 (README), with the paper's
            corpus
Time:       not trained here
Command:    python train.py --config=configs/families/albert_xxlarge.py:corpus=wikipedia+books
"""

from configs.families import albert_base


def get_config(arg: str = ''):
  config = albert_base.get_config(arg)
  config.name = 'albert_xxlarge'
  config.model.layers = 12
  config.model.width = 4_096
  config.model.heads = 64
  config.model.feed_forward = 16_384
  config.model.dropout = 0.0
  config.model.attention_dropout = 0.0
  return config
