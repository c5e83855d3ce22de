"""The grid: which mask, which objective? Cells share trunk,
vocabulary, and rows in one order; an hour on two cores.

What the studies say: T5 Table 2 has prefix-LM between encoder-decoder and decoder, BERT Table 5
puts causal ("LTR") below masked on understanding. Losses compare down a column, where three masks
are asked one question; across columns the questions differ, and under clm a prefix model is asked
only for what follows its prefix.
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
  # sees its answers
  lambda run: not (run['mask'] == 'bidirectional' and 'clm' in run['objectives']),
)
SIZE = {'steps': 1_000, 'validation.every': 250}
RUNS = axes.times(axes.times(SEEDS, CELLS), [SIZE])  # whole grids one after another
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
