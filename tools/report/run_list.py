"""The section of a report's page that lists every run with its certificate and its files."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from runtime import storage
from tools.report import words
from tools.report.records import FinishedRun, Sweep
from tools.report.tables import Table
from tools.report.value_section import cell_anchor

# The files of a run that the page links to, where they exist.
FILES = ('result.json', 'certificate.json', 'evaluations.json', 'metrics.jsonl', 'curves.png')


def run_section(sweep: Sweep, tables: Sequence[Table], directory: Path, out: Path) -> str:
  """All runs, grouped by cell.

  Args:
    directory: of the sweep.
    out: the folder of the page.
  """
  shared, varying = words.shared_and_varying(sweep)
  head = [
    'run',
    words.axis_names(sweep),
    'besides',
    *varying,
    *(table.value.title for table in tables),
  ]
  groups: dict[tuple[str, str], list[str]] = {}
  for run in sweep.runs:
    line = _run(sweep, run, tables, varying, directory, out)
    groups.setdefault(sweep.cell(run), []).append(line)
  bodies = []
  for row in sweep.labels('rows'):
    for column in sweep.labels('columns'):
      if lines := groups.get((row, column)):
        anchor = cell_anchor(sweep, row, column)
        bodies.append(f'<tbody id="{anchor}">{"".join(lines)}</tbody>')
  names = ''.join(f'<th>{escape(name)}</th>' for name in head)
  return (
    f'<section id="runs"><h2>Runs and their certificates</h2><p>{_origin(sweep)} Within a seed, '
    'runs that no axis of this sweep tells apart were found to agree; where they do not, this page '
    f'is refused. Equal in every run:</p><dl>{_facts(shared)}</dl><p>Different between runs, by '
    f'seed or by an axis:</p><table class="runs"><thead><tr>{names}</tr></thead>'
    f'{"".join(bodies)}</table></section>'
  )


def _origin(sweep: Sweep) -> str:
  if sweep.certified:
    return 'Each run wrote its certificate.'
  return 'Worked out from the logs of the runs, for not every run wrote a certificate.'


def _facts(shared: dict) -> str:
  """Names and values of a certificate; the whole value is in the tooltip."""
  parts = []
  for name, value in shared.items():
    whole, compact = escape(str(value)), escape(words.compact(value))
    parts.append(f'<div><dt>{escape(name)}</dt><dd title="{whole}">{compact}</dd></div>')
  return ''.join(parts)


def _run(
  sweep: Sweep,
  run: FinishedRun,
  tables: Sequence[Table],
  varying: Sequence[str],
  directory: Path,
  out: Path,
) -> str:
  """The row of a run."""
  folder = directory / run.folder

  def href(name: str) -> str:
    return quote(storage.link(folder / name, out))

  name = escape(run.folder)
  if folder.is_dir():
    name = f'<a href="{href("")}">{name}</a>'
  files = [file for file in FILES if (folder / file).is_file()]
  links = ' '.join(f'<a href="{href(file)}">{file.partition(".")[0]}</a>' for file in files)
  certificate = ''
  for value in map(run.certificate.get, varying):
    compact = escape(words.compact(value))
    certificate += f'<td title="{escape(str(value))}"><code>{compact}</code></td>'
  numbers = ''.join(f'<td>{words.number(table.value.of(run))}</td>' for table in tables)
  cell = ' · '.join(filter(None, sweep.cell(run)))
  return (
    f'<tr id="run-{escape(run.folder)}"><td>{name}<div class="files">{links}</div></td>'
    f'<td>{escape(cell)}</td><td>{escape(words.other_changes(sweep, run))}</td>'
    f'{certificate}{numbers}</tr>'
  )
