"""Whether every cell of a config can train or be scored, by what its objectives say of it."""

from collections.abc import Collection, Iterator

from configs.schema import names
from configs.schema.grid import (
  PAIRS,
  Cell,
  answers_seen,
  extra_cells,
  grouped,
  labelled,
  main_cell,
  period,
  trained,
  wanted,
)
from configs.schema.ranges import LARGEST


def check(config):
  """Raises ValueError, with the first rule that is broken, unless all cells make sense."""
  try:
    every = wanted(config)
  except ValueError as error:
    raise ValueError(
      f'config.schedule={config.schedule!r}, '
      f'config.validation.extra_cells={config.validation.extra_cells!r}: {error}.'
    ) from error
  for problem in _problems(config, every):
    raise ValueError(problem)


def _problems(config, every: tuple[Cell, ...]) -> Iterator[str]:
  """What is wrong, one rule after the other."""
  for cell in every:
    yield from _problems_of_cell(cell, config.negative_control)
  if config.negative_control and not any(map(answers_seen, every)):
    yield (
      "config.negative_control=True is for a cell that sees its answers, as mask='bidirectional' "
      'with clm; this one sees none.'
    )
  if len(set(map(str, every))) < len(every):
    yield (
      f'config.objectives: {main_cell(config)} is also in config.schedule or '
      'config.validation.extra_cells, where each objective counts 1: give them weight 1 here, too.'
    )
  yield from _problems_of_teacher(config, every)
  yield from _problems_of_groups(config, every)
  yield from _problems_of_task(config, every)
  yield from _problems_of_rows(config, every)
  yield from _problems_of_heads(config)
  if config.batch_size % period(config):
    yield (
      f'config.batch_size={config.batch_size}: config.schedule divides each batch '
      f'by {period(config)}.'
    )


def _problems_of_cell(cell: Cell, negative_control: bool) -> Iterator[str]:
  facts = names.objectives()
  for name in answers_seen(cell):
    if not negative_control:
      others = [mask for mask in names.masks() if mask not in facts[name].ANSWERS_SEEN]
      yield (
        f'config.mask={cell.mask!r} with {name}: each token sees the answer it must predict. Use '
        f'config.mask={" or ".join(map(repr, others))}, or objectives=dict(mlm=1.0); or, to see '
        'its loss collapse, config.negative_control=True.'
      )
  yield from _problems_of_shared_head('config.objectives', cell.names)
  for name in cell.names:
    # what reads labels masks no token, and what reads a teacher masks none of its own
    own = [one for one in cell.names if one not in names.taught(cell.names)]
    others = [one for one in own if facts[one].ROWS != 'labelled']
    if facts[name].ALONE and len(others) > 1:
      yield (
        f'config.objectives: {name} beside others would predict from masked tokens: name it alone, '
        'or give it rows of its own, as in config.schedule='
        f"'1 {cell.mask}+{name} & 7 bidirectional+mlm'."
      )
    if cell.mask in facts[name].BLIND:
      yield (
        f'config.mask={cell.mask!r} with {name}: it reads the first token, which sees only itself '
        f"or a prefix. Leave {name} out or use config.mask='bidirectional'."
      )


def _problems_of_teacher(config, every: tuple[Cell, ...]) -> Iterator[str]:
  facts, teacher = names.objectives(), config.distill.teacher
  for cell in every:
    for name in cell.names:
      beside = facts[name].BESIDE
      if beside and not {*beside} & {*cell.names}:
        yield (
          f'config.objectives: {name} stands beside {" or ".join(beside)}, which says what is '
          f'predicted, and {cell} has none of them. One that only does that counts 0, as in '
          f'objectives=dict({name}=1.0, {beside[0]}=0.0).'
        )
  taught = sorted({name for cell in every for name in names.taught(cell.names)})
  where = f'config.objectives: {" and ".join(taught)}'
  if taught and not teacher:
    yield (
      f'{where} {_verb("learn", taught)} from a teacher: name it, as in '
      '--config.distill.teacher=runs/teacher.'
    )
  if teacher and not taught:
    known = names.taught(facts)
    yield (
      f'config.distill.teacher={teacher!r}: no objective learns from it; use one of '
      f'{", ".join(known)} beside mlm, mntp or clm.'
    )
  if taught and (config.data.task or config.data.groups):
    yield f'{where} {_verb("read", taught)} a corpus: leave config.data.task and data.groups empty.'


def _problems_of_task(config, every: tuple[Cell, ...]) -> Iterator[str]:
  read, task = labelled(config), config.data.task
  if read and not task:
    yield (
      f'config.objectives: {" and ".join(read)} {_verb("need", read)} labelled texts: name them, '
      'as in --config.data.task=csv:PATH.'
    )
  if task and not read:
    known = [name for name, fact in names.objectives().items() if fact.ROWS == 'labelled']
    yield (
      f'config.data.task={task!r} has labels that no objective reads: use one of '
      f'{", ".join(known)}, as configs/finetune/ do.'
    )
  if len(read) > 1:
    yield f'config.objectives: {" and ".join(read)} read different labels: name one of them.'
  tuned = task or config.data.groups
  if config.mask == 'same' and not (tuned and config.init_from):
    masks = ', '.join(names.masks())
    yield (
      "--config.init_from=DIR is missing, the model to begin with: config.mask='same' is its mask. "
      f'To begin with random parameters, name a mask, of {masks}, as in --config.mask=causal.'
      if tuned
      else f"config.mask='same' is for fine-tuning; to pre-train, choose one of {masks}."
    )
  if read and len(every) > 1:
    yield 'config.schedule and config.validation.extra_cells: a labelled task has one cell.'
  if read and (config.data.short_length or config.mlm.fixed_maskings):
    yield (
      'config.data.short_length and config.mlm.fixed_maskings are for a corpus: with '
      'config.data.task both are 0.'
    )
  seeds = config.finetune.seeds
  if seeds > 1 and not task:
    yield (
      f'config.finetune.seeds={seeds} is for labelled tasks: name one, as in '
      '--config.data.task=csv:PATH. Runs on a corpus are repeated by a sweep (tools.sweep).'
    )
  if config.seed + seeds - 1 > LARGEST:
    yield f'config.seed={config.seed}: the last of {seeds} seeds would be above {LARGEST}.'


