"""A GPT whose layers share their parameters: albert_tiny's tokens, layer and budget; CLM.

Rows are full sentences, since pairs are for SOP alone. Norms stand where GPT-2 has them, and
embeddings are as wide as the layer, which is what GPT-2's class has: an export writes the layer
once for each of its uses.

Source:     configs/families/albert_tiny.py; the twin is ours
Parameters: 731,008
Expected:   clm_loss 4.8773 on wiki_leads, where the unigram entropy is 6.4988 (1.8590 bits per byte
            of the normalised text). Training losses at steps 0, 10 and 100: 8.6182, 8.4109 and
            6.3608
Time:       137 s of CPU time, on 2 cores of an AMD EPYC (Zen 5), and 30 s for the vocabulary
Command:    python train.py --config=configs/families/albert_tiny_causal.py
"""

from configs.families import albert_tiny


def get_config(arg: str = ''):
  config = albert_tiny.get_config(arg)
  config.name = 'albert_tiny_causal'
  config.mask = 'causal'
  config.objectives = dict(clm=1.0)
  config.data.rows = 'full_sentences'
  config.model.embedding_width = 0
  config.model.segment_types = 0
  config.model.norm_position = 'pre'
  config.model.norm_epsilon = 1e-5
  config.model.embedding_norm = False
  config.model.final_norm = True
  return config
