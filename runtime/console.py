"""What a run prints: tables, lines, and progress with the time left.

On a terminal, progress is a live bar; elsewhere (a log, CI) it is a plain line every ten seconds.
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
# A pace is measured over the last minute, and over so many calls: several may come at once.
_PACE_S, _PACE_CALLS = 60, 64
_PLAIN_WIDTH = 160  # a log has no edge to wrap at


class Console:
  """Lines, tables and the progress bar of one run.

  Args:
    quiet: print nothing.
    file: to print to instead of standard output.

  Attributes:
    started: `time.monotonic` when it was made.
  """

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
    # measured over predicted seconds of the last steps
    self._slowdowns: deque[float] = deque(maxlen=101)
    # (when, how much was done) of what `counted` or `part` counts
    self._marks: deque[tuple[float, float]] = deque()

  def mute(self):
    """Prints nothing from now on."""
    self._rich.quiet = True

  def say(self, text: str):
    """Prints a line, above the bar if there is one; nothing in it is markup."""
    self._rich.print(text, markup=False, soft_wrap=True)

  def stage(self, name: str, done: int, total: int | None):
    """Progress of preparing the data (`data.stages.Progress`), as lines on a terminal as well."""
    self.part(f'data: {name}', done, total)

  def part(self, name: str, done: int, total: int | None, share: float | None = None):
    """Progress of a part of a program, as lines on a terminal as well.

    Args:
      share: of the work that is done, where things differ in size: the time left is said too, as
        `counted` knows it.
    """
    if name != self._stage:
      self._stage = name
      self._last_plain = time.monotonic()
      self._marks.clear()
      self.say(f'{name} ...')
    pace = None if share is None else self._pace(share)
    if self._line_is_due():
      left = '' if pace is None else f', {duration(pace * (1 - share))} left'
      self.say(f'{name}: {done:,}' + (f' of {total:,}' if total else '') + left)

  def _line_is_due(self) -> bool:
    """Whether the last plain line is long enough ago; if so, the next one is expected now."""
    due = time.monotonic() - self._last_plain > _PLAIN_EVERY_S
    if due:
      self._last_plain = time.monotonic()
    return due

  def table(self, title: str, rows: dict[str, str]):
    """Prints names and values, aligned under a title."""
    # a table's own title wraps at its width
    self._rich.print(Text(title, style='bold'), soft_wrap=True)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style='cyan', no_wrap=True)
    table.add_column(overflow='fold')
    for name, value in rows.items():
      table.add_row(Text(name), Text(value))  # not as strings: [b] in them is no markup
    self._rich.print(table)

  def begin(self, step: int, steps: int, predict: Callable[[int], float] | None = None):
    """Starts the bar of the training, or of what `counted` counts.

    Args:
      step: steps that are done.
      steps: of the whole run.
      predict: seconds from a step to the end; the time left is this, corrected by what is measured.
    """
    self._steps, self._predict = steps, predict
    self._marks.clear()
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
    """Shows what takes time now: compiling, evaluating, saving."""
    if self._progress is not None:
      self._progress.update(
        self._task, description=what, numbers=self._numbers, since=time.monotonic()
      )
    elif what != 'training':
      self.say(f'{what} ...')

  def stepped(
    self, step: int, seconds: float | None, aside: float, loss: float, tokens_per_second: float
  ):
    """Shows that one more step is done.

    Args:
      step: steps that are done.
      seconds: of this step; None where it waited for the compiler, so that its speed is not shown.
      aside: seconds that evaluating and saving will take until the end.
    """
    if seconds is not None:
      predicted = self._predict(step - 1) - self._predict(step)
      self._slowdowns.append(seconds / predicted)
    slowdown = statistics.median(self._slowdowns) if self._slowdowns else 1.0
    left = f'{duration(self._predict(step) * slowdown + aside)} left'
    speed = f'{tokens_per_second:,.0f} tokens/s  ' if seconds is not None else ''
    about = '' if self._slowdowns else 'perhaps '
    self._show(step, f'loss {loss:.4f}  {speed}{about}{left}')

  def counted(self, done: int, text: str = '', tokens: float = 0.0):
    """Shows that `done` are done. Speed and time left are those of the last minute, by this clock.

    The first call after `begin` only starts the clock: what came before may have been compiling.

    Args:
      text: shown before the numbers.
      tokens: of each; their speed is shown if there are any.
    """
    pace = self._pace(done)
    numbers = [text]
    if pace is not None:
      numbers += [f'{tokens / pace:,.0f} tokens/s'] if tokens else []
      numbers += [f'{duration(pace * (self._steps - done))} left']
    self._show(done, '  '.join(filter(None, numbers)))

  def _pace(self, done: float) -> float | None:
    """Seconds for each of what is done, over the last minute; None at the first call."""
    now = time.monotonic()
    self._marks.append((now, done))
    while len(self._marks) > _PACE_CALLS and now - self._marks[1][0] >= _PACE_S:
      self._marks.popleft()
    then, before = self._marks[0]
    return (now - then) / (done - before) if done > before and now > then else None

  def _show(self, step: int, numbers: str):
    self._numbers = numbers
    if self._progress is not None:
      self._progress.update(self._task, completed=step, numbers=numbers, description='training')
    elif self._line_is_due() or step == self._steps:
      self._last_plain = time.monotonic()
      self.say(f'step {step:,} of {self._steps:,}  {numbers}'.rstrip())

  def substep(self, index: int, of: int, what: str):
    """Shows progress within a step or an evaluation: part `index`, from 1, of so many."""
    if self._progress is not None:
      self._progress.update(self._task, numbers=f'{index:,} of {of:,} {what}')
    elif self._line_is_due():
      self.say(f'{index:,} of {of:,} {what}')

  def end(self):
    """Takes the bar away."""
    if self._progress is not None:
      self._progress.stop()
      self._progress = None


class _Status(ProgressColumn):
  """The column that says what is being done: training, or another activity and its seconds."""

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
