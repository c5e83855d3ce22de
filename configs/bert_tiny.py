"""BERT-tiny: a draft, numbers to follow."""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'bert_tiny'
  config.steps = 2_000
  config.batch_size = 32
  config.objectives = dict(mlm=1.0, nsp=1.0)
  config.model.vocab_size = 8_192
  config.model.layers = 2
  config.model.width = 128
  config.model.heads = 2
  config.model.feed_forward = 512
  config.model.max_length = 128
  config.model.dropout = 0.0
  config.model.attention_dropout = 0.0
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup_steps = 200
  config.checkpoint.every = 500
  return base.with_arguments(config, arg)
