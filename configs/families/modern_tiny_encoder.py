"""A ModernBERT for a laptop: 4 layers of width 128, of which two see a window of 8; MLM.

ModernBERT's network, tokens, masks, optimiser and decay at a size that two CPU cores finish in two
minutes; the initialisation is wider, as in configs/bert_tiny.py. The causal twin is
configs/families/modern_tiny_decoder.py.

Source:     configs/families/modernbert_base.py; the size is ours
Parameters: 1,201,408 with its head
Expected:   not measured yet
Time:       not measured yet
Command:    python train.py --config=configs/families/modern_tiny_encoder.py
"""

from configs.families import modernbert_base


def get_config(arg: str = ''):
  config = modernbert_base.get_config(arg)
  config.name = 'modern_tiny_encoder'
  config.steps = 1_200
  config.batch_size = 8
  config.data.sequence_length = 128

  config.model.vocab_size = 4_096
  config.model.layers = 4
  config.model.width = 128
  config.model.heads = 2
  config.model.feed_forward = 256
  config.model.max_length = 512
  config.model.window = 8
  config.model.init_scale = 0.08
  config.model.scan = False

  config.optimizer.learning_rate = 3e-3
  config.optimizer.schedule = 'wsd'
  config.optimizer.decay = 'one_minus_sqrt'
  config.optimizer.warmup_steps = 100
  config.optimizer.weight_decay = 0.01

  config.validation.every = 600
  config.checkpoint.every = 600
  config.log.every = 1
  return config
