"""Languages whose least loss is known: does each cell
reach what its eyes allow? (docs/synthetic.md)

`python -m tools.bounds DIR` puts each run beside its own bound. The table here has validation's
losses, in which MLM is asked with BERT's 80/10/10 masks at 15%; this training never showed a random
word, so those lie far above any bound.
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
