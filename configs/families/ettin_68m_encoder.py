"""Ettin's encoder of 68 M parameters, first phase: ModernBERT's network and recipe at its size.

Source:     JHU-CLSP/ettin, pretraining/configs/standard/68m/encoder_68m.yaml; Weller et al. 2025
Parameters: 68,457,664 with the MLM head
Expected:   GLUE 87.2 after all phases (paper), with its 2 T tokens
Time:       not trained here
Command:    python train.py --config=configs/families/ettin_68m_encoder.py
"""

from configs.families import modernbert_base


def get_config(arg: str = ''):
  config = modernbert_base.get_config(arg)
  config.name = 'ettin_68m_encoder'
  config.model.layers = 19
  config.model.width = 512
  config.model.heads = 8
  config.model.feed_forward = 768
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup_steps = round(3e9 / (config.batch_size * config.data.sequence_length))
  config.optimizer.weight_decay = 3e-4 / 3e-3
  return config
