"""SciBERT (Beltagy et al. 2019): BERT-base from scratch on papers, with a vocabulary of its own.

Corpus: full texts of 1.14 million papers of Semantic Scholar, 3.1 billion tokens, which are not
public as a set. The nearest that is: S2ORC (https://github.com/allenai/s2orc), its body text a
document a line as {"text": ...} in a folder of .jsonl files. The paper's control keeps BERT's
vocabulary: --config.data.tokenizer=VOCAB and the 30,522 rows of it.

Source:     Beltagy et al. 2019; allenai/scibert README
Parameters: 110,474,010 with the MLM and NSP heads; 109,849,344 with a pooler in their place
Expected:   the vocabulary alone is worth -0.4 to +2.3 F1 a task (paper)
Time:       not trained here
Command:    python train.py --config=configs/families/scibert.py --config.data.corpus=text:S2ORC

Without S2ORC it trains on the small default corpus, which cannot reach the paper's numbers.
"""

from configs import bert_base


def get_config(arg: str = ''):
  config = bert_base.get_config(arg)
  config.name = 'scibert'
  config.model.vocab_size = 31_000
  return config
