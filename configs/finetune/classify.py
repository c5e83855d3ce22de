"""A classifier of your own texts, or of pairs of them: one class each, several, or a number.

It starts with the network, the mask and the tokenizer of init_from: a run, an import, or a Hugging
Face directory. The rate suits published models of BERT-base's size (Devlin et al. 2019: 2e-5 to
5e-5); a model of width 128 wants 1e-3.

Source:     Devlin et al. 2019, 4.1 and A.3; bias correction as in Mosbach et al. 2021
Command:    python train.py --config=configs/finetune/classify.py --config.init_from=DIR \
              --config.data.task=csv:PATH
"""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'classify'
  config.steps = 500
  config.batch_size = 32
  config.mask = 'same'
  with config.unlocked():
    config.objectives = dict(classify=1.0)
  config.data.sequence_length = 128
  config.data.validation_share = 0.1
  config.model.head_dropout = True

  config.optimizer.learning_rate = 5e-5
  config.optimizer.warmup_steps = 0
  config.optimizer.warmup_share = 0.1
  config.optimizer.bias_correction = True

  config.validation.every = 100
  config.checkpoint.every = 100
  return base.with_arguments(config, arg)
