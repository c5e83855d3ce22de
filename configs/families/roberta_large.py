"""RoBERTa-large (Liu et al. 2019): 24 layers, width 1024, 16 heads; RoBERTa-base's recipe at 4e-4.

Source:     paper 5 and table 9; fairseq (examples/roberta)
Parameters: 355,412,057 with the MLM head; 355,359,744 with a pooler in its place
Expected:   GLUE dev MNLI 90.2, QNLI 94.7, SST-2 96.4; SQuAD 1.1 F1 94.6, 2.0 F1 89.4; RACE 83.2
            (fairseq README), with 160 GB of text that is not public as a whole
Time:       not trained here; one day on 1,024 V100 for 100,000 steps in the paper
Command:    python train.py --config=configs/families/roberta_large.py:corpus=wikipedia+books
"""

from configs.families import roberta_base


def get_config(arg: str = ''):
  config = roberta_base.get_config(arg)
  config.name = 'roberta_large'
  config.model.layers = 24
  config.model.width = 1_024
  config.model.heads = 16
  config.model.feed_forward = 4_096
  config.optimizer.learning_rate = 4e-4
  config.optimizer.warmup_steps = 30_000
  return config
