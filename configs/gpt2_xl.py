"""GPT-2 XL (Radford et al. 2019, table 2, "1542M"): 48 layers, width 1600, 25 heads.

Source:     the paper, openai/gpt-2; the recipe is that of configs/gpt2_small.py
Parameters: 1,557,611,200
Expected:   WikiText-103 perplexity 17.48 zero-shot (paper, table 3), with WebText
Time:       not trained here
Command:    python train.py --config=configs/gpt2_xl.py:corpus=openwebtext
"""

from configs import gpt2_small


def get_config(arg: str = ''):
  config = gpt2_small.get_config(arg)
  config.name = 'gpt2_xl'
  config.model.layers = 48
  config.model.width = 1_600
  config.model.heads = 25
  config.model.feed_forward = 6_400
  return config
