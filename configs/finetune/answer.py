"""A model that finds the answers to questions in a text (SQuAD 1.1 and 2.0).

As configs/finetune/classify.py. A long text is read in windows, each with the question; the scores
are SQuAD's exact_match and f1, as shares. Where some questions have no answer, by how much "none"
must lead to be said is chosen on the validation split at the end, and kept in labels.json.

Source:     Devlin et al. 2019, 4.2 and 4.3; google-research/bert run_squad.py: 384 tokens, stride
            128, 3e-5, 2 epochs of batches of 12 to 32
Command:    python train.py --config=configs/finetune/answer.py --config.init_from=DIR \
              --config.data.task=squad:PATH
"""

from configs.finetune import classify


def get_config(arg: str = ''):
  config = classify.get_config(arg)
  config.name = 'answer'
  with config.unlocked():
    config.objectives = dict(answer=1.0)
  config.data.sequence_length = 384
  config.optimizer.learning_rate = 3e-5
  return config
