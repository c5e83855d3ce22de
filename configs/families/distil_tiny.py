"""A DistilBERT for a laptop: 2 of the 4 layers of configs/families/distil_teacher.py.

Source:     Sanh et al. 2019, 2 and 3 (configs/families/distilbert.py); shape and length are ours
Parameters: 958,336 with the MLM head
Expected:   not measured yet
Time:       not measured yet
Command:    python train.py --config=configs/families/distil_tiny.py
"""

from configs.families import distil_teacher


def get_config(arg: str = ''):
  config = distil_teacher.get_config(arg)
  config.name = 'distil_tiny'
  config.steps = 400
  config.objectives = dict(distill=5.0, mlm=2.0, distill_hidden=1.0)
  config.distill.teacher = 'runs/distil_teacher'
  config.init_from = 'runs/distil_teacher'
  config.init_layers = '0 2'
  config.schedule = ''
  config.model.layers = 2
  config.model.shared_head = False
  config.optimizer.warmup_steps = 20
  config.validation.every = 200
  return config
