"""A cross-encoder that ranks texts for a query, listwise.

As configs/finetune/classify.py. Each text is read with the query; `data.sequence_length` is that of
one of them.

Source:     Cao et al. 2007; sentence-transformers' training_ms_marco_listnet.py: 16 queries, 2e-5
Command:    python train.py --config=configs/finetune/rank.py --config.init_from=DIR \
              --config.data.task=ranked:PATH
"""

from configs.finetune import classify


def get_config(arg: str = ''):
  config = classify.get_config(arg)
  config.name = 'rank'
  config.batch_size = 16
  with config.unlocked():
    config.objectives = dict(rank=1.0)
  config.optimizer.learning_rate = 2e-5
  return config
