"""Does a question about sentences help? None, NSP (BERT) or SOP
(ALBERT, Lan et al. 2020, Table 5), beside MLM.

Rows are packed documents without a question and sentence pairs with one, as in the papers. So not
even the validation rows are the same and losses do not compare: the
table asks what the papers ask, tasks of two sentences.
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
