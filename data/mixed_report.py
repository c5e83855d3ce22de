"""The data report of several corpora as one, from the reports of each."""

from collections import Counter
from collections.abc import Sequence

from data import cache
from data.rows.documents import SPLITS


def join(
  name: str,
  labels: Sequence[str],
  reports: Sequence[dict],
  shares: dict[int, list[float]],
  entropy: float,
) -> dict:
  """What `pipeline.Prepared.report` is of a mix: totals, and under `parts` what each corpus holds.

  Args:
    labels: names of the corpora.
    reports: of each, as of a corpus alone.
    shares: {T: the share of the rows that each is read with}.
    entropy: of the tokens as they are read, nats.
  """
  splits = {split: _added([report[split] for report in reports]) for split in SPLITS}
  total = _added(splits.values())
  tokens = max(total['tokens'], 1)
  longest = max(shares)
  parts = {
    label: report | dict(share=share)
    for label, report, share in zip(labels, reports, shares[longest])
  }
  digests = [report['validation']['sha256'] for report in reports]
  return dict(
    corpus=name,
    **{quantity: total[quantity] for quantity in total if quantity != 'lost_bytes'},
    bytes_per_token=total['bytes'] / tokens,
    unknown_share=total['unknown'] / tokens,
    duplicates=sum(report['duplicates'] for report in reports),
    dropped=_added([report['dropped'] for report in reports]),
    replaced=_added([report['replaced'] for report in reports]),
    left_out=_left_out(reports),
    unigram_entropy=entropy,
    train=splits['train'],
    validation=splits['validation'] | dict(sha256=cache.key(validation=digests)),
    normalised=reports[0]['normalised'],
    kind=reports[0]['kind'],
    rows={
      str(T): {
        split: _added([report['rows'][str(T)][split] for report in reports]) for split in SPLITS
      }
      for T in shares
    },
    parts=parts,
  )


def fertility(report: dict) -> float:
  """Tokens a word, where words are what white space separates."""
  return report['tokens'] / max(report['words'], 1)


def _added(counts) -> dict[str, int]:
  """The sums of counts by name; what is no number is left out."""
  total = Counter()
  for each in counts:
    total.update({name: value for name, value in each.items() if isinstance(value, int)})
  return dict(total)


def _left_out(reports: Sequence[dict]) -> dict[str, list[str]]:
  names = {}
  for report in reports:
    for reason, files in report['left_out'].items():
      names[reason] = names.get(reason, []) + files
  return names
