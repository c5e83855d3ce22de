"""Ettin's decoder of 32 M parameters, first phase: its encoder under a causal mask.

Source:     JHU-CLSP/ettin, pretraining/configs/standard/32m/decoder_32m.yaml; Weller et al. 2025
Parameters: 32,081,344 with the head of tokens, which is MLM's
Expected:   average of generative tasks 38.7 after all phases (paper), with its 2 T tokens
Time:       not trained here
Command:    python train.py --config=configs/families/ettin_32m_decoder.py
"""

from configs.families import ettin_32m_encoder


def get_config(arg: str = ''):
  config = ettin_32m_encoder.get_config(arg)
  config.name = 'ettin_32m_decoder'
  config.mask = 'causal'
  config.objectives = dict(clm=1.0)
  config.model.shared_head = True
  config.model.plain_heads = True
  return config
