"""A DistilGPT2 for a laptop: the causal twin of configs/families/distil_tiny.py, 2 layers of 4.

Its teacher is configs/gpt_tiny.py with 4 layers:

  python train.py --config=configs/gpt_tiny.py --config.model.layers=4 \\
    --workdir=runs/distilgpt_teacher

Source:     configs/families/distilgpt2.py; shape and length are ours
Parameters: 937,472
Expected:   not measured yet
Time:       not measured yet
Command:    python train.py --config=configs/families/distilgpt_tiny.py
"""

from configs import gpt_tiny


def get_config(arg: str = ''):
  config = gpt_tiny.get_config(arg)
  config.name = 'distilgpt_tiny'
  config.steps = 400
  config.objectives = dict(distill=5.0, clm=2.0, distill_hidden=1.0)
  config.distill.teacher = 'runs/distilgpt_teacher'
  config.init_from = 'runs/distilgpt_teacher'
  config.init_layers = '0 2'
  config.optimizer.warmup_steps = 20
  config.validation.every = 200
  return config
