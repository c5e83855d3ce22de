"""A model of a synthetic language whose lowest achievable loss is known (docs/synthetic.md).

By default the cell (mask x objective pair) is BERT's; --config.mask=causal
--config.objectives="{'clm': 1.0}" is GPT's, on the same trunk. MLM replaces by [MASK] only, for
which the bound is exact, and masks 30%, so that a step has more predictions. Rotary positions have
a small base (30), because a document has 30 words.

Source:     ours
Parameters: 106,464 with the MLM head
Expected:   within 2% of the bound by `python -m tools.bounds DIR`; validation asks other masks, so
            its loss is higher
Time:       a minute on 2 cores of an AMD EPYC
Command:    python train.py --config=configs/synthetic.py:corpus=synthetic:ambiguous
"""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'synthetic'
  config.steps = 1_000
  config.batch_size = 32
  config.objectives = dict(mlm=1.0)
  config.mlm.rate = 0.3
  config.mlm.masked = 1.0
  config.mlm.random = 0.0

  config.data.corpus = 'synthetic:ambiguous'
  config.data.tokenizer = 'words'
  config.data.sequence_length = 32
  config.data.validation_share = 0.02

  config.model.vocab_size = 32
  config.model.layers = 2
  config.model.width = 64
  config.model.heads = 2
  config.model.feed_forward = 256
  config.model.max_length = 32
  config.model.positions = 'rotary'
  config.model.rotary_base = 30.0  # rows are short, and the order of close neighbours matters
  config.model.segment_types = 0
  config.model.norm_position = 'pre'
  config.model.embedding_norm = False
  config.model.final_norm = True
  config.model.init_scale = 0.1
  config.model.dropout = 0.0
  config.model.attention_dropout = 0.0
  config.model.scan = False

  config.optimizer.learning_rate = 3e-3
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 100
  config.optimizer.beta2 = 0.98
  config.optimizer.bias_correction = True

  config.validation.every = 1_000
  config.checkpoint.every = 1_000
  config.log.every = 10
  config.log.tensorboard = False
  return base.with_arguments(config, arg)
