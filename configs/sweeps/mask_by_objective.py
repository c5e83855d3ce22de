"""The grid: every mask with every objective, same trunk, vocabulary and rows; an hour on two cores.

Published results: in T5 (Table 2) prefix-LM lies between encoder-decoder and decoder; in BERT
(Table 5) causal ("LTR") is below masked on understanding. Losses are comparable within a column,
where three masks predict the same tokens. They are not comparable across columns, and under clm a
prefix model predicts only what follows its prefix.
"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
SEEDS = axes.product({'seed': [0, 1, 2]})
CELLS = axes.where(
  axes.product(
    {
      'mask': ['bidirectional', 'prefix', 'causal'],
      'objectives': [{'mlm': 1.0}, {'mntp': 1.0}, {'clm': 1.0}],
    }
  ),
  # A bidirectional mask shows clm its targets.
  lambda run: not (run['mask'] == 'bidirectional' and 'clm' in run['objectives']),
)
SIZE = {'steps': 1_000, 'validation.every': 250}
RUNS = axes.times(axes.times(SEEDS, CELLS), [SIZE])  # the whole grid for one seed, then the next
EVALUATE = (
  dict(program='eval', tasks=('blimp',), task_limit=20),  # pairs of each of the 67 paradigms
  dict(program='eval', tasks=('probe_sst2', 'probe_conll2000'), task_limit=250),
  dict(
    program='finetune',
    tasks=('sick',),
    finetune_mask='same',
    steps=100,
    batch_size=16,
    max_length=48,
    limit=1_000,
  ),
)
TABLE = dict(
  rows='mask',
  columns='objectives',
  value='loss',
  also=('finetune_sick', 'probe_sst2', 'probe_conll2000', 'blimp'),
)
