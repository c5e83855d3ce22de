"""Does each cell reach the lowest achievable loss of a synthetic language? (docs/synthetic.md)

`python -m tools.bounds DIR` compares each run with its own bound. The table here has the losses of
validation, where MLM uses BERT's 80/10/10 masks at 15%. This training never shows a random word, so
these losses lie far above any bound.
"""

from configs.sweeps import axes

BASE = 'configs/synthetic.py'
CELLS = axes.zipped(
  {
    'mask': ['bidirectional', 'causal', 'causal'],
    'objectives': [{'mlm': 1.0}, {'mlm': 1.0}, {'clm': 1.0}],
  }
)
LANGUAGES = axes.product(
  {'data.corpus': [f'synthetic:{name}' for name in ('ambiguous', 'hidden_markov', 'brackets')]}
)
RUNS = axes.times(axes.product({'seed': [0, 1]}), axes.times(LANGUAGES, CELLS))
TABLE = dict(rows=('data.corpus', 'mask'), columns='objectives', value='loss')
