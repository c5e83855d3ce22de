"""What a person sees: what will happen, what is happening, how long it will take, and what came of it.

On a terminal a live progress bar; elsewhere (a log, CI) a plain line now and then.
"""

from collections import deque
import statistics
import time

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
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
    self._durations: deque[float] = deque(maxlen=101)

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
    table = Table(title=title, title_justify='left', title_style='bold', show_header=False, box=None,
                  padding=(0, 2, 0, 0))
    table.add_column(style='cyan', no_wrap=True)
    table.add_column(overflow='fold')
    for name, value in rows.items():
      table.add_row(name, value)
    self._rich.print(table)

  def begin(self, step: int, steps: int, predicted_step_seconds: float):
    """Starts the bar; the first ETA is the prediction, later ones are measured."""
    self._steps, self._predicted = steps, predicted_step_seconds
    if self._rich.is_terminal:
      self._progress = Progress(
          SpinnerColumn(), _Doing(), BarColumn(bar_width=None), MofNCompleteColumn(),
          TextColumn('{task.fields[numbers]}'), console=self._rich, refresh_per_second=4)
      self._progress.start()
      self._task = self._progress.add_task('training', total=steps, completed=step, numbers='',
                                           since=time.monotonic())

  def doing(self, what: str):
    """Says what takes time now: compiling, evaluating, saving."""
    if self._progress is not None:
      self._progress.update(self._task, description=what, since=time.monotonic())
    elif what != 'training':
      self.say(f'{what} ...')

  def stepped(self, step: int, seconds: float | None, overhead: float, loss: float, tokens_per_second: float):
    """One more step is done, in so many seconds; `overhead` is the time of evaluation and saving, a step."""
    if seconds is not None:
      self._durations.append(seconds)
    eta = (self._steps - step) * (self.step_seconds() + overhead)
    numbers = f'loss {loss:.4f}  {tokens_per_second:,.0f} tokens/s  {duration(eta)} left'
    if self._progress is not None:
      self._progress.update(self._task, completed=step, numbers=numbers, description='training')
    elif time.monotonic() - self._last_plain > _PLAIN_EVERY_S or step == self._steps:
      self._last_plain = time.monotonic()
      self.say(f'step {step:,} of {self._steps:,}  {numbers}')

  def micro(self, done: int, of: int):
    """Progress within a step that takes long."""
    left = f'{done} of {of} micro-batches of this step'
    if self._progress is not None:
      self._progress.update(self._task, numbers=left)
    elif time.monotonic() - self._last_plain > _PLAIN_EVERY_S:
      self._last_plain = time.monotonic()
      self.say(left)

  def step_seconds(self) -> float:
    """Median of the last hundred steps; before the first, the prediction."""
    return statistics.median(self._durations) if self._durations else self._predicted

  def end(self):
    if self._progress is not None:
      self._progress.stop()
      self._progress = None


class _Doing(ProgressColumn):
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
