"""FinBERT (Araci 2019): BERT-base, uncased, goes on with financial news, vocabulary kept.

Corpus: Reuters TRC2 (its news on finance), which NIST lends to those who sign for it
(https://trec.nist.gov/data/reuters/reuters.html): write the news a document a line as
{"text": ...}. INIT is the uncased BERT-base. Another FinBERT (Yang et al. 2020) trains from scratch
with a vocabulary of 30,873 entries, beside a twin with BERT's.

Source:     Araci 2019; ProsusAI/finBERT README. The rate, batches and 64 tokens are those that it
            states for fine-tuning; here they are used for the corpus, too. Steps are our choice
Parameters: 110,106,428 with the MLM and NSP heads; 109,482,240 with a pooler in their place
Expected:   Financial PhraseBank accuracy 0.86, F1 0.84, after fine-tuning (paper)
Time:       not trained here
Command:    python train.py --config=configs/families/finbert.py --config.init_from=INIT \
              --config.data.tokenizer=INIT --config.data.corpus=text:TRC2

Its fine-tuning thaws one layer after another, with a lower rate for lower ones:
configs/finetune/classify.py with optimizer.unfreeze_every and optimizer.layer_decay.
"""

from configs import bert_base


def get_config(arg: str = ''):
  config = bert_base.get_config(arg)
  config.name = 'finbert'
  config.steps = 10_000
  config.batch_size = 32
  config.data.sequence_length = 64
  config.data.short_length = 0
  config.data.short_share = 0.0
  config.optimizer.learning_rate = 2e-5
  config.optimizer.warmup_steps = 0
  config.optimizer.warmup_share = 0.2
  config.validation.every = 1_000
  config.checkpoint.every = 1_000
  return config
