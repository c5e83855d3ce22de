"""A multilingual BERT for a laptop: 2 layers, width 128; MLM on leads in three languages.

English, Spanish and French, each read by its size to the power of 0.7, under one cased vocabulary
of 8,192. Size and recipe are those of configs/bert_tiny.py, without NSP, which so few pairs do not
teach. docs/families/mbert.md has what crosses from one language to another.

Source:     recipe of configs/families/mbert_base.py; the size is ours
Parameters: 1,470,592
Expected:   mlm_loss 5.4281, where the unigram entropy is 7.2493 (MLM accuracy 0.2140); in English
            5.4620, Spanish 5.5781, French 5.2808
Time:       213 s on 2 cores of an AMD EPYC (Zen 5) that six others used
Command:    python train.py --config=configs/families/mbert_tiny.py
"""

from configs import base, bert_tiny
from configs.families import mbert_base


def get_config(arg: str = ''):
  config = bert_tiny.get_config()
  config.name = 'mbert_tiny'
  config.steps = 2_000
  config.objectives = base.objectives('mlm')
  config.data.corpus = mbert_base.LEADS
  config.data.mix_exponent = 0.7
  config.data.lowercase = False
  config.model.vocab_size = 8_192
  config.validation.every = 1_000
  return base.with_arguments(config, arg)
