"""ModernBERT-base, first phase: 1,024 tokens, every third layer global, the others a window of 64.

The windows, the rotary base of each kind of layer, GeGLU, norms before each part but the first, and
no biases are the paper's. Its phases are runs of their own: this one (1.7 T tokens at a constant
rate), then configs/families/modernbert_base_long.py (8,192 tokens), then
configs/families/modernbert_base_decay.py. Not as published: dropout 0.1 on the output of attention
alone, the ramp of the batch, kernels cut at 3 deviations, and the tokenizer (one of the same size
is trained here). The published weight decay of 1e-5 an update is not times the rate; here it is.

Source:     Warner et al. 2024, table 3; JHU-CLSP/ettin, pretraining/configs, and transformers'
            ModernBertConfig
Parameters: 149,655,232 with the MLM head
Expected:   GLUE 88.5 after all phases (paper), with its 2 T tokens
Time:       not trained here; the paper's took 194 hours on eight H100
Command:    python train.py --config=configs/families/modernbert_base.py
"""

from configs import base

_BATCH_TOKENS = 4_608 * 1_024


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'modernbert_base'
  config.steps = round(1.7e12 / _BATCH_TOKENS)
  config.batch_size = 4_608
  config.mlm.rate = 0.3
  config.data.tokenizer = 'bpe'
  config.data.lowercase = False
  config.data.sequence_length = 1_024

  config.model.vocab_size = 50_368
  config.model.layers = 22
  config.model.feed_forward = 1_152
  config.model.max_length = 8_192
  config.model.positions = 'rotary'
  config.model.window = 64
  config.model.global_every = 3
  config.model.segment_types = 0
  config.model.norm_position = 'pre'
  config.model.norm_epsilon = 1e-5
  config.model.final_norm = True
  config.model.skip_first_norm = True
  config.model.gated = True
  config.model.bias = False
  config.model.classifier_activation = 'gelu'
  config.model.normed_heads = True
  config.model.init_depth_scaled = True
  config.model.dropout = 0.0
  config.model.attention_dropout = 0.0

  config.optimizer.name = 'stable_adamw'
  config.optimizer.learning_rate = 8e-4
  config.optimizer.schedule = 'constant'
  config.optimizer.warmup_steps = round(3e9 / _BATCH_TOKENS)
  config.optimizer.beta2 = 0.98
  config.optimizer.bias_correction = True
  config.optimizer.weight_decay = 1e-5 / 8e-4
  config.optimizer.clip = 0.0

  config.validation.every = 5_000
  config.checkpoint.every = 5_000
  config.log.every = 10
  return base.with_arguments(config, arg)
