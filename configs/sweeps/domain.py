"""What does a model gain on books and lose on Wikipedia, by the share of each in its text?

From books alone to Wikipedia alone; the thousandth is there so that each run validates on both.
Rows and vocabulary have the same shares. Causal models, since their bits a byte compare between
vocabularies. docs/families/domain.md says how to go on from a run with its vocabulary kept or
extended, which is the other half of SciBERT's control (Beltagy et al. 2019).
"""

from configs.sweeps import axes

BASE = 'configs/gpt_tiny.py'
SHARES = ((1000, 1), (9, 1), (1, 1), (1, 9), (1, 1000))
RUNS = axes.product(
  {
    'seed': [0, 1, 2],
    'data.corpus': [f'mix:{books} gutenberg {leads} wiki_leads' for books, leads in SHARES],
  }
)
TABLE = dict(
  rows='data.corpus', value='gutenberg/bits_per_byte', also=('wiki_leads/bits_per_byte',)
)
