"""How likely a model finds texts of your own: total nats and
bits a byte, by the score that fits its cell.

`likelihood/text.txt` in the folder of the tasks has a text a line. A causal model's bits and a
masked model's pseudo-bits are of different questions
(docs/evaluation.md): names and units say which.
"""

from evaluation import likelihood
from evaluation.errors import TaskError
from evaluation.subject import Subject


def run(subject: Subject) -> dict[str, dict]:
  """{'likelihood': ...} of the lines of likelihood/text.txt; with
  the score 'prefix' of the second half of each.

  Raises:
    TaskError: the model gives no likelihood, or not the kind
      that is asked for; or there is no text.
  """
  model = subject.model
  kind = likelihood.choose(subject.score, model.mask, model.objectives)
  path = None if subject.folder is None else subject.folder / 'likelihood' / 'text.txt'
  if path is None or not path.is_file():
    raise TaskError(
      f'likelihood: there is no {path or "--task_data"}: put a text a line into '
      'likelihood/text.txt of the folder that --task_data names.'
    )
  lines = [line for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
  lines = lines[: subject.limit or None]
  asked = [
    (line, text)
    for line, text in zip(lines, model.tokenizer.encode(lines))
    if 1 < len(text) <= model.context - 2
  ]
  if not asked:
    raise TaskError(f'likelihood: no line of {path} has 2 to {model.context - 2} tokens.')
  given = [len(text) // 2 if kind == 'prefix' else 0 for _, text in asked]
  scorer = likelihood.Scorer(
    model.network.apply,
    model.params,
    model.tokenizer,
    kind=kind,
    mask=model.mask,
    max_length=model.context,
  )
  nats = scorer(
    [text for _, text in asked], given, lambda done, of: subject.progress('likelihood', done, of)
  )
  # Of a half there are only tokens, and what they read as.
  size = sum(
    len((model.tokenizer.decode(text[start:]) if start else line).encode())
    for (line, text), start in zip(asked, given)
  )
  found = likelihood.summarize(kind, nats, size)
  value = next(found[name] for name in found if name.endswith('bits_per_byte'))
  return dict(
    likelihood=dict(
      value=value,
      unit=f'bits a byte; {likelihood.KINDS[kind]}',
      higher_is_better=False,
      side='generation',
      score=kind,
      texts=len(asked),
      left_out=len(lines) - len(asked),
      limit=subject.limit,
      **found,
    )
  )
