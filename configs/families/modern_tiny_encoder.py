"""A ModernBERT for a laptop: 4 layers of width 128, of which two see a window of 8; MLM.

ModernBERT's network, tokens, masks, optimiser and decay at a size that two CPU cores finish in two
minutes; the initialisation is wider, as in configs/bert_tiny.py. The causal twin is
configs/families/modern_tiny_decoder.py.

Source:     configs/families/modernbert_base.py; the size is ours
Parameters: 1,201,408 with its head
Expected:   mlm_loss 4.4697 on wiki_leads, where the unigram entropy is 6.8256 (MLM accuracy
            0.2646); training losses of steps 1, 25, 50, 75 and 100 are 8.7367,
            7.7558, 6.9229, 6.9693 and 6.4074
Time:       177 s on one core of an AMD EPYC (Zen 5) that seven people shared
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
