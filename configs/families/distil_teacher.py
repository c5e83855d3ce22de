"""The teacher of configs/families/distil_tiny.py: bert_tiny with 4 layers, CLM and then MLM.

DistilBERT has a learned position table, and with one MLM alone does not leave the unigram loss at
this size (docs/LOG.md, 2026-11-23). So a third of the steps is causal: CLM finds the neighbours,
and MLM goes on from there, with the same head.

Source:     configs/bert_tiny.py; the phases are AntLM's (configs/sweeps/schedules.py)
Parameters: 1,354,880 with the head
Expected:   not measured yet
Time:       not measured yet
Command:    python train.py --config=configs/families/distil_teacher.py
            --workdir=runs/distil_teacher
"""

from configs import bert_tiny


def get_config(arg: str = ''):
  config = bert_tiny.get_config(arg)
  config.name = 'distil_teacher'
  config.objectives = dict(mlm=1.0)
  config.schedule = '1 causal+clm, 2 bidirectional+mlm'
  config.model.layers = 4
  config.model.positions = 'learned'
  config.model.shared_head = True
  config.model.segment_types = 0
  return config
