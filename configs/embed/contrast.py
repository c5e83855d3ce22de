"""Sentence vectors from pairs: an anchor finds its positive among all texts of the batch.

Groups are anchor and positive, with hard negatives where there are some; a file of single texts
trains as SimCSE does. The rate suits published models of BERT-base's size; a model of width 128
wants 5e-4.

Source:     Henderson et al. 2017; Gao et al. 2021; sentence-transformers' training_nli_v2.py
Command:    python train.py --config=configs/embed/contrast.py --config.init_from=DIR \
              --config.data.groups=pairs.jsonl
"""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'contrast'
  config.steps = 500
  config.batch_size = 128
  config.mask = 'same'
  with config.unlocked():
    config.objectives = dict(contrast=1.0)
  config.data.sequence_length = 64  # of each text
  config.data.validation_share = 0.1

  config.optimizer.learning_rate = 5e-5
  config.optimizer.warmup_steps = 0
  config.optimizer.warmup_share = 0.1
  config.optimizer.bias_correction = True
  config.optimizer.epsilon = 1e-8

  config.validation.every = 100
  config.validation.batch_size = 128
  config.checkpoint.every = 100
  return base.with_arguments(config, arg)
