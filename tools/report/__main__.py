"""The page of a sweep: python -m tools.report DIR [--out=DIR/report]

Writes report.md and report.html, one page that needs no network: a table for each value with means
and 95% intervals over seeds, paired differences, effects of the axes and their interaction,
understanding against generation, learning curves, and every run with its certificate. Runs whose
certificates differ in what the table holds equal are refused, with what differs.
"""

import dataclasses
import json

from configs.schema.check import ConfigError
from runtime import cli

cli.define_weights('The folder of a sweep.')
cli.flags.DEFINE_string('out', None, 'Where to write, without the ending; DIR/report by default.')
cli.define_json()


def main():
  flags = cli.FLAGS
  if not flags.weights:
    raise ConfigError('the folder of a sweep is needed: python -m tools.report sweeps/mine')

  # These import jax, which `--help` should not wait for.
  from runtime import storage
  from tools.report import markdown, page, results
  from tools.report.pareto import pareto
  from tools.report.tables import tables

  directory = storage.resolve_path(flags.weights, '--weights')
  sweep = results.load(directory)
  found, front = tables(sweep), pareto(sweep)
  out = storage.resolve_path(flags.out, '--out') if flags.out else directory / 'report'
  if out.suffix in ('.md', '.html'):
    out = out.with_suffix('')
  if not storage.remote(out) and not out.absolute().parent.is_dir():
    raise ConfigError(f'--out={flags.out}: there is no such folder.')
  # Not with_suffix: a name may have a dot in it.
  text_file, page_file = (out.with_name(out.name + ending) for ending in ('.md', '.html'))
  text = markdown.markdown(sweep, found, front, storage.link(directory, out.parent))
  text_file.write_text(text, encoding='utf-8')
  page_file.write_text(page.page(sweep, found, front, directory, out.parent), encoding='utf-8')
  if flags.json:
    plane = front and _pareto_json(front)
    report = dict(sweep=sweep.name, missing=sweep.missing, tables=[*map(_table_json, found)])
    print(json.dumps(report | dict(plane=plane)))
  else:
    print(text)
    print(f'written: {text_file}, {page_file}')


def _pareto_json(pareto) -> dict:
  """{front: folders, points: {folder: [understanding, generation]}}."""
  points = {}
  for run in pareto.points:
    points[run.folder] = [pareto.x.numbers[run.folder], pareto.y.numbers[run.folder]]
  return dict(front=[run.folder for run in pareto.front], points=points)


def _table_json(table) -> dict:
  """A table; cells and what is left out are (row, column)."""
  return dict(
    dataclasses.asdict(table.value),
    differences=[one.as_json() for one in table.differences],
    silence=table.layout.why_no_anova,
    cells=_cells_json(table.cells),
    effects=[_anova_json(one) for one in table.anova],
  )


def _anova_json(anova) -> dict:
  return dict(
    rows={name: _mean_json(mean) for name, mean in anova.row_effects.items()},
    columns={name: _mean_json(mean) for name, mean in anova.column_effects.items()},
    interaction=_cells_json(anova.interactions),
    left_out=anova.left_out,
    variance=[dataclasses.asdict(source) for source in anova.sources],
  )


def _cells_json(cells) -> list[dict]:
  return [dict(row=row, column=column, **_mean_json(mean)) for (row, column), mean in cells.items()]


def _mean_json(mean) -> dict:
  return dict(mean=mean.mean, half=mean.half_width, values=mean.values, seeds=mean.seeds)


if __name__ == '__main__':
  cli.run(main, positional='weights')
