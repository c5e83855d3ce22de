"""A sweep's report as Markdown and as one self-contained page."""

import html
import io

from matplotlib.figure import Figure
import numpy as np

from tools.reporting import Finished, Mean, Sweep, axis, label
from tools.sweeping import short

_COLOURS = ('#2f5fd0', '#d9622b', '#2a9d8f', '#8a5aa8', '#b8860b', '#c81e4a', '#5f6b7a')
_STYLE = '''
:root { color-scheme: light dark; --ink: #1f2430; --soft: #5f6672; --line: #d9dde3; --paper: #fff; --best: #e8f0ff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaee; --soft: #a2a9b5; --line: #3a4150; --paper: #161a22; --best: #22325a; } }
body { font: 17px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 3rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.9rem; margin: 0 0 .4rem; } h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; }
p, figcaption { color: var(--soft); max-width: 46rem; white-space: pre-line; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .38rem .9rem .38rem 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; } td.best { background: var(--best); padding-left: .5rem; font-weight: 600; }
figure { margin: 0; background: #fff; border-radius: 8px; padding: .6rem; } figcaption { color: #5f6672; }
svg { width: 100%; height: auto; } code { font-size: .85em; color: var(--soft); }
'''


def markdown(sweep: Sweep, rows: list[str], columns: list[str], cells: dict[tuple[str, str], Mean],
             compared: list[dict]) -> str:
  """The same facts as the page, without its curves."""
  lines = [f'# {sweep.name}', '', sweep.about, '', f'{_value(sweep)}, lower is better; {_seeds(sweep)}.', '']
  lines += _table([', '.join(axis(sweep, 'rows')), *columns], [
      [row, *(str(cells[row, column]) if (row, column) in cells else '' for column in columns)] for row in rows])
  if compared:
    lines += ['', '## Differences within a column, paired by seed', '']
    lines += _table(['column', 'rows', 'difference', 'p'], [_difference(one) for one in compared])
  lines += ['', '## Runs', '']
  lines += _table(['run', 'changes', 'value', *_certificate(sweep.runs)], [_run(sweep, run) for run in sweep.runs])
  if sweep.missing:
    lines += ['', f'Not finished, so not in any number above: {", ".join(sweep.missing)}.']
  return '\n'.join(lines) + '\n'


def page(sweep: Sweep, rows: list[str], columns: list[str], cells: dict[tuple[str, str], Mean],
         compared: list[dict]) -> str:
  """One HTML page without network; the best row of each column is marked."""
  there = {column: [row for row in rows if (row, column) in cells] for column in columns}
  best = {column: min(rivals, key=lambda row, column=column: cells[row, column].mean)
          for column, rivals in there.items() if len(rivals) > 1}
  body = [[row, *((str(cells[row, column]) if (row, column) in cells else '–') for column in columns)] for row in rows]
  marks = {(index, place + 1) for index, row in enumerate(rows) for place, column in enumerate(columns)
           if best.get(column) == row}
  parts = [f'<h1>{html.escape(sweep.name)}</h1><p>{html.escape(sweep.about)}</p>',
           f'<h2>{_value(sweep)}</h2><p>Lower is better, the best of a column is marked; {_seeds(sweep)}. Columns are '
           'different questions: compare down.</p>', _html([', '.join(axis(sweep, 'rows')), *columns], body, marks)]
  parts.append(f'<h2>Learning curves</h2><figure>{_curves(sweep, rows, columns)}'
               '<figcaption>Validation loss over training tokens; a line is a run.</figcaption></figure>')
  if compared:
    parts.append('<h2>Differences within a column</h2><p>Paired by seed: the same rows in the same order. 95% '
                 'intervals and p by a paired t-test, not corrected for the number of comparisons.</p>')
    parts.append(_html(['column', 'rows', 'difference', 'p'], [_difference(one) for one in compared]))
  parts.append('<h2>Runs and their certificates</h2><p>What this table holds equal was found equal within each seed: '
               'data, validation set, rows and their order, initial parameters.</p>')
  parts.append(_html(['run', 'changes', 'value', *_certificate(sweep.runs)], [_run(sweep, run) for run in sweep.runs]))
  if sweep.missing:
    parts.append(f'<p>Not finished, so in no number above: {html.escape(", ".join(sweep.missing))}.</p>')
  return (f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
          f'<title>{html.escape(sweep.name)}</title><style>{_STYLE}</style>' + '\n'.join(parts) + '</html>\n')


def _curves(sweep: Sweep, rows: list[str], columns: list[str]) -> str:
  figure = Figure(figsize=(4.4 * len(columns), 3.6), layout='constrained')
  panels = figure.subplots(1, len(columns), squeeze=False)[0]
  for column, axes in zip(columns, panels):
    for run in sweep.runs:
      if label(sweep, run, 'columns') == column:
        row = label(sweep, run, 'rows')
        tokens, losses = np.array(run.curve).T
        axes.plot(tokens / 1e6, losses, color=_COLOURS[rows.index(row) % len(_COLOURS)], linewidth=1.4, alpha=0.8,
                  label=row, marker='o', markersize=3)
    axes.set_title(column, loc='left', fontweight='bold')
    axes.set_xlabel('million tokens')
    axes.grid(color='#e9e9e9')
    axes.spines[['top', 'right']].set_visible(False)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels())))
    axes.legend(handles.values(), handles.keys(), frameon=False)
  panels[0].set_ylabel('validation loss, nats')
  file = io.StringIO()
  figure.savefig(file, format='svg')
  return file.getvalue()[file.getvalue().index('<svg'):]


def _value(sweep: Sweep) -> str:
  value = sweep.table['value']
  return 'Validation loss, nats a prediction' if value == 'loss' else value


def _seeds(sweep: Sweep) -> str:
  seeds = len({run.seed for run in sweep.runs})
  return f'mean of {seeds} seeds ± half of the 95% interval' if seeds > 1 else 'one seed'


def _certificate(runs: list[Finished]) -> list[str]:
  return list(runs[0].certificate)


def _run(sweep: Sweep, run: Finished) -> list[str]:
  changes = ' '.join(f'{name}={short(value)}' for name, value in run.changes.items() if name in sweep.axes)
  return [run.folder, changes, f'{run.validation[sweep.table["value"]]:.4f}',
          *(str(value)[:12] for value in run.certificate.values())]


def _difference(one: dict) -> list[str]:
  return [one['column'], ' − '.join(one['rows']), f'{one["difference"]:+.4f} ± {one["half"]:.4f}', f'{one["p"]:.3g}']


def _table(head: list[str], body: list[list[str]]) -> list[str]:
  row = lambda cells: '| ' + ' | '.join(cells) + ' |'
  return [row(head), row(['---'] * len(head)), *(row(cells) for cells in body)]


def _html(head: list[str], body: list[list[str]], marks: set[tuple[int, int]] = frozenset()) -> str:
  cell = lambda text, marked: f'<td{" class=best" if marked else ""}>{html.escape(text)}</td>'
  lines = [''.join(cell(text, (y, x) in marks) for x, text in enumerate(row)) for y, row in enumerate(body)]
  return ('<table><tr>' + ''.join(f'<th>{html.escape(name)}</th>' for name in head) + '</tr>'
          + ''.join(f'<tr>{line}</tr>' for line in lines) + '</table>')
