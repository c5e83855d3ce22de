"""What makes gpt_char learn fast? Each run takes back one of its choices."""

BASE = 'configs/gpt_char.py'
_ADAMW = {
  'optimizer.name': 'adamw',
  'optimizer.adam_learning_rate': 0.0,
  'optimizer.warmup_steps': 13,
}
RUNS = [
  dict(name=name) | taken_back
  for name, taken_back in {
    'as_it_is': {},
    'learned_positions': {'model.positions': 'learned'},
    'layer_norm': {'model.norm': 'layer'},
    'no_qk_norm': {'model.qk_norm': False},
    'gelu': {'model.activation': 'gelu'},
    'no_zeros': {'model.init_residual_zero': False},
    'untied': {'model.tie_embeddings': False},
    'four_heads': {'model.heads': 4},
    'adamw': _ADAMW | {'optimizer.learning_rate': 3e-3},
    'adamw_faster': _ADAMW | {'optimizer.learning_rate': 1e-2},
  }.items()
]
TABLE = dict(rows='name', value='loss')
