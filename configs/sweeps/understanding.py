"""Do BERT-style models outperform GPT-style ones of their size on understanding? Under both masks.

bert_tiny and gpt_tiny as they are, each with its own tokenizer and recipe, on the same text. Each
is fine-tuned on every task bidirectionally and causally, because otherwise one cannot tell the
pre-training from the mask. The recipe of fine-tuning is the same, and the mean of all tokens is
read, which works under both masks. Five seeds, because bert_tiny's ends lie far apart (docs/LOG.md,
2026-12-01). claims/understanding.yaml asks.
"""

from configs import bert_tiny, gpt_tiny
from configs.schema import check
from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
_BERT, _GPT = (check.flatten(each.get_config()) for each in (bert_tiny, gpt_tiny))
# What sets gpt_tiny apart; objectives are replaced as a whole.
GPT = {
  name: value
  for name, value in _GPT.items()
  if value != _BERT.get(name) and not name.startswith('objectives.')
}
RUNS = axes.times(
  axes.product({'seed': [0, 1, 2, 3, 4]}),
  [
    {'name': 'bert_tiny', 'mask': 'bidirectional', 'objectives': {'mlm': 1.0, 'nsp': 1.0}},
    GPT | {'objectives': {'clm': 1.0}},
  ],
)
TASKS = ('sst2', 'trec', 'sick', 'conll2000')
EVALUATE = tuple(
  dict(
    program='finetune',
    tasks=TASKS,
    finetune_mask=mask,
    seeds=1,
    steps=200,
    batch_size=16,
    learning_rate=1e-3,
    max_length=64,
    limit=1_000,
  )
  for mask in ('bidirectional', 'causal')
)
TABLE = dict(rows='name', value='finetune_sst2_bidirectional')
