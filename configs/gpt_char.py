"""Character-level Shakespeare: nanoGPT's CPU demo (4 layers, width 128, context 64), faster.

It learns in fewer steps through rotary positions, RMSNorm, normalised queries and keys, squared
ReLU, residual projections that start at zero, and Muon. configs/sweeps/char_choices.py ablates
each. A row is 65 tokens: 64 predictions from contexts of 1 to 64 characters. For a longer run add
--config.steps=600: clm_loss 1.6296 in 43 s.

Source:     karpathy/nanoGPT (README, "I only have a macbook"); data and split are its
            shakespeare_char, the last tenth
Parameters: 803,968
Expected:   clm_loss 1.8547 on the whole validation split (2.6758 bits per byte), where the unigram
            entropy is 3.3091
Time:       15 s from start to exit on 2 cores of an AMD EPYC (Zen 5), nothing cached
Command:    python train.py --config=configs/gpt_char.py

Without access to GitHub: --config=configs/gpt_char.py:corpus=text:PATH, with a copy of the same
file (docs/data.md).
"""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'gpt_char'
  config.steps = 140
  config.batch_size = 24
  config.mask = 'causal'
  config.objectives = dict(clm=1.0)
  config.data.corpus = 'tiny_shakespeare'
  config.data.tokenizer = 'characters'
  config.data.lowercase = False
  config.data.split = 'tail'
  config.data.validation_share = 0.1
  config.data.sequence_length = 65  # 64 predictions

  config.model.vocab_size = 128  # 65 characters and 5 special tokens; room for another text
  config.model.layers = 4
  config.model.width = 128
  config.model.heads = 2
  config.model.feed_forward = 512
  config.model.max_length = 65
  config.model.positions = 'rotary'
  config.model.segment_types = 0
  config.model.norm = 'rms'
  config.model.norm_position = 'pre'
  config.model.norm_epsilon = 1e-6
  config.model.embedding_norm = False
  config.model.final_norm = True
  config.model.qk_norm = True
  config.model.activation = 'relu_squared'
  config.model.bias = False
  config.model.init_residual_zero = True
  config.model.dropout = 0.0
  config.model.attention_dropout = 0.0
  config.model.scan = False

  config.optimizer.name = 'muon'
  config.optimizer.learning_rate = 0.02
  config.optimizer.adam_learning_rate = 0.02
  config.optimizer.muon_beta = 0.9
  config.optimizer.schedule = 'linear'
  config.optimizer.warmup_steps = 0
  config.optimizer.beta2 = 0.95
  config.optimizer.epsilon = 1e-8
  config.optimizer.bias_correction = True
  config.optimizer.weight_decay = 0.0

  config.validation.every = 1_000
  config.validation.first = False
  config.checkpoint.every = 1_000
  config.log.tensorboard = False  # the library imports torch if it is installed, which takes 3 s
  return base.with_arguments(config, arg)
