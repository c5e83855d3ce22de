"""What do shared layers and narrow embeddings cost? (Lan et al. 2020, Tables 3, 4 and 11)

Two layers and embeddings of 64, as ALBERT, then without sharing, with embeddings as wide as the
layers, and with neither. These four have the FLOPs of one another, but for the embeddings. The wide
one spends the parameters that sharing and E save on a wider layer: it has the parameters of the
network with neither, and 1,000 steps of it are as many steps, 411 as many FLOPs. Losses compare:
tokens, rows and masks are the same. The recipe is that of configs/bert_tiny.py without NSP: with
ALBERT's own nothing is learned in so few steps of so few rows (docs/families/albert.md).
"""

from configs.sweeps import axes

BASE = 'configs/families/albert_tiny.py'
SHAPES = axes.zipped(
  {
    'model.shared_layers': [True, False, True, False, True, True],
    'model.embedding_width': [64, 64, 0, 0, 64, 64],
    'model.width': [128, 128, 128, 128, 224, 224],
    'model.heads': [2, 2, 2, 2, 4, 4],
    'model.feed_forward': [512, 512, 512, 512, 896, 896],
    'steps': [1_000, 1_000, 1_000, 1_000, 1_000, 411],
  }
)
SMALL = {
  'objectives': {'mlm': 1.0},
  'mlm.unit': 'token',
  'batch_size': 8,
  'model.positions': 'rotary',
  'optimizer.name': 'adamw',
  'optimizer.learning_rate': 2e-3,
  'optimizer.warmup_steps': 50,
  'optimizer.beta2': 0.98,
  'validation.every': 1_000,
  'validation.batch_size': 128,
  'log.tensorboard': False,
  'log.every': 10,
}
RUNS = axes.times(axes.times(axes.product({'seed': [0, 1, 2]}), SHAPES), [SMALL])
TABLE = dict(
  rows=('model.shared_layers', 'model.embedding_width', 'model.width', 'steps'),
  value='loss',
)
