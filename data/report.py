"""The data report as a table for a console."""

from data import mixed_report

KINDS = dict(
  pairs='sentence pairs',
  sentence_pairs='pairs of single sentences',
  packed='packed rows',
  full_sentences='full sentences',
  doc_sentences='full sentences of one document',
  running='windows of one running text',
)
_NAMES_SHOWN = 3  # data_report.json has all


def format_report(report: dict) -> str:
  """A few aligned lines: what the corpus holds, what became of it, and the loss to beat.

  Args:
    report: of `pipeline.Prepared`.
  """
  lines = [
    ('corpus', f'{report["corpus"]}, as {KINDS[report["kind"]]}'),
    (
      'documents',
      f'{report["documents"]:,}: {report["train"]["documents"]:,} to train on and '
      f'{report["validation"]["documents"]:,} to validate; {report["duplicates"]:,} '
      + ('copy' if report['duplicates'] == 1 else 'copies'),
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
    *((('left out', _left_out(report['left_out'])),) if report['left_out'] else ()),
    (
      'unigram entropy',
      f'{report["unigram_entropy"]:.4f} nats a token: the loss of knowing frequencies',
    ),
    *((label, _part(part)) for label, part in report.get('parts', {}).items()),
    ('validation', f'sha256 {report["validation"]["sha256"][:16]}'),
  ]
  width = max(len(name) for name, _ in lines)
  return '\n'.join(f'{name:<{width}}  {text}' for name, text in lines)


def _part(part: dict) -> str:
  """What one corpus of a mix holds, and what the shared vocabulary makes of it."""
  return (
    f'{part["share"]:.1%} of the rows; {part["documents"]:,} documents, {part["words"]:,} words, '
    f'{part["tokens"]:,} tokens, {mixed_report.fertility(part):.2f} a word, '
    f'{part["unknown_share"]:.3%} unknown'
  )


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


def _left_out(files: dict[str, list[str]]) -> str:
  """How many files of the folder were not read and why, with the first names of each reason."""
  reasons = []
  for reason, names in files.items():
    shown = ', '.join(names[:_NAMES_SHOWN]) + (', ...' if len(names) > _NAMES_SHOWN else '')
    reasons.append(f'{len(names):,} file{"s" if len(names) > 1 else ""} {reason} ({shown})')
  return '; '.join(reasons)
