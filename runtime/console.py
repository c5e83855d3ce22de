"""What a person sees: what will happen, what is happening,
how long it will take, and what came of it.

On a terminal a live progress bar; elsewhere (a log, CI) a plain line now and then.
"""

from collections import deque
from collections.abc import Callable
import statistics
import time

from rich.console import Console as RichConsole
from rich.progress import (
  BarColumn,
  MofNCompleteColumn,
  Progress,
  ProgressColumn,
  SpinnerColumn,
  TextColumn,
)
from rich.table import Table
from rich.text import Text

_PLAIN_EVERY_S = 10
_PLAIN_WIDTH = 160  # a log has no edge to wrap at


class Console:
  """Lines, tables and the progress of one run."""

  def __init__(self, *, quiet: bool = False, file=None):
    self._rich = RichConsole(highlight=False, quiet=quiet, file=file)
    if not self._rich.is_terminal:
      self._rich.width = _PLAIN_WIDTH
    self.started = time.monotonic()
    self._progress: Progress | None = None
    self._task = None
    self._stage = ''
    self._last_plain = 0.0
    self._numbers = ''
    # measured time of a step over its predicted time
    self._slower: deque[float] = deque(maxlen=101)

  def mute(self):
    """Says nothing from now on."""
    self._rich.quiet = True

  def say(self, text: str):
    self._rich.print(text, markup=False, soft_wrap=True)

  def stage(self, name: str, done: int, total: int | None):
    """Progress of preparing the data; a line a stage where there is no terminal."""
    if name != self._stage:
      self._stage = name
      self._last_plain = time.monotonic()
      self.say(f'data: {name} ...')
    elif time.monotonic() - self._last_plain > _PLAIN_EVERY_S:
      self._last_plain = time.monotonic()
      self.say(f'data: {name}: {done:,}' + (f' of {total:,}' if total else ''))

  def table(self, title: str, rows: dict[str, str]):
    """Names and values, aligned."""
    # a table's own title wraps at its width
    self._rich.print(Text(title, style='bold'), soft_wrap=True)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style='cyan', no_wrap=True)
    table.add_column(overflow='fold')
    for name, value in rows.items():
      table.add_row(name, value)
    self._rich.print(table)

  def begin(self, step: int, steps: int, predict: Callable[[int], float]):
    """Starts the bar; `predict` gives the seconds from a step to the
    end, which what is measured then corrects.
    """
    self._steps, self._predict = steps, predict
    if self._rich.is_terminal:
      self._progress = Progress(
        SpinnerColumn(),
        _Status(),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn('{task.fields[numbers]}'),
        console=self._rich,
        refresh_per_second=4,
      )
      self._progress.start()
      self._task = self._progress.add_task(
        'training', total=steps, completed=step, numbers='', since=time.monotonic()
      )

  def status(self, what: str):
    """Says what takes time now: compiling, evaluating, saving."""
    if self._progress is not None:
      self._progress.update(
        self._task, description=what, numbers=self._numbers, since=time.monotonic()
      )
    elif what != 'training':
      self.say(f'{what} ...')

  def stepped(
    self, step: int, seconds: float | None, overhead: float, loss: float, tokens_per_second: float
  ):
    """One more step is done, in so many seconds; `overhead` is
    the time of evaluation and saving, a step.
    """
    if seconds is not None:
      self._slower.append(seconds / (self._predict(step - 1) - self._predict(step)))
    slower = statistics.median(self._slower) if self._slower else 1.0
    eta = self._predict(step) * slower + (self._steps - step) * overhead
    numbers = self._numbers = (
      f'loss {loss:.4f}  {tokens_per_second:,.0f} tokens/s  {duration(eta)} left'
    )
    if self._progress is not None:
      self._progress.update(self._task, completed=step, numbers=numbers, description='training')
    elif time.monotonic() - self._last_plain > _PLAIN_EVERY_S or step == self._steps:
      self._last_plain = time.monotonic()
      self.say(f'step {step:,} of {self._steps:,}  {numbers}')

  def substep(self, index: int, of: int, what: str):
    """Progress within what takes long: `index`, from 1, of so many
    parts of a step or of the validation set.
    """
    if self._progress is not None:
      self._progress.update(self._task, numbers=f'{index:,} of {of:,} {what}')
    elif time.monotonic() - self._last_plain > _PLAIN_EVERY_S:
      self._last_plain = time.monotonic()
      self.say(f'{index:,} of {of:,} {what}')

  def progress(self, done: int, of: int, seconds: float):
    """So many of what the bar counts are done, in so many seconds together."""
    numbers = f'{done:,} of {of:,}  {duration(seconds / done * (of - done))} left'
    if self._progress is not None:
      self._progress.update(self._task, completed=done, numbers=numbers)
    else:
      self.say(numbers)

  def end(self):
    if self._progress is not None:
      self._progress.stop()
      self._progress = None


class _Status(ProgressColumn):
  """What is being done; anything but a step with the time it has taken so far."""

  def render(self, task) -> Text:
    if task.description == 'training':
      return Text(task.description)
    return Text(f'{task.description} {time.monotonic() - task.fields["since"]:.0f} s')


def duration(seconds: float) -> str:
  """Seconds in words: 0.12 s, 45 s, 12 min, 3.5 h, 61 days."""
  if seconds < 10:
    return f'{seconds:.2g} s'
  if seconds < 90:
    return f'{seconds:.0f} s'
  if seconds < 5_400:
    return f'{seconds / 60:.0f} min'
  if seconds < 172_800:
    return f'{seconds / 3_600:.1f} h'
  return f'{seconds / 86_400:,.0f} days'
