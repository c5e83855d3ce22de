"""DistilGPT2 (Hugging Face 2019): 6 of GPT-2's 12 layers, which learn what GPT-2 says.

The causal twin of configs/families/distilbert.py: the same losses with CLM in place of MLM, over
every token that has a next one. Its weights in the loss were not published; those of DistilBERT are
taken. GPT-2 reads 1,024 tokens.

Source:     huggingface/transformers-research-projects, distillation/ (README, train.py,
            scripts/extract.py)
Parameters: 81,912,576
Expected:   perplexity 21.1 on WikiText-103 after fine-tuning, where GPT-2 has 16.3 (README)
Time:       not trained here
Command:    python train.py --config=configs/families/distilgpt2.py:corpus=openwebtext
"""

from configs import gpt2_small
from configs.families import distilbert


def get_config(arg: str = ''):
  config = gpt2_small.get_config(arg)
  config.name = 'distilgpt2'
  config.steps = 6_300
  config.batch_size = 4_000
  config.objectives = dict(distill=5.0, clm=2.0, distill_hidden=1.0)
  config.distill.teacher = 'imported/gpt2'
  config.init_from = 'imported/gpt2'
  config.init_layers = '0 2 4 7 9 11'
  config.data.tokenizer = 'imported/gpt2/tokenizer.json'
  config.model.layers = 6
  config.model.dropout = 0.1
  config.model.attention_dropout = 0.1
  config.optimizer = distilbert.get_config().optimizer
  return config
