"""ModernBERT-base, third phase: 50 B tokens, in which the rate falls as 1 - sqrt(share).

It begins with the parameters of the second phase. Ettin masks 15% here in place of 30%.

Source:     Warner et al. 2024, section 2; JHU-CLSP/ettin, prolong_decay
Parameters: 149,655,232 with the MLM head
Expected:   see configs/families/modernbert_base.py
Time:       not trained here
Command:    python train.py --config=configs/families/modernbert_base_decay.py
            --config.init_from=runs/SECOND_PHASE
"""

from configs.families import modernbert_base_long


def get_config(arg: str = ''):
  config = modernbert_base_long.get_config(arg)
  config.name = 'modernbert_base_decay'
  config.steps = round(50e9 / (config.batch_size * config.data.sequence_length))
  config.mlm.rate = 0.15
  config.optimizer.schedule = 'wsd'
  config.optimizer.decay = 'one_minus_sqrt'
  config.optimizer.decay_share = 1.0
  return config
