"""GPT-2 large (Radford et al. 2019, table 2, "762M"): 36 layers, width 1280, 20 heads.

Source:     the paper, openai/gpt-2; the recipe is that of configs/gpt2_small.py
Parameters: 774,030,080
Expected:   WikiText-103 perplexity 22.05 zero-shot (paper, table 3), with WebText
Time:       not trained here
Command:    python train.py --config=configs/gpt2_large.py:corpus=openwebtext
"""

from configs import gpt2_small


def get_config(arg: str = ''):
  config = gpt2_small.get_config(arg)
  config.name = 'gpt2_large'
  config.model.layers = 36
  config.model.width = 1_280
  config.model.heads = 20
  config.model.feed_forward = 5_120
  return config
