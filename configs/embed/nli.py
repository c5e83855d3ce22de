"""Sentence vectors from inference: a classifier reads u, v and |u - v| of each pair.

Source:     Reimers and Gurevych 2019, 3 and 3.1; sentence-transformers' training_nli.py
Command:    python train.py --config=configs/embed/nli.py --config.init_from=DIR \
              --config.data.groups=nli.tsv
"""

from configs.embed import contrast


def get_config(arg: str = ''):
  config = contrast.get_config(arg)
  config.name = 'nli'
  config.batch_size = 16
  config.optimizer.learning_rate = 2e-5
  with config.unlocked():
    config.objectives = dict(nli=1.0)
  return config
