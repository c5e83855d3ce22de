"""Multilingual BERT, cased: BERT-base's network over 104 languages and one vocabulary; MLM + NSP.

A language is read in proportion to its size to the power of 0.7, and so is its text for the
vocabulary; Chinese characters stand alone; nothing marks the language. The source states the
languages, the exponent and the vocabulary; steps, batches and rate are BERT-base's.

Source:     google-research/bert (multilingual.md; vocabulary of multi_cased_L-12_H-768_A-12)
Parameters: 178,566,653 with the MLM and NSP heads; 177,853,440 with a pooler in their place
Expected:   XNLI zero-shot from English: en 82.1, zh 69.1, es 74.6, de 72.3, ar 66.4, ur 58.5
            (transformers, distillation README), with the Wikipedias of 104 languages
Time:       not trained here
Command:    python train.py --config=configs/families/mbert_base.py

It trains on the leads of three languages, which cannot reach these numbers. The Wikipedias come
through TFDS (docs/data.md): --config.data.corpus='mix:tfds:wikipedia/20230601.en
tfds:wikipedia/20230601.es ...' with the other languages behind.
"""

from configs import bert_base

LEADS = 'mix:wiki_leads wiki_leads_es wiki_leads_fr'


def get_config(arg: str = ''):
  config = bert_base.get_config()
  config.name = 'mbert_base'
  config.data.corpus = LEADS
  config.data.mix_exponent = 0.7
  config.data.lowercase = False
  config.model.vocab_size = 119_547
  return bert_base.base.with_arguments(config, arg)
