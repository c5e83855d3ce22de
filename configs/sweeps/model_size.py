"""Deeper or wider, for BERT's cell and for GPT's? As in Turc et al. 2019, with smaller shapes."""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.times(
  axes.zipped({'mask': ['bidirectional', 'causal'], 'objectives': [{'mlm': 1.0}, {'clm': 1.0}]}),
  axes.times(
    axes.zipped(
      {
        'model.layers': [1, 2, 4, 2],
        'model.width': [128, 128, 128, 256],
        'model.feed_forward': [512, 512, 512, 1024],
      }
    ),
    axes.product({'seed': [0, 1, 2]}),
  ),
)
TABLE = dict(rows=('model.layers', 'model.width'), columns='objectives', value='loss')
