"""The page of a sweep: python -m tools.report DIR [--out=DIR/report]

Writes report.md and report.html, one page that needs no network: the table with means and 95% intervals over seeds,
paired differences, learning curves, and every run with its certificate. Runs whose certificates differ in what the
table holds equal are refused, with what differs.
"""

import json
from pathlib import Path

from configs import cli
from configs.check import ConfigError

cli.flags.DEFINE_string('sweep', None, 'The folder of a sweep.')
cli.flags.DEFINE_string('out', None, 'Where to write, without the ending; DIR/report by default.')
cli.flags.DEFINE_bool('json', False, 'One JSON object instead of the table.')


def main():
  flags = cli.FLAGS
  if not flags.sweep:
    raise ConfigError('the folder of a sweep is needed: python -m tools.report sweeps/mine')

  from tools import report_page, reporting

  directory = Path(flags.sweep).expanduser()
  sweep = reporting.load(directory)
  rows, columns, cells = reporting.pivot(sweep)
  compared = reporting.differences(rows, columns, cells)
  out = Path(flags.out).expanduser() if flags.out else directory / 'report'
  if not out.absolute().parent.is_dir():
    raise ConfigError(f'--out={flags.out}: there is no such folder.')
  text = report_page.markdown(sweep, rows, columns, cells, compared)
  out.with_suffix('.md').write_text(text, encoding='utf-8')
  out.with_suffix('.html').write_text(report_page.page(sweep, rows, columns, cells, compared), encoding='utf-8')
  if flags.json:
    print(json.dumps(dict(
        sweep=sweep.name, missing=sweep.missing, differences=compared,
        cells=[dict(row=row, column=column, mean=mean.mean, half=mean.half, values=mean.values)
               for (row, column), mean in cells.items()])))
  else:
    print(text)
    print(f'written: {out.with_suffix(".md")}, {out.with_suffix(".html")}')


if __name__ == '__main__':
  cli.run(main, positional='sweep')
