"""A RoBERTa for a laptop: 2 layers, width 128; MLM on full sentences of Wikipedia leads.

RoBERTa's tokens, rows, masks and optimiser at a size that two CPU cores finish in two minutes. As
in configs/bert_tiny.py the initialisation is wider and there is no dropout. Its positions are a
table, as the stock class has them: docs/families/roberta.md says what that costs at this budget.
The causal twin is configs/families/roberta_tiny_causal.py.

Source:     recipe of configs/families/roberta_base.py; the size is ours
Parameters: 950,528
Expected:   mlm_loss 6.2844 on wiki_leads, where the unigram entropy is 6.8251 (accuracy 0.1319):
            the plateau of a position table. Training losses at steps 0, 10 and 100: 8.7040, 8.4064
            and 7.0658
Time:       76 s of CPU time, on 2 cores of an AMD EPYC (Zen 5)
Command:    python train.py --config=configs/families/roberta_tiny.py
"""

from configs.families import roberta_base


def get_config(arg: str = ''):
  config = roberta_base.get_config(arg)
  config.name = 'roberta_tiny'
  config.steps = 2_000
  config.batch_size = 16
  config.data.sequence_length = 64

  config.model.vocab_size = 4_096
  config.model.layers = 2
  config.model.width = 128
  config.model.heads = 2
  config.model.feed_forward = 512
  config.model.max_length = 66
  config.model.init_scale = 0.08
  config.model.dropout = 0.0
  config.model.attention_dropout = 0.0
  config.model.scan = False

  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup_steps = 100

  config.validation.every = 1_000
  config.checkpoint.every = 500
  config.log.every = 1
  return config
