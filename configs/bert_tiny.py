"""A BERT for a laptop: BERT-tiny's 2 layers, width 128, 2 heads; MLM + NSP on Wikipedia leads.

BERT's network and objectives, with a size and a recipe that two CPU cores finish in minutes: a
vocabulary of 4,096, batches of 8 pairs, no dropout. Two values differ from BERT; docs/LOG.md has
the measurements. The initialisation is wider, because 0.02 suits width 768. Positions are rotary: a
learned table needs more steps than this run has to learn which tokens are neighbours, and until
then the MLM loss stays at the unigram entropy.

Source:     shape of BERT-tiny (Turc et al. 2019, google-research/bert README); the recipe is ours
Parameters: 958,978 with the MLM and NSP heads
Expected:   mlm_loss 5.2192 on wiki_leads, where the unigram entropy is 6.6523 (MLM accuracy
            0.2177, NSP 0.5171)
Time:       38 s on 2 cores of an AMD EPYC (Zen 5), without the installation
Command:    python train.py --config=configs/bert_tiny.py
"""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'bert_tiny'
  config.steps = 1_500
  config.batch_size = 8
  config.objectives = dict(mlm=1.0, nsp=1.0)
  config.data.sequence_length = 128

  config.model.vocab_size = 4_096
  config.model.layers = 2
  config.model.width = 128
  config.model.heads = 2
  config.model.feed_forward = 512
  config.model.max_length = 128
  config.model.positions = 'rotary'
  config.model.init_scale = 0.08
  config.model.dropout = 0.0
  config.model.attention_dropout = 0.0
  config.model.scan = False

  config.optimizer.learning_rate = 2e-3
  config.optimizer.warmup_steps = 100
  config.optimizer.beta2 = 0.98

  config.validation.every = 750
  config.checkpoint.every = 500
  return base.with_arguments(config, arg)
