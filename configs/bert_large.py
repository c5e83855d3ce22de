"""BERT-large (Devlin et al. 2019, 3 and A.2): 24 layers, width 1024, 16 heads; BERT-base's recipe.

Source:     google-research/bert; paper tables 1 and 6
Parameters: 336,226,108 with the MLM and NSP heads (the paper says 340M)
Expected:   MLM perplexity 3.23 (table 6); GLUE 82.1 (table 1), with the paper's corpus
Time:       not trained here; four days on 64 TPU chips in the paper
Command:    python train.py --config=configs/bert_large.py:corpus=wikipedia
"""

from configs import bert_base


def get_config(arg: str = ''):
  config = bert_base.get_config(arg)
  config.name = 'bert_large'
  config.model.layers = 24
  config.model.width = 1_024
  config.model.heads = 16
  config.model.feed_forward = 4_096
  return config
