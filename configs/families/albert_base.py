"""ALBERT-base (Lan et al. 2020): one layer used 12 times, width 768, embeddings of 128; MLM + SOP.

What it changes in BERT: embeddings are narrower than layers, all layers share their parameters,
sentence order in place of NSP, masks of up to three words with probability ~ 1/n, a unigram
vocabulary of 30,000, LAMB with batches of 4,096. Rate and batch belong together: with batches of
512 and this rate people saw the loss stay at 6.6 to 7.3 (issues of google-research/albert and
transformers). A healthy run ends near an MLM accuracy of 0.66 (albert_zh, issue 83).

Source:     paper 4; google-research/albert (lamb_optimizer.py, create_pretraining_data.py), whose
            max_predictions_per_seq is 20 by default, 3.9% of 512 tokens; the rate here is 15%
Parameters: 11,813,810 with the MLM and SOP heads; 11,683,584 with a pooler in their place
Expected:   version 1: average 80.1, MNLI 81.6, SST-2 90.3, RACE 64.0 (README), with the paper's
            corpus
Time:       not trained here
Command:    python train.py --config=configs/families/albert_base.py:corpus=wikipedia+books

Without the argument it trains on the small default corpus, which cannot reach the paper's numbers.
"""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'albert_base'
  config.steps = 125_000
  config.batch_size = 4_096
  config.objectives = dict(mlm=1.0, sop=1.0)
  config.data.tokenizer = 'unigram'
  config.data.sequence_length = 512
  config.mlm.unit = 'ngram'
  config.mlm.span_max = 3

  config.model.vocab_size = 30_000
  config.model.embedding_width = 128
  config.model.shared_layers = True
  config.model.activation = 'gelu_tanh'

  config.optimizer.name = 'lamb'
  config.optimizer.learning_rate = 1.76e-3
  config.optimizer.warmup_steps = 3_125

  config.validation.every = 5_000
  config.checkpoint.every = 5_000
  config.log.every = 100
  return base.with_arguments(config, arg)
