"""One model for understanding and generation: which cell should train when?

CLM before masked prediction ("Should We Still Pretrain Encoders with MLM?", 25% and 75% of the
steps), alternating blocks (AntLM, 4 + 16 + 4), or both in every batch (GPT-BERT, 1:7 and 1:1).
Every run has one head for both cells, and is scored under both: bidirectional with MNTP, and causal
with CLM. Runs of a single cell show the loss of a cell that was never trained.
"""

from configs.sweeps import axes

BASE = 'configs/bert_tiny.py'
RUNS = axes.times(
  axes.product(
    {
      'schedule': [
        '1 bidirectional+mntp',
        '1 causal+clm',
        '1 causal+clm, 3 bidirectional+mntp',
        '4 causal+clm, 16 bidirectional+mntp, 4 causal+clm',
        '1 causal+clm & 7 bidirectional+mntp',
        '1 causal+clm & 1 bidirectional+mntp',
      ]
    }
  ),
  axes.product(
    {
      'objectives': [{'mntp': 1.0}],
      'model.shared_head': [True],
      'validation.extra_cells': ['causal+clm'],
      'seed': [0, 1, 2],
    }
  ),
)
TABLE = dict(rows='schedule', columns='objectives', value='loss', also=('causal+clm/loss',))
