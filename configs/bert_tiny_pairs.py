"""bert_tiny in which sentence pairs are learned: batches of 32, half the rate, 6,000 steps.

Next-sentence prediction has no easy beginning. On these pairs the bags of words of A and of B tell
next from random in 54% of the cases, and the cosine of the two (tf-idf) in 88%: all is in what A
and B share, so attention has to find words of A from B before the loss falls. bert_tiny ends before
that: it sees 12,000 pairs, at a rate at which batches of 8 are too noisy. Order (SOP) is easier,
because a first sentence looks like one: bags of words alone reach 84%.

Source:     as configs/bert_tiny.py; batch and rate are ours (docs/LOG.md, 2026-12-01)
Parameters: 958,978 with the MLM and NSP heads
Expected:   NSP accuracy 0.79, mlm_loss 3.37 on wiki_leads (one seed, one core); 0.65 is passed at
            1,500 steps. With sop and 1,000 steps SOP accuracy 0.83 (one seed)
Time:       about 10 minutes on 2 cores of an AMD EPYC (Zen 5) at bert_tiny's speed; not measured
Command:    python train.py --config=configs/bert_tiny_pairs.py
"""

from configs import base, bert_tiny


def get_config(arg: str = ''):
  config = bert_tiny.get_config()
  config.name = 'bert_tiny_pairs'
  config.steps = 6_000
  config.batch_size = 32
  config.optimizer.learning_rate = 1e-3
  return base.with_arguments(config, arg)
