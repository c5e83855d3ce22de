"""Ettin's encoder of 32 M parameters, first phase: ModernBERT's network and recipe at its size.

Source:     JHU-CLSP/ettin, pretraining/configs/standard/32m/encoder_32m.yaml; Weller et al. 2025
Parameters: 32,081,344 with the MLM head
Expected:   GLUE 83.5 after all phases (paper), with its 2 T tokens
Time:       not trained here
Command:    python train.py --config=configs/families/ettin_32m_encoder.py
"""

from configs.families import modernbert_base


def get_config(arg: str = ''):
  config = modernbert_base.get_config(arg)
  config.name = 'ettin_32m_encoder'
  config.model.layers = 10
  config.model.width = 384
  config.model.heads = 6
  config.model.feed_forward = 576
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup_steps = round(4e9 / (config.batch_size * config.data.sequence_length))
  config.optimizer.weight_decay = 3e-4 / 3e-3
  return config
