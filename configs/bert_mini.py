"""BERT-Mini (Turc et al. 2019): 4 layers, width 256, 4 heads; BERT-base's recipe.

Source:     google-research/bert README, "smaller BERT models"
Parameters: 11,267,900 with the MLM and NSP heads
Expected:   GLUE 65.8 (README; that model was also distilled from a larger one), with the paper's
            corpus
Time:       not trained here
Command:    python train.py --config=configs/bert_mini.py:corpus=wikipedia
"""

from configs import bert_base


def get_config(arg: str = ''):
  config = bert_base.get_config(arg)
  config.name = 'bert_mini'
  config.model.layers = 4
  config.model.width = 256
  config.model.heads = 4
  config.model.feed_forward = 1_024
  return config
