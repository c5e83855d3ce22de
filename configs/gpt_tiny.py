"""GPT-tiny: a draft, numbers to follow."""

from configs import gpt2_small


def get_config(arg: str = ''):
  config = gpt2_small.get_config(arg)
  config.name = 'gpt_tiny'
  config.steps = 1_500
  config.batch_size = 32
  config.data.sequence_length = 128
  config.model.vocab_size = 8_192
  config.model.layers = 2
  config.model.width = 128
  config.model.heads = 2
  config.model.feed_forward = 512
  config.model.max_length = 128
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup_steps = 100
  config.validation.every = 500
  config.checkpoint.every = 500
  config.log.every = 1
  return config
