"""Which cell of the grid trains at which step, on which
rows of a batch: what `config.schedule` says.

  4 causal+clm, 16 bidirectional+mlm, 4 causal+clm     stages, in shares of the steps (AntLM)
  1 causal+clm & 7 bidirectional+mntp                  rows, in shares of every batch (GPT-BERT)
"""

import dataclasses
import re

MASKS = ('bidirectional', 'causal', 'prefix')
OBJECTIVES = ('mlm', 'mntp', 'nsp', 'sop', 'clm')
PAIRED = ('nsp', 'sop')  # objectives that ask about sentence pairs


@dataclasses.dataclass(frozen=True)
class Cell:
  """A mask, and objectives with how much each counts."""

  mask: str
  weights: tuple[tuple[str, float], ...]

  @property
  def names(self) -> tuple[str, ...]:
    return tuple(name for name, _ in self.weights)

  def __str__(self) -> str:
    return '+'.join((self.mask, *self.names))


@dataclasses.dataclass(frozen=True)
class Part:
  """A cell and its rows: `share` of every `period` rows of
  the global batch, from the `first` on.
  """

  cell: Cell
  first: int
  share: int
  period: int


@dataclasses.dataclass(frozen=True)
class Stage:
  """Steps from `first` to before `end`, all of the same parts."""

  first: int
  end: int
  parts: tuple[Part, ...]


def main_cell(config) -> Cell:
  """The cell that a run is for: `config.mask` and `config.objectives`."""
  return Cell(config.mask, tuple(sorted(config.objectives.items())))


def stages(config) -> tuple[Stage, ...]:
  """What trains when.

  Raises:
    ValueError: the schedule cannot be read; the message quotes what of it.
  """
  if not config.schedule:
    return (Stage(0, config.steps, (Part(main_cell(config), 0, 1, 1),)),)
  if ',' in config.schedule and '&' in config.schedule:
    raise ValueError("use ',' (stages) or '&' (rows of a batch), not both")
  shared = '&' in config.schedule
  entries = [_entry(text) for text in config.schedule.split('&' if shared else ',')]
  ends, total = [], 0
  for share, _ in entries:
    total += share
    ends.append(total)
  if shared and len({cell for _, cell in entries}) < len(entries):
    raise ValueError('name each cell once, with all its rows')
  if shared:
    return (
      Stage(
        0,
        config.steps,
        tuple(Part(cell, end - share, share, total) for (share, cell), end in zip(entries, ends)),
      ),
    )
  bounds = [0, *(round(config.steps * end / total) for end in ends)]
  for (share, cell), first, end in zip(entries, bounds, bounds[1:]):
    if first == end:
      raise ValueError(
        f"'{share} {cell}' has no step: {config.steps} steps are too few for {total} shares"
      )
  return tuple(
    Stage(first, end, (Part(cell, 0, 1, 1),))
    for (_, cell), first, end in zip(entries, bounds, bounds[1:])
  )


def stage_at(stages: tuple[Stage, ...], step: int) -> Stage:
  """The stage that a step belongs to."""
  return next(stage for stage in stages if stage.first <= step < stage.end)


def period(config) -> int:
  """Rows of a batch among which every cell has its share; 1 where a cell has them all."""
  return max(part.period for stage in stages(config) for part in stage.parts)


def extra_cells(config) -> tuple[Cell, ...]:
  """The cells that validation scores besides the one that the run is for."""
  return tuple(
    cell_of(text) for text in filter(None, map(str.strip, config.validation.extra_cells.split(',')))
  )


def trained(config) -> tuple[Cell, ...]:
  """Every cell that trains at some step, once each."""
  return tuple(dict.fromkeys(part.cell for stage in stages(config) for part in stage.parts))


def wanted(config) -> tuple[Cell, ...]:
  """Every cell that trains or is scored, once each."""
  return tuple(dict.fromkeys((*trained(config), main_cell(config), *extra_cells(config))))


def paired(config) -> bool:
  """Whether rows are sentence pairs and not packed documents."""
  return bool({*PAIRED} & {*config.objectives})


