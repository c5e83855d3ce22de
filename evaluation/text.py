"""The likelihood of texts of your own: total nats, and bits per byte.

The texts are the lines of `likelihood/text.txt` in the folder of --task_data, without blank ones.
Bits of a causal model and pseudo-bits of a masked model are not comparable (docs/evaluation.md), so
names and units say which they are.
"""

import functools

from data.lines import is_blank, read_lines
from data.tokens.tokenizer import Tokenizer
from evaluation import likelihood
from evaluation.errors import TaskError
from evaluation.subject import Subject
from evaluation.validation import described_text, lost_nats


def run(subject: Subject) -> dict[str, dict]:
  """Returns {'likelihood': ...} of the lines of likelihood/text.txt.

  With the score 'prefix' the first half of each line is the prefix, and the second half is scored.

  Raises:
    TaskError: the model gives no likelihood, or not of the kind in `subject.score`; or there is no
      text, or none that fits the model.
  """
  model = subject.model
  kind = likelihood.choose(subject.score, model.mask, model.objectives)
  path = None if subject.folder is None else subject.folder / 'likelihood' / 'text.txt'
  if path is None or not path.is_file():
    raise TaskError(
      f'likelihood: there is no {path or "--task_data"}: put a text a line into '
      'likelihood/text.txt of the folder that --task_data names.'
    )
  written = read_lines(path)
  lines = [line for line in written if not is_blank(line)]
  blank = len(written) - len(lines)
  lines = lines[: subject.limit or None]
  scored = [
    (line, ids)
    for line, ids in zip(lines, model.tokenizer.encode(lines))
    if 1 < len(ids) <= model.context - 2
  ]
  if not scored:
    raise TaskError(f'likelihood: no line of {path} has 2 to {model.context - 2} tokens.')
  prefixes = [len(ids) // 2 if kind == 'prefix' else 0 for _, ids in scored]
  scorer = likelihood.scorer_of(model, kind)
  progress = functools.partial(subject.progress, 'likelihood')
  nats = scorer([ids for _, ids in scored], prefixes, progress)
  texts = [
    _after(model.tokenizer, line, prefix) if prefix else line
    for (line, _), prefix in zip(scored, prefixes)
  ]
  lost = model.tokenizer.lost_bytes(texts)
  byte_count = sum(len(text.encode()) for text in texts)
  found = likelihood.summarize(kind, nats, byte_count, lost_nats(lost))
  value = next(found[name] for name in found if name.endswith('bits_per_byte'))
  return dict(
    likelihood=dict(
      value=value,
      unit=f'bits a byte; {likelihood.KINDS[kind]}',
      text=described_text(model.tokenizer.normalised, lost),
      higher_is_better=False,
      side='generation',
      score=kind,
      texts=len(scored),
      left_out=len(lines) - len(scored),
      blank=blank,
      limit=subject.limit,
      **found,
    )
  )


def _after(tokenizer: Tokenizer, line: str, prefix: int) -> str:
  """The part of a line that the tokens from number `prefix` on stand for."""
  return line[tokenizer.spans(line)[prefix][0] :]
