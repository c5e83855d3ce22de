"""ALBERT-large (Lan et al. 2020): 24 times one layer of width 1024, 16 heads.

ALBERT-base's recipe.

Source:     paper table 1; google-research/albert README
Parameters: 17,847,474 with the MLM and SOP heads; 17,683,968 with a pooler in their place
Expected:   version 1: average 82.4, MNLI 83.5, SST-2 91.7, RACE 68.5 (README), with the paper's
            corpus
Time:       not trained here
Command:    python train.py --config=configs/families/albert_large.py:corpus=wikipedia+books
"""

from configs.families import albert_base


def get_config(arg: str = ''):
  config = albert_base.get_config(arg)
  config.name = 'albert_large'
  config.model.layers = 24
  config.model.width = 1_024
  config.model.heads = 16
  config.model.feed_forward = 4_096
  return config
