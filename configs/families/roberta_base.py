"""RoBERTa-base (Liu et al. 2019): BERT-base's network, trained with more care and more text; MLM.

What it changes in BERT: byte-level BPE of 50,265 entries, full sentences across documents in place
of pairs and NSP, new masks each epoch, 512 tokens from the first step, batches of 8,192. Random
tokens are never special ones. The public configuration of fairseq differs from the paper: 125,000
updates of 2,048 at 5e-4 with 10,000 updates of warm-up.

Source:     paper 4 and table 9; fairseq (examples/roberta, models/roberta)
Parameters: 124,697,433 with the MLM head; 124,645,632 with a pooler in its place
Expected:   GLUE dev MNLI 87.6, QNLI 92.8, SST-2 94.8 (fairseq README), with 160 GB of text that is
            not public as a whole
Time:       not trained here
Command:    python train.py --config=configs/families/roberta_base.py:corpus=wikipedia+books

Without the argument it trains on the small default corpus, which cannot reach the paper's numbers.
"""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'roberta_base'
  config.steps = 500_000
  config.batch_size = 8_192
  config.data.tokenizer = 'roberta_bpe'
  config.data.lowercase = False
  config.data.rows = 'full_sentences'
  config.data.sequence_length = 512
  config.mlm.random_from_specials = False

  config.model.vocab_size = 50_265
  config.model.max_length = 514
  config.model.position_offset = 2
  config.model.segment_types = 1
  config.model.norm_epsilon = 1e-5
  config.model.init_truncated = False

  config.optimizer.learning_rate = 6e-4
  config.optimizer.warmup_steps = 24_000
  config.optimizer.beta2 = 0.98
  config.optimizer.bias_correction = True
  config.optimizer.clip = 0.0

  config.validation.every = 5_000
  config.checkpoint.every = 5_000
  config.log.every = 100
  return base.with_arguments(config, arg)
