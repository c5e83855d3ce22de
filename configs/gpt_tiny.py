"""A GPT for a laptop: GPT-2's network at 2 layers, width 128, 2 heads; CLM on Wikipedia leads.

GPT-2 in everything but size: byte-level BPE (4,096 entries), pre-LN, learned positions, tied
output. The initialisation is wider, which suits width 128. Two CPU cores finish the recipe in
minutes.

Source:     shape of GPT-2 (configs/gpt2_small.py); the recipe is ours
Parameters: 937,472
Expected:   clm_loss 4.7445 on wiki_leads, where the unigram entropy is 6.8256 (1.9162 bits per
            byte)
Time:       59 s on 2 cores of an AMD EPYC (Zen 5), without the installation
Command:    python train.py --config=configs/gpt_tiny.py
"""

from configs import gpt2_small


def get_config(arg: str = ''):
  config = gpt2_small.get_config(arg)
  config.name = 'gpt_tiny'
  config.steps = 1_500
  config.batch_size = 8
  config.data.sequence_length = 128

  config.model.vocab_size = 4_096
  config.model.layers = 2
  config.model.width = 128
  config.model.heads = 2
  config.model.feed_forward = 512
  config.model.max_length = 128
  config.model.init_scale = 0.08
  config.model.scan = False

  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup_steps = 100

  config.validation.every = 750
  config.checkpoint.every = 500
  config.log.every = 1
  return config
