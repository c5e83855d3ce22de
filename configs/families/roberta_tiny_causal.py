"""The causal twin of roberta_tiny: the same tokens, rows, shape and budget under GPT's mask; CLM.

Norms stand where GPT-2 has them, so that the result is one: before each part and after the last.

Source:     configs/families/roberta_tiny.py; the twin is ours
Parameters: 929,280
Expected:   clm_loss 4.6422 on wiki_leads, where the unigram entropy is 6.8251 (1.9061 bits per
            byte). Training losses at steps 0, 10 and 100: 8.6752, 8.3732 and 6.6196
Time:       128 s of CPU time, on 2 cores of an AMD EPYC (Zen 5)
Command:    python train.py --config=configs/families/roberta_tiny_causal.py
"""

from configs.families import roberta_tiny


def get_config(arg: str = ''):
  config = roberta_tiny.get_config(arg)
  config.name = 'roberta_tiny_causal'
  config.mask = 'causal'
  config.objectives = dict(clm=1.0)
  config.model.max_length = 64
  config.model.position_offset = 0
  config.model.segment_types = 0
  config.model.norm_position = 'pre'
  config.model.embedding_norm = False
  config.model.final_norm = True
  return config
