"""ModernBERT-base, second phase: 250 B tokens in rows of 8,192, global layers with base 160,000.

It begins with the parameters of the first phase, whatever its rows and rotary base were; windowed
layers keep the base 10,000. The optimiser begins anew.

Source:     Warner et al. 2024, section 2; JHU-CLSP/ettin, de_decay
Parameters: 149,655,232 with the MLM head
Expected:   see configs/families/modernbert_base.py
Time:       not trained here
Command:    python train.py --config=configs/families/modernbert_base_long.py
            --config.init_from=runs/FIRST_PHASE
"""

from configs.families import modernbert_base

_BATCH_TOKENS = 576 * 8_192  # as many tokens as in the first phase


def get_config(arg: str = ''):
  config = modernbert_base.get_config(arg)
  config.name = 'modernbert_base_long'
  config.steps = round(250e9 / _BATCH_TOKENS)
  config.batch_size = 576
  config.data.sequence_length = 8_192
  config.model.rotary_base = 160_000.0
  config.model.window_rotary_base = 10_000.0
  config.optimizer.learning_rate = 3e-4
  config.optimizer.warmup_steps = 0
  config.optimizer.weight_decay = 1e-5 / 3e-4
  return config
