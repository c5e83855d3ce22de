"""How should languages of different sizes be read? (multilingual BERT: size to the power of 0.7)

The exponent decides the rows and the vocabulary. The table has the loss of each language; what
crosses from one to another is fine-tuned from these runs, as docs/families/mbert.md says. The
leads in Spanish are half of the English ones, so the differences are small.
"""

from configs.sweeps import axes

BASE = 'configs/families/mbert_tiny.py'
RUNS = axes.product({'seed': [0, 1, 2], 'data.mix_exponent': [0.0, 0.3, 0.7, 1.0]})
TABLE = dict(rows='data.mix_exponent', value='wiki_leads_es/mlm_loss')