def check(config):
  """Raises ValueError unless every cell can train or be scored, and what is scored was trained."""
  try:
    sources, main, more, every = (
      trained(config),
      main_cell(config),
      extra_cells(config),
      wanted(config),
    )
  except ValueError as error:
    raise ValueError(
      f'config.schedule={config.schedule!r}, '
      f'config.validation.extra_cells={config.validation.extra_cells!r}: {error}.'
    ) from error
  for cell in every:
    _check_cell(cell, config.negative_control)
  if config.negative_control and not any(_sees_answers(cell) for cell in every):
    raise ValueError(
      "config.negative_control=True is for the cell that sees its answers, mask='bidirectional' "
      'with clm; this one sees none.'
    )
  if len(set(map(str, every))) < len(every):
    raise ValueError(
      f'config.objectives: {main} is also in config.schedule or config.validation.extra_cells, '
      'where each objective counts 1: give them weight 1 here, too.'
    )
  if len({bool({*PAIRED} & {*cell.names}) for cell in every}) > 1:
    raise ValueError(
      f'config.schedule={config.schedule!r}: {" and ".join(PAIRED)} need rows that are sentence '
      'pairs, for every cell or for none.'
    )
  if {*PAIRED} <= {name for cell in every for name in cell.names}:
    raise ValueError('config.objectives: nsp and sop draw different wrong pairs: name one of them.')
  if {'mlm', 'mntp'} <= {name for cell in sources for name in cell.names}:
    raise ValueError(
      f'config.schedule={config.schedule!r}: mlm and mntp read one head at different positions: '
      'name one of them.'
    )
  if config.mlm.fixed_maskings and {*PAIRED} & {name for cell in every for name in cell.names}:
    raise ValueError(
      f'config.mlm.fixed_maskings={config.mlm.fixed_maskings}: sentence pairs are drawn anew each '
      'epoch, so their masks cannot be the same; use 0, or leave nsp and sop out.'
    )
  heads = {_head(config, name) for cell in sources for name in cell.names}
  for cell in (main, *more):
    if missing := {name for name in cell.names if _head(config, name) not in heads}:
      raise ValueError(
        f'{cell} is to be scored, and nothing that trains has the head of {" or ".join(missing)}: '
        'train it at some step, or let clm and mlm share one with config.model.shared_head=True.'
      )
  if config.batch_size % period(config):
    raise ValueError(
      f'config.batch_size={config.batch_size}: config.schedule divides each batch '
      f'by {period(config)}.'
    )


def _check_cell(cell: Cell, negative_control: bool):
  if _sees_answers(cell) and not negative_control:
    raise ValueError(
      "config.mask='bidirectional' with clm: each token sees the answer it must predict. Use "
      "config.mask='causal' or 'prefix', or objectives=dict(mlm=1.0); or, to see its loss "
      'collapse, config.negative_control=True.'
    )
  if {'mlm', 'mntp'} <= {*cell.names}:
    raise ValueError(
      'config.objectives: mlm and mntp read one head at different positions: name one of them.'
    )
  if 'clm' in cell.names and len(cell.names) > 1:
    raise ValueError(
      'config.objectives: clm beside others would predict from hidden tokens: name it alone, or '
      "give it rows of its own, as in config.schedule='1 causal+clm & 7 bidirectional+mlm'."
    )
  for name in PAIRED:
    if name in cell.names and cell.mask != 'bidirectional':
      raise ValueError(
        f'config.mask={cell.mask!r} with {name}: it reads the first token, which sees only itself '
        f"or a prefix. Leave {name} out or use config.mask='bidirectional'."
      )


def _sees_answers(cell: Cell) -> bool:
  return 'clm' in cell.names and cell.mask == 'bidirectional'


def _head(config, name: str) -> str:
  shared = dict(mntp='mlm', sop='nsp') | (dict(clm='mlm') if config.model.shared_head else {})
  return shared.get(name, name)


def cell_of(text: str) -> Cell:
  """The cell of a text such as 'bidirectional+mlm'; each objective counts 1."""
  mask, *names = (word.strip() for word in text.split('+'))
  if mask not in MASKS:
    raise ValueError(f'{text!r} does not begin with a mask: {", ".join(MASKS)}')
  for name in names:
    if name not in OBJECTIVES:
      raise ValueError(f'{text!r}: {name!r} is none of {", ".join(OBJECTIVES)}')
  if not names or len(set(names)) < len(names):
    raise ValueError(f'{text!r}: name each objective once, as in {mask}+mlm')
  return Cell(mask, tuple((name, 1.0) for name in sorted(names)))


def _entry(text: str) -> tuple[int, Cell]:
  found = re.fullmatch(r'\s*(\d+)\s+(\S(?:.*\S)?)\s*', text)
  if not found or int(found[1]) < 1:
    raise ValueError(f'{text.strip()!r} is not a share and a cell, as in 4 causal+clm')
  return int(found[1]), cell_of(found[2])
