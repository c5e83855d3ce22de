"""A model that chooses one of several answers to a question or ends of a story (SWAG, RACE).

As configs/finetune/classify.py. Each answer is read with the question; `data.sequence_length` is
that of one of them.

Source:     Devlin et al. 2019, 4.4: batch 16, 2e-5, 3 epochs
Command:    python train.py --config=configs/finetune/choose.py --config.init_from=DIR \
              --config.data.task=choices:PATH
"""

from configs.finetune import classify


def get_config(arg: str = ''):
  config = classify.get_config(arg)
  config.name = 'choose'
  config.batch_size = 16
  with config.unlocked():
    config.objectives = dict(choose=1.0)
  config.optimizer.learning_rate = 2e-5
  return config
