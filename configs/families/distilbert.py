"""DistilBERT (Sanh et al. 2019): 6 of BERT-base's 12 layers, which learn what BERT-base says.

No segments, no pooler and no sentence pairs. The loss is 5 x soft targets (temperature 2, at every
position), 2 x MLM and 1 x cosine of the last hidden states; masked are tokens in proportion to
count^-0.7. The recipe is that of the published code: batches of 4,000, AdamW without decay, 3
epochs of BERT's corpus. In number of steps that is our arithmetic: 4.3e9 tokens in full rows. In
the published code the position table stays as the teacher has it; here it is trained.

The teacher is BERT-base: import it (docs/weights.md), or name another with its tokenizer, as in
--config.distill.teacher=DIR --config.init_from=DIR --config.data.tokenizer=DIR/tokenizer.json.

Source:     paper 2, 3; huggingface/transformers-research-projects, distillation/ (train.py,
            distiller.py, scripts/extract_distilbert.py)
Parameters: 66,985,530 with the MLM head; 66,362,880 without
Expected:   GLUE, mean of dev sets, 77.0 where BERT-base has 79.5 (README), with the same corpus
Time:       not trained here; 90 hours on eight V100 in the paper
Command:    python train.py --config=configs/families/distilbert.py:corpus=wikipedia
"""

from configs import bert_base


def get_config(arg: str = ''):
  config = bert_base.get_config(arg)
  config.name = 'distilbert'
  config.steps = 6_300
  config.batch_size = 4_000
  config.objectives = dict(distill_row=5.0, mlm=2.0, distill_hidden=1.0)
  config.distill.teacher = 'imported/bert_base'
  config.init_from = 'imported/bert_base'
  config.init_layers = '0 2 4 7 9 11'
  config.mlm.smoothing = 0.7
  config.data.tokenizer = 'imported/bert_base/tokenizer.json'
  config.data.short_length = 0
  config.data.short_share = 0.0

  config.model.layers = 6
  config.model.segment_types = 0

  config.optimizer.learning_rate = 5e-4
  config.optimizer.warmup_steps = 315
  config.optimizer.beta2 = 0.98
  config.optimizer.bias_correction = True
  config.optimizer.weight_decay = 0.0
  config.optimizer.clip = 5.0

  config.validation.every = 500
  config.checkpoint.every = 500
  config.log.every = 10
  return config
