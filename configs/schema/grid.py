"""Which cell of the grid trains at which step, on which
rows of a batch: what `config.schedule` says.

  4 causal+clm, 16 bidirectional+mlm, 4 causal+clm     stages, in shares of the steps (AntLM)
  1 causal+clm & 7 bidirectional+mntp                  rows, in shares of every batch (GPT-BERT)
"""

import dataclasses
import difflib
import re

from configs.schema import names

PAIRS = ('segment_pairs', 'sentence_pairs')  # values of config.data.rows


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
class BatchShare:
  """A cell and its rows: `share` of every `period` rows of
  the global batch, from the `first` on.
  """

  cell: Cell
  first: int
  share: int
  period: int


@dataclasses.dataclass(frozen=True)
class Stage:
  """Steps from `first` to before `end`, all of the same shares."""

  first: int
  end: int
  shares: tuple[BatchShare, ...]


def main_cell(config) -> Cell:
  """The cell that a run is for: `config.mask` and `config.objectives`."""
  return Cell(config.mask, tuple(sorted(config.objectives.items())))


def stages(config) -> tuple[Stage, ...]:
  """What trains when.

  Raises:
    ValueError: the schedule cannot be read; the message quotes what of it.
  """
  if not config.schedule:
    return (Stage(0, config.steps, (BatchShare(main_cell(config), 0, 1, 1),)),)
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
        tuple(
          BatchShare(cell, end - share, share, total) for (share, cell), end in zip(entries, ends)
        ),
      ),
    )
  bounds = [0, *(round(config.steps * end / total) for end in ends)]
  for (share, cell), first, end in zip(entries, bounds, bounds[1:]):
    if first == end:
      raise ValueError(
        f"'{share} {cell}' has no step: {config.steps} steps are too few for {total} shares"
      )
  return tuple(
    Stage(first, end, (BatchShare(cell, 0, 1, 1),))
    for (_, cell), first, end in zip(entries, bounds, bounds[1:])
  )


def stage_at(stages: tuple[Stage, ...], step: int) -> Stage:
  """The stage that a step belongs to."""
  return next(stage for stage in stages if stage.first <= step < stage.end)


def period(config) -> int:
  """Rows of a batch among which every cell has its share; 1 where a cell has them all."""
  return max(share.period for stage in stages(config) for share in stage.shares)


def extra_cells(config) -> tuple[Cell, ...]:
  """The cells that validation scores besides the one that the run is for."""
  return tuple(
    cell_of(text) for text in filter(None, map(str.strip, config.validation.extra_cells.split(',')))
  )


def trained(config) -> tuple[Cell, ...]:
  """Every cell that trains at some step, once each."""
  return tuple(dict.fromkeys(share.cell for stage in stages(config) for share in stage.shares))


def wanted(config) -> tuple[Cell, ...]:
  """Every cell that trains or is scored, once each."""
  return tuple(dict.fromkeys((*trained(config), main_cell(config), *extra_cells(config))))


def answers_seen(cell: Cell) -> list[str]:
  """The objectives of a cell whose answers its mask shows: a negative control."""
  facts = names.objectives()
  return [name for name in cell.names if cell.mask in facts[name].ANSWERS_SEEN]


def paired(config) -> bool:
  """Whether rows are sentence pairs and not packed documents."""
  return wrong_pairs(config) is not None


def wrong_pairs(config) -> str | None:
  """How half of the sentence pairs are wrong: random or swapped; None: rows are no pairs.

  Pairs that no objective asks about are BERT's: half of them are random.
  """
  kinds = {names.objectives()[name].WRONG_PAIRS for cell in wanted(config) for name in cell.names}
  asked = 'random' if config.data.rows in PAIRS else None
  return next(iter(sorted(kinds - {None})), asked)


def labelled(config) -> list[str]:
  """The objectives of a config that read the labels of a task."""
  facts = names.objectives()
  every = {name for cell in wanted(config) for name in cell.names}
  return sorted(name for name in every if facts[name].ROWS == 'labelled')


def grouped(config) -> list[str]:
  """The objectives of a config that read groups of texts."""
  facts = names.objectives()
  every = {name for cell in wanted(config) for name in cell.names}
  return sorted(name for name in every if facts[name].ROWS == 'text_groups')


def group_labels(config) -> str:
  """What those read of a group beside its texts: score, scores, class, or nothing."""
  facts = names.objectives()
  return next((facts[name].LABELS for name in grouped(config) if facts[name].LABELS), '')


def phases(config) -> tuple[tuple[int, int], ...]:
  """(first step, T) of each phase: BERT trains at a short length before the full one."""
  switch = round(config.data.short_share * config.steps) if config.data.short_length else 0
  full = (switch, config.data.sequence_length)
  return ((0, config.data.short_length), full) if switch else (full,)


def cell_of(text: str) -> Cell:
  """The cell of a text such as 'bidirectional+mlm'; each objective counts 1."""
  mask, *objectives = (word.strip() for word in text.split('+'))
  if mask not in names.masks():
    close = difflib.get_close_matches(mask, names.masks(), 1)
    hint = f'; did you mean {close[0]}?' if close else ''
    raise ValueError(f'{text!r} does not begin with a mask: {", ".join(names.masks())}{hint}')
  for name in objectives:
    if name not in names.pretraining():
      raise ValueError(f'{text!r}: {name!r} is none of {", ".join(names.pretraining())}')
  if not objectives or len(set(objectives)) < len(objectives):
    raise ValueError(f'{text!r}: name each objective once, as in {mask}+mlm')
  return Cell(mask, tuple((name, 1.0) for name in sorted(objectives)))


def _entry(text: str) -> tuple[int, Cell]:
  found = re.fullmatch(r'\s*(\d+)\s+(\S(?:.*\S)?)\s*', text)
  if not found or int(found[1]) < 1:
    raise ValueError(f'{text.strip()!r} is not a share and a cell, as in 4 causal+clm')
  return int(found[1]), cell_of(found[2])
