"""What is each part of DistilBERT worth, and what is the same student without a teacher?

Sanh et al. 2019, Table 4, in small: all three losses, each left out, and random parameters in place
of the teacher's layers. Then what the paper leaves out: the teacher's layers and MLM alone; and no
teacher at all, trained as the teacher was, for the FLOPs of `all` (601 steps, with the teacher's
forward passes) or for those and the teacher's own training (3,280 steps). `row` asks the teacher at
every position, as the published code does; the others at the masked ones.

It needs the teacher first: configs/families/distil_teacher.py has the command.
"""

from configs.sweeps import axes

BASE = 'configs/families/distil_tiny.py'
_RANDOM = {'init_from': '', 'init_layers': ''}
_MLM = {'distill.teacher': '', 'objectives': {'mlm': 1.0}}
_ALONE = (
  _MLM | _RANDOM | {'schedule': '1 causal+clm, 2 bidirectional+mlm', 'model.shared_head': True}
)
ARMS = {
  'all': {'objectives': {'distill': 5.0, 'mlm': 2.0, 'distill_hidden': 1.0}},
  'no_soft': {'objectives': {'mlm': 2.0, 'distill_hidden': 1.0}},
  'no_hidden': {'objectives': {'distill': 5.0, 'mlm': 2.0}},
  'no_mlm': {'objectives': {'distill': 5.0, 'mlm': 0.0, 'distill_hidden': 1.0}},
  'random': {'objectives': {'distill': 5.0, 'mlm': 2.0, 'distill_hidden': 1.0}} | _RANDOM,
  'row': {'objectives': {'distill_row': 5.0, 'mlm': 2.0, 'distill_hidden': 1.0}},
  'layers_only': _MLM,
  'alone_same_flops': _ALONE | {'steps': 601},
  'alone_all_flops': _ALONE | {'steps': 3_280},
}
_QUICK = {
  'seed': [0, 1, 2],
  'validation.every': [10_000],
  'validation.first': [False],
  'log.every': [10],
  'log.tensorboard': [False],
}
RUNS = axes.times(
  [{'name': name} | changes for name, changes in ARMS.items()], axes.product(_QUICK)
)
TABLE = dict(rows='name', value='mlm_loss', also=('mlm_accuracy',))
