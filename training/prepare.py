"""The rows that a config trains on, and what is said of them: a corpus, a task, groups of texts."""

from configs.schema import grid
from data import pipeline
from data.groups import prepared as groups
from data.groups.prepared import PreparedGroups
from data.report import format_report
from data.rows import documents
from data.tasks import prepared as tasks
from data.tasks.prepared import PreparedTask


def prepare_data(
  config, progress=pipeline.silent, tokenise=documents.tokenise
) -> pipeline.Prepared | PreparedTask | PreparedGroups:
  """The rows that a config trains on; `tokenise` as in `pipeline.prepare`."""
  if config.data.groups:
    return groups.prepare(
      config.data,
      vocab_size=config.model.vocab_size,
      labels=grid.group_labels(config),
      causal=config.mask == 'causal',
      width=config.model.projection or config.model.width,
      progress=progress,
    )
  if config.data.task:
    return tasks.prepare(config.data, vocab_size=config.model.vocab_size, progress=progress)
  lengths = {T for _, T in grid.phases(config)} | {config.data.sequence_length}
  return pipeline.prepare(
    config.data,
    vocab_size=config.model.vocab_size,
    progress=progress,
    tokenise=tokenise,
    pairs=grid.wrong_pairs(config),
    sequence_lengths=tuple(lengths),
  )


def report_lines(prepared) -> str:
  """What the rows of an experiment hold, as aligned lines for a console."""
  if isinstance(prepared, PreparedGroups):
    return groups.format_report(prepared.report)
  if isinstance(prepared, PreparedTask):
    return tasks.format_report(prepared.report)
  return format_report(prepared.report)
