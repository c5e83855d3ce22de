"""The data report as a table for a console."""

_KINDS = dict(pairs='sentence pairs', packed='packed rows', running='windows of one running text')


def format_report(report: dict) -> str:
  """A few aligned lines: what the corpus holds, what became of it, and the loss to beat.

  Args:
    report: of `pipeline.Prepared`.
  """
  lines = [
    ('corpus', f'{report["corpus"]}, as {_KINDS[report["kind"]]}'),
    (
      'documents',
      f'{report["documents"]:,}: {report["train"]["documents"]:,} to train on and '
      f'{report["validation"]["documents"]:,} to validate; {report["duplicates"]:,} copies',
    ),
    (
      'text',
      f'{report["bytes"]:,} bytes, {report["words"]:,} words'
      + (f', {report["sentences"]:,} sentences' if report['kind'] != 'running' else ''),
    ),
    (
      'tokens',
      f'{report["tokens"]:,}, {report["bytes_per_token"]:.2f} bytes each, '
      f'{report["unknown_share"]:.3%} unknown',
    ),
    *((f'rows of {T}', _rows(cut)) for T, cut in report['rows'].items()),
    ('dropped', _counts(report['dropped'], 'documents') or 'nothing'),
    ('replaced', _counts(report['replaced'], '') or 'nothing'),
    (
      'unigram entropy',
      f'{report["unigram_entropy"]:.4f} nats a token: the loss of knowing frequencies',
    ),
    ('validation', f'sha256 {report["validation"]["sha256"][:16]}'),
  ]
  width = max(len(name) for name, _ in lines)
  return '\n'.join(f'{name:<{width}}  {text}' for name, text in lines)


def _rows(cut: dict) -> str:
  train = cut['train']
  rows = f'{train["rows"]:,} to train on, {cut["validation"]["rows"]:,} to validate'
  if 'chunks' in train:
    alone = train['single_sentence_documents']
    return f'{rows}; {alone:,} documents of one sentence serve as random B only'
  return f'{rows}; {train["tokens"] / train["rows"]:.1f} tokens a row'


def _counts(counts: dict[str, int], unit: str) -> str:
  return ', '.join(
    f'{count:,} {unit}{" " if unit else ""}{reason}' for reason, count in counts.items()
  )
