"""GPT-2 medium (Radford et al. 2019, table 2, "345M"): 24 layers, width 1024, 16 heads.

Source:     the paper, openai/gpt-2; the recipe is that of configs/gpt2_small.py
Parameters: 354,823,168
Expected:   WikiText-103 perplexity 26.37 zero-shot (paper, table 3), with WebText
Time:       not trained here
Command:    python train.py --config=configs/gpt2_medium.py:corpus=openwebtext
"""

from configs import gpt2_small


def get_config(arg: str = ''):
  config = gpt2_small.get_config(arg)
  config.name = 'gpt2_medium'
  config.model.layers = 24
  config.model.width = 1_024
  config.model.heads = 16
  config.model.feed_forward = 4_096
  return config
