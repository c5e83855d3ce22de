"""The numbers that a report compares runs by: validation's, and those of evaluations."""

import dataclasses

from tools.report.records import FinishedRun, Sweep, unique

# Units of validation's numbers, by the end of the name.
_UNITS = {
  'loss': 'nats a prediction',
  'accuracy': 'share of predictions',
  'perplexity': 'perplexity',
  'bits_per_byte': 'bits a byte of text',
}
_TITLES = dict(loss='Validation loss', bits_per_byte='Bits per byte', blimp='BLiMP')
_TASK_TITLES = dict(probe='Probe', finetune='Fine-tuning')


@dataclasses.dataclass(frozen=True)
class Value:
  """A number that runs are compared by.

  Attributes:
    name: of validation's number, or of an entry of evaluations.json.
    side: 'understanding' or 'generation' if it is an evaluation of one of them.
    one_question: every objective is asked the same question, so numbers compare across the whole
      table. False of the loss: each objective predicts other tokens.
    scores: {kind of score: its meaning}, if the runs were not all scored by one kind.
  """

  name: str
  unit: str
  higher_is_better: bool
  side: str | None
  one_question: bool
  scores: dict[str, str] = dataclasses.field(default_factory=dict)

  def of(self, run: FinishedRun) -> float | None:
    """The number of a run; None if it has none."""
    if self.name in run.evaluations:
      return float(run.evaluations[self.name]['value'])
    number = run.validation.get(self.name)
    return None if number is None else float(number)

  @property
  def title(self) -> str:
    """The name for people, as in 'Probe on SST2'."""
    kind, _, task = self.name.partition('_')
    if kind in _TASK_TITLES and task:
      return f'{_TASK_TITLES[kind]} on {task.upper()}'
    return _TITLES.get(self.name, self.name.replace('_', ' '))

  @property
  def better(self) -> str:
    """higher or lower."""
    return 'higher' if self.higher_is_better else 'lower'


def values(sweep: Sweep) -> list[Value]:
  """The values that TABLE names and that a run has; the loss if there is none.

  TABLE names its `value` and, in `also`, others; without `also` every evaluation is one.
  """
  found = [value_of(sweep, name) for name in _requested(sweep)]
  return [value for value in found if value] or [value_of(sweep, 'loss')]


def names_without_number(sweep: Sweep) -> list[str]:
  """The names of TABLE that no run has a number for."""
  found = {value.name for value in values(sweep)}
  return [name for name in _requested(sweep) if name not in found]


def _requested(sweep: Sweep) -> list[str]:
  evaluated = sorted({name for run in sweep.runs for name in run.evaluations})
  return unique([sweep.table['value'], *sweep.table.get('also', evaluated)])


def value_of(sweep: Sweep, name: str) -> Value | None:
  """The value of a name, described by the first run that has it; None if no run has."""
  for run in sweep.runs:
    if name in run.evaluations:
      return _of_evaluation(sweep, name)
    if isinstance(run.validation.get(name), int | float):
      return _of_validation(name)
  return None


def _of_evaluation(sweep: Sweep, name: str) -> Value:
  entries = [run.evaluations[name] for run in sweep.runs if name in run.evaluations]
  scores = {}
  for entry in entries:
    if 'score' in entry:
      scores[entry['score']] = entry.get('unit', '').partition(';')[2].strip()
  several = len(scores) > 1
  unit = entries[0].get('unit', '')
  return Value(
    name=name,
    unit=unit.partition(';')[0] if several else unit,
    higher_is_better=entries[0].get('higher_is_better', True),
    side=entries[0].get('side'),
    one_question=True,
    scores=scores if several else {},
  )


def _of_validation(name: str) -> Value:
  return Value(
    name=name,
    unit=next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), ''),
    higher_is_better=name.endswith('accuracy'),
    side='generation' if name == 'bits_per_byte' else None,
    one_question=name != 'loss',
  )
