"""Ettin's encoder of 150 M parameters, first phase: ModernBERT's network and recipe at its size.

Source:     JHU-CLSP/ettin, pretraining/configs/standard/150m/encoder_150m.yaml; Weller et al. 2025
Parameters: 149,655,232 with the MLM head
Expected:   GLUE 88.9 after all phases (paper), with its 2 T tokens
Time:       not trained here
Command:    python train.py --config=configs/families/ettin_150m_encoder.py
"""

from configs.families import modernbert_base


def get_config(arg: str = ''):
  config = modernbert_base.get_config(arg)
  config.name = 'ettin_150m_encoder'
  config.model.layers = 22
  config.model.width = 768
  config.model.heads = 12
  config.model.feed_forward = 1_152
  config.optimizer.learning_rate = 8e-4
  config.optimizer.warmup_steps = round(3e9 / (config.batch_size * config.data.sequence_length))
  config.optimizer.weight_decay = 1e-5 / 8e-4
  return config
