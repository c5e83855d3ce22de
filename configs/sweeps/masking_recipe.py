"""What replaces a masked token: BERT's 80/10/10, or always [MASK]? (Devlin et al. 2019, Table 8)"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.times(
  axes.zipped({'mlm.masked': [0.8, 1.0, 0.8, 0.8, 0.0], 'mlm.random': [0.1, 0.0, 0.0, 0.2, 1.0]}),
  axes.product({'objectives': [{'mlm': 1.0}], 'seed': [0, 1, 2]}),
)
TABLE = dict(rows=('mlm.masked', 'mlm.random'), columns='objectives', value='loss')
