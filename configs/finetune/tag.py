"""A tagger of words: named entities, chunks, parts of speech.

As configs/finetune/classify.py, with a class for each word, which its first token predicts. Where
tags are those of entities (BIO, IOB1, IOBES) the score is the F1 of whole entities, as seqeval has
it; an entity that was cut off counts as missed. Other tags are scored by the share of right words.

Source:     Devlin et al. 2019, 5.3
Command:    python train.py --config=configs/finetune/tag.py --config.init_from=DIR \
              --config.data.task=conll:PATH
"""

from configs.finetune import classify


def get_config(arg: str = ''):
  config = classify.get_config(arg)
  config.name = 'tag'
  with config.unlocked():
    config.objectives = dict(tag=1.0)
  return config
