"""Does a sentence-pair objective help MLM? None, NSP (BERT) or SOP (Lan et al. 2020, Table 5).

As in the papers, rows are packed documents without such an objective and sentence pairs with one.
So validation rows differ and losses are not comparable. The table has what the papers report:
scores of tasks on two sentences.
"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.product(
  {
    'objectives': [{'mlm': 1.0}, {'mlm': 1.0, 'nsp': 1.0}, {'mlm': 1.0, 'sop': 1.0}],
    'seed': [0, 1, 2],
  }
)
EVALUATE = (
  dict(program='finetune', tasks=('rte', 'mrpc', 'sst2'), finetune_mask='same', limit=2_000),
)
TABLE = dict(rows='objectives', value='finetune_rte', also=('finetune_mrpc', 'finetune_sst2'))
