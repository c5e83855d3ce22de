"""BERT-Small (Turc et al. 2019): 4 layers, width 512, 8 heads; BERT-base's recipe.

Source:     google-research/bert README, "smaller BERT models"
Parameters: 29,058,876 with the MLM and NSP heads
Expected:   GLUE 71.2 (README; that model was also distilled from a larger one), with the paper's
            corpus
Time:       not trained here
Command:    python train.py --config=configs/bert_small.py:corpus=wikipedia
"""

from configs import bert_base


def get_config(arg: str = ''):
  config = bert_base.get_config(arg)
  config.name = 'bert_small'
  config.model.layers = 4
  config.model.width = 512
  config.model.heads = 8
  config.model.feed_forward = 2_048
  return config
