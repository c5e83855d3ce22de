"""BERT-base (Devlin et al. 2019, 3 and A.2): 12 layers, width 768, 12 heads; MLM + NSP.

The paper's recipe: BooksCorpus and English Wikipedia, batches of 256 sequences, 1,000,000 steps
(90% at 128 tokens, the rest at 512), Adam without bias correction at 1e-4, dropout 0.1.

Source:     google-research/bert (modeling.py, optimization.py, create_pretraining_data.py); paper
            tables 1, 5, 6
Parameters: 110,106,428 with the MLM and NSP heads
Expected:   MLM perplexity 3.99 (table 6); GLUE 79.6 (table 1), with the paper's corpus
Time:       not trained here; four days on 16 TPU chips in the paper
Command:    python train.py --config=configs/bert_base.py:corpus=wikipedia

Without the argument it trains on the small default corpus, which cannot reach the paper's numbers.
"""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'bert_base'
  config.steps = 1_000_000
  config.batch_size = 256
  config.objectives = dict(mlm=1.0, nsp=1.0)
  config.data.sequence_length = 512
  config.data.short_length = 128
  config.data.short_share = 0.9
  config.optimizer.warmup_steps = 10_000
  config.validation.every = 10_000
  config.checkpoint.every = 10_000
  config.log.every = 100
  return base.with_arguments(config, arg)
