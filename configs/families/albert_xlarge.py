"""ALBERT-xlarge (Lan et al. 2020): 24 times one layer of width 2048, 16 heads.

ALBERT-base's recipe.

Source:     paper table 1; google-research/albert README
Parameters: 59,021,490 with the MLM and SOP heads; 58,724,864 with a pooler in their place
Expected:   version 1: average 85.5, MNLI 86.4, SST-2 92.4, RACE 74.8 (README), with the paper's
            corpus
Time:       not trained here
Command:    python train.py --config=configs/families/albert_xlarge.py:corpus=wikipedia+books
"""

from configs.families import albert_base


def get_config(arg: str = ''):
  config = albert_base.get_config(arg)
  config.name = 'albert_xlarge'
  config.model.layers = 24
  config.model.width = 2_048
  config.model.heads = 16
  config.model.feed_forward = 8_192
  return config