def _verb(plural: str, subjects: Collection[str]) -> str:
  return plural if len(subjects) > 1 else f'{plural}s'


def _problems_of_groups(config, every: tuple[Cell, ...]) -> Iterator[str]:
  read, groups, facts = grouped(config), config.data.groups, names.objectives()
  if read and not groups:
    yield (
      f'config.objectives: {" and ".join(read)} {_verb("read", read)} groups of texts: name their '
      'file, as in --config.data.groups=pairs.jsonl.'
    )
  if groups and not read:
    known = [name for name, fact in facts.items() if fact.ROWS == 'text_groups']
    yield (
      f'config.data.groups={groups!r}: no objective reads groups of texts; use one of '
      f'{", ".join(known)}, as configs/embed/ do.'
    )
  for name in ('query_prompt', 'document_prompt'):
    if config.data[name] and not groups:
      yield f'config.data.{name}={config.data[name]!r} stands before texts of config.data.groups.'
  if groups and config.data.task:
    yield 'config.data.groups and config.data.task: rows are of one of them.'
  wanted_labels = {facts[name].LABELS for name in read} - {''}
  if len(wanted_labels) > 1:
    yield (
      f'config.objectives: {" and ".join(read)} read different labels of a group '
      f'({" and ".join(sorted(wanted_labels))}): name one of them.'
    )
  if read and len(every) > 1:
    yield 'config.schedule and config.validation.extra_cells: groups of texts have one cell.'
  if 'nli' in read and config.model.projection:
    yield 'config.model.projection with nli: its classifier reads the pooled vectors; use 0.'
  if read and config.model.pooling == 'first' and any(cell.mask == 'causal' for cell in every):
    yield (
      "config.model.pooling='first' with a causal mask: the first token sees nothing of its text; "
      "use 'last' or 'mean'."
    )


def _problems_of_rows(config, every: tuple[Cell, ...]) -> Iterator[str]:
  facts = names.objectives()
  wrong = {name: facts[name].WRONG_PAIRS for cell in every for name in cell.names}
  paired = sorted(name for name, kind in wrong.items() if kind)
  if paired and config.data.task:
    yield (
      f'config.objectives: {" and ".join(paired)} draw sentence pairs from a corpus, and '
      'config.data.task has none.'
    )
  if len({bool({*paired} & {*cell.names}) for cell in every}) > 1:
    yield (
      f'config.schedule={config.schedule!r}: {" and ".join(paired)} need rows that are sentence '
      'pairs, for every cell or for none.'
    )
  if len({wrong[name] for name in paired}) > 1:
    yield (
      f'config.objectives: {" and ".join(paired)} draw different wrong pairs: name one of them.'
    )
  rows = config.data.rows
  if paired and rows not in ('auto', *PAIRS):
    yield (
      f'config.data.rows={rows!r}: {" and ".join(paired)} {_verb("need", paired)} sentence pairs; '
      f'use {", ".join(PAIRS)} or auto.'
    )
  if rows != 'auto' and config.data.split == 'tail':
    yield f"config.data.rows={rows!r} with config.data.split='tail', one text without sentences."
  if rows != 'auto' and (config.data.task or config.data.groups):
    yield f'config.data.rows={rows!r} is for a corpus: with labelled texts or groups it is auto.'
  if config.mlm.fixed_maskings and (paired or rows in PAIRS):
    asking = f'leave {" and ".join(paired)} out' if paired else 'use other config.data.rows'
    yield (
      f'config.mlm.fixed_maskings={config.mlm.fixed_maskings}: sentence pairs are drawn anew each '
      f'epoch, so their masks cannot be the same; use 0, or {asking}.'
    )


def _problems_of_heads(config) -> Iterator[str]:
  sources = trained(config)
  everything = dict.fromkeys(name for cell in sources for name in cell.names)
  yield from _problems_of_shared_head(f'config.schedule={config.schedule!r}', everything)
  heads = {head for name in everything for head in _heads(config, name)}
  for cell in (main_cell(config), *extra_cells(config)):
    missing = [name for name in cell.names if not heads.issuperset(_heads(config, name))]
    if missing:
      yield (
        f'{cell} is to be scored, and nothing that trains has the head of {" or ".join(missing)}: '
        'train it at some step, or let clm and mlm share one with config.model.shared_head=True.'
      )


def _problems_of_shared_head(where: str, objectives) -> Iterator[str]:
  """Two objectives that read packed rows with one head ask for different positions of it."""
  facts = names.objectives()
  by_heads: dict[tuple[str, ...], list[str]] = {}
  for name in sorted(objectives):
    if facts[name].ROWS == 'packed' and not facts[name].TEACHER:
      by_heads.setdefault(facts[name].HEADS, []).append(name)
  for same in by_heads.values():
    if len(same) > 1:
      yield f'{where}: {" and ".join(same)} read one head at different positions: name one of them.'


def _heads(config, name: str) -> set[str]:
  shared = dict(clm='mlm') if config.model.shared_head else {}
  return {shared.get(head, head) for head in names.objectives()[name].HEADS}
