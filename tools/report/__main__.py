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

  from runtime import storage
  from tools.report import markdown, page, pareto, results, tables

  directory = storage.resolve_path(flags.weights, '--weights')
  sweep = results.load(directory)
  found = tables.tables(sweep)
  both = pareto.plane(sweep)
  out = storage.resolve_path(flags.out, '--out') if flags.out else directory / 'report'
  out = out.with_suffix('') if out.suffix in ('.md', '.html') else out
  if not storage.remote(out) and not out.absolute().parent.is_dir():
    raise ConfigError(f'--out={flags.out}: there is no such folder.')
  text_file, page_file = (out.with_name(out.name + ending) for ending in ('.md', '.html'))
  text = markdown.markdown(sweep, found, both, storage.link(directory, out.parent))
  text_file.write_text(text, encoding='utf-8')
  page_file.write_text(page.page(sweep, found, both, directory, out.parent), encoding='utf-8')
  if flags.json:
    print(
      json.dumps(
        dict(
          sweep=sweep.name,
          missing=sweep.missing,
          tables=[_table(one) for one in found],
          plane=both
          and dict(
            front=[run.folder for run in both.front],
            points={
              run.folder: [both.x.numbers[run.folder], both.y.numbers[run.folder]]
              for run in both.points
            },
          ),
        )
      )
    )
  else:
    print(text)
    print(f'written: {text_file}, {page_file}')


def _table(table) -> dict:
  """A table as JSON; places are [row, column]."""
  mean = lambda one: dict(mean=one.mean, half=one.half, values=one.values, seeds=one.seeds)
  return dict(
    dataclasses.asdict(table.value),
    differences=table.differences,
    silence=table.silence,
    cells=[dict(row=row, column=column, **mean(one)) for (row, column), one in table.cells.items()],
    effects=[
      dict(
        rows={name: mean(one) for name, one in part.by_row.items()},
        columns={name: mean(one) for name, one in part.by_column.items()},
        interaction=[
          dict(row=row, column=column, **mean(one)) for (row, column), one in part.by_cell.items()
        ],
        left_out=part.left_out,
        variance=[dataclasses.asdict(source) for source in part.sources],
      )
      for part in table.effects
    ],
  )


if __name__ == '__main__':
  cli.run(main, positional='weights')
