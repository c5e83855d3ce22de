"""BioBERT (Lee et al. 2020): BERT-base, cased, goes on with text of biomedicine, vocabulary kept.

Corpus: abstracts of PubMed, 4.5 billion words (v1.1; v1.0 has full texts of PMC beside them). From
the baseline files of NLM (https://ftp.ncbi.nlm.nih.gov/pubmed/baseline/), write the AbstractText of
each article, a document a line as {"text": ...}, into a folder of .jsonl files. INIT is the cased
BERT-base of google-research/bert, as a Hugging Face directory or imported with tools.convert.

Source:     Lee et al. 2020; dmis-lab/biobert README: 1,000,000 more steps, batches of 192, 512
            tokens, for v1.0; the rate is BERT's
Parameters: 108,932,934 with the MLM and NSP heads; 108,310,272 with a pooler in their place
Expected:   NER +0.62 F1, relations +2.80 F1, questions +12.24 MRR over BERT (abstract)
Time:       not trained here
Command:    python train.py --config=configs/families/biobert.py --config.init_from=INIT \
              --config.data.tokenizer=INIT --config.data.corpus=text:PUBMED

Without INIT and PUBMED it trains from scratch on the small default corpus. To keep more of what
the model knew, mix old text in: --config.data.corpus='mix:9 text:PUBMED 1 wikipedia'.
"""

from configs import bert_base


def get_config(arg: str = ''):
  config = bert_base.get_config(arg)
  config.name = 'biobert'
  config.batch_size = 192
  config.data.short_length = 0
  config.data.short_share = 0.0
  config.data.lowercase = False
  config.model.vocab_size = 28_996
  return config
