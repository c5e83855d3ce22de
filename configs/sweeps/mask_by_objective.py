"""The grid: which mask, which objective? Cells share trunk, vocabulary, and rows in one order.

What the studies say: T5 Table 2 has prefix-LM between encoder-decoder and decoder, BERT Table 5 puts causal ("LTR")
below masked on understanding. A column asks one question of three masks, so compare down a column; across columns
the questions differ, and so do the losses.
"""

from configs import axes

BASE = 'configs/bert_tiny.py'
SEEDS = axes.product({'seed': [0, 1, 2]})
CELLS = axes.where(
    axes.product({'mask': ['bidirectional', 'prefix', 'causal'],
                  'objectives': [{'mlm': 1.0}, {'mntp': 1.0}, {'clm': 1.0}]}),
    lambda run: not (run['mask'] == 'bidirectional' and 'clm' in run['objectives']))  # sees its answers
RUNS = axes.times(CELLS, SEEDS)
EVALUATE = (
    dict(program='eval', tasks=('blimp',), task_limit=40),  # pairs of each of the 67 paradigms
    dict(program='eval', tasks=('probe_sst2', 'probe_conll2000'), task_limit=4_000),
    dict(program='finetune', tasks=('mrpc', 'rte', 'sick'), finetune_mask='same', limit=2_000),
)
TABLE = dict(rows='mask', columns='objectives', value='loss',
             also=('blimp', 'probe_sst2', 'probe_conll2000', 'finetune_mrpc', 'finetune_rte', 'finetune_sick'))
