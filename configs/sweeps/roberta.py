"""What does RoBERTa change in BERT's input, and does it help? (Liu et al. 2019, Tables 1 and 2)

Four kinds of rows, with NSP where they are pairs, as in Table 2; and full sentences with the same
masks every epoch, as in Table 1. Half of the corpus is read about twice. Losses of different rows
do not compare, so the table has scores of what all models are asked alike. Positions are rotary,
since a table does not leave the unigram entropy at this budget (docs/families/roberta.md).
"""

from configs.sweeps import axes

BASE = 'configs/families/roberta_tiny.py'
_NSP = {'mlm': 1.0, 'nsp': 1.0}
_MLM = {'mlm': 1.0}
ROWS = axes.zipped(
  {
    'data.rows': [
      'segment_pairs',
      'sentence_pairs',
      'full_sentences',
      'doc_sentences',
      'full_sentences',
    ],
    'objectives': [_NSP, _NSP, _MLM, _MLM, _MLM],
    'mlm.fixed_maskings': [0, 0, 0, 0, 1],
  }
)
SMALL = {
  'steps': 1_000,
  'data.validation_share': 0.5,
  'model.positions': 'rotary',
  'model.segment_types': 2,
  'optimizer.learning_rate': 2e-3,
  'validation.every': 1_000,
  'validation.batch_size': 128,
  'log.tensorboard': False,
  'log.every': 10,
}
RUNS = axes.times(axes.times(axes.product({'seed': [0, 1, 2]}), ROWS), [SMALL])
EVALUATE = (
  dict(program='eval', tasks=('blimp',), task_limit=8),  # pairs of each of the 67 paradigms
  dict(program='eval', tasks=('probe_sst2',), task_limit=250),
)
TABLE = dict(rows=('data.rows', 'mlm.fixed_maskings'), value='blimp', also=('probe_sst2',))
