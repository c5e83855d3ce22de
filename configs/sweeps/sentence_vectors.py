"""Which mask, which objective and which pooling make sentence vectors: twelve trunks, half an hour.

Each trunk is pre-trained from scratch, and scored on STS under every pooling that its mask allows:
as it is, and after 60 updates of CoSENT on pairs of other years. FOLDER of --task_data holds the
test files of the years that are scored in sts/, and sts_train.tsv with the columns score, sentence1
and sentence2.
"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
CELLS = [
  {'mask': mask, 'objectives': {objective: 1.0}}
  for mask, objective in (
    ('bidirectional', 'mlm'),
    ('prefix', 'clm'),
    ('causal', 'clm'),
    ('causal', 'mlm'),
  )
]
SIZE = {'steps': 1_000, 'validation.every': 500, 'log.tensorboard': False}
RUNS = axes.times(axes.times(axes.product({'seed': [0, 1, 2]}), CELLS), [SIZE])
POOLINGS = ('mean', 'max', 'last', 'weighted_mean')
# The first token of a causal model has seen nothing of its text.
SEES_ALL = {'mask': ('bidirectional', 'prefix')}
TRAINED = dict(
  program='poolings',
  groups='sts_train.tsv',
  objective='cosent',
  steps=60,
  learning_rate=1e-4,
  max_length=48,
)
EVALUATE = (
  dict(program='poolings', tasks=POOLINGS),
  dict(program='poolings', tasks=('first',), only=SEES_ALL),
  dict(TRAINED, tasks=('mean', 'last')),
  dict(TRAINED, tasks=('first',), only=SEES_ALL),
)
SCORES = tuple(f'sts_{pooling}' for pooling in (*POOLINGS, 'first'))
TUNED = tuple(f'sts_{pooling}_cosent' for pooling in ('mean', 'last', 'first'))
TABLE = dict(
  rows='mask',
  columns='objectives',
  value='loss',
  also=(*SCORES, *TUNED),
)
