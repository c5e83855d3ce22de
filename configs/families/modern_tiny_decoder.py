"""The causal twin of modern_tiny_encoder: the same tokens, rows, trunk and budget; CLM.

Source:     configs/families/modern_tiny_encoder.py
Parameters: 1,201,408 with its head
Expected:   not measured yet
Time:       not measured yet
Command:    python train.py --config=configs/families/modern_tiny_decoder.py
"""

from configs.families import modern_tiny_encoder


def get_config(arg: str = ''):
  config = modern_tiny_encoder.get_config(arg)
  config.name = 'modern_tiny_decoder'
  config.mask = 'causal'
  config.objectives = dict(clm=1.0)
  config.model.shared_head = True
  config.model.plain_heads = True
  return config
