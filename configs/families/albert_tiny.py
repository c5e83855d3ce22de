"""An ALBERT for a laptop: 2 times one layer of width 128, embeddings of 64; MLM + SOP on leads.

ALBERT's tokens, pairs, masks and optimiser at a size that two CPU cores finish in two minutes. The
causal twin is configs/families/albert_tiny_causal.py.

Source:     recipe of configs/families/albert_base.py; the size is ours
Parameters: 502,338
Expected:   mlm_loss 6.0753 on wiki_leads, where the unigram entropy is 6.4988 (accuracy 0.1233);
            sentence order at chance, 0.4931 of 720 pairs. Training losses at steps 0, 10 and
            100: 9.2443, 9.1569 and 7.1745
Time:       71 s of CPU time, on 2 cores of an AMD EPYC (Zen 5), and 30 s for the vocabulary
Command:    python train.py --config=configs/families/albert_tiny.py
"""

from configs.families import albert_base


def get_config(arg: str = ''):
  config = albert_base.get_config(arg)
  config.name = 'albert_tiny'
  config.steps = 2_000
  config.batch_size = 16
  config.data.sequence_length = 64

  config.model.vocab_size = 4_096
  config.model.layers = 2
  config.model.width = 128
  config.model.heads = 2
  config.model.feed_forward = 512
  config.model.embedding_width = 64
  config.model.max_length = 64
  config.model.init_scale = 0.08
  config.model.dropout = 0.0
  config.model.attention_dropout = 0.0
  config.model.scan = False

  config.optimizer.learning_rate = 5e-3
  config.optimizer.warmup_steps = 100

  config.validation.every = 1_000
  config.checkpoint.every = 500
  config.log.every = 1
  return config
