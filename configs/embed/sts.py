"""Sentence vectors from scored pairs: the order of cosines is the order of the scores.

Objectives cosine (squared error; scores from 0 to 1, see data.score_scale) and angle read the same
files.

Source:     Su 2022 (CoSENT); sentence-transformers' training_stsbenchmark.py
Command:    python train.py --config=configs/embed/sts.py --config.init_from=DIR \
              --config.data.groups=sts.tsv
"""

from configs.embed import contrast


def get_config(arg: str = ''):
  config = contrast.get_config(arg)
  config.name = 'sts'
  config.batch_size = 16
  config.optimizer.learning_rate = 2e-5
  with config.unlocked():
    config.objectives = dict(cosent=1.0)
  return config
