"""How far runs on synthetic languages are above the lowest achievable loss: python -m tools.bounds
DIR[,DIR...]

A DIR is a run of configs/synthetic.py, or the folder of a sweep of them. Writes bounds.md and
bounds.html, one page that needs no network: for each language the bounds of a causal and of a
bidirectional model by exact inference, and the loss of each run, position by position, on held-out
documents.
"""

import json

from configs.schema.check import ConfigError
from runtime import cli, storage

cli.define_weights('Folders of runs or sweeps, separated by commas.')
cli.flags.DEFINE_integer(
  'documents', 2_000, 'Held-out documents that each is measured on.', lower_bound=2
)
cli.flags.DEFINE_string(
  'out', None, 'Where to write, without the ending; DIR/bounds of the first DIR by default.'
)
cli.define_json()


def main():
  flags = cli.FLAGS
  if not flags.weights:
    raise ConfigError('a run on a synthetic language is needed: python -m tools.bounds runs/mine')
  directories = [storage.resolve_path(name, '--weights') for name in flags.weights.split(',')]
  out = storage.resolve_path(flags.out, '--out') if flags.out else directories[0] / 'bounds'
  if not storage.remote(out) and not out.absolute().parent.is_dir():
    raise ConfigError(f'--out={out}: there is no such folder.')

  from runtime.console import Console
  from tools.bounds import measure, page

  console = Console(quiet=flags.json)
  folders = measure.folders(directories)
  languages: dict[str, measure.MeasuredLanguage] = {}
  for number, folder in enumerate(folders):
    console.part('measuring', number, len(folders))
    measure.measure(folder, flags.documents, languages)
  text = page.markdown(languages, flags.documents)
  out.with_suffix('.md').write_text(text, encoding='utf-8')
  out.with_suffix('.html').write_text(page.page(languages, flags.documents), encoding='utf-8')
  if flags.json:
    print(json.dumps({name: measure.plain(measured) for name, measured in languages.items()}))
  else:
    print(text)
    print(f'written: {out.with_suffix(".md")}, {out.with_suffix(".html")}')


if __name__ == '__main__':
  cli.run(main, positional='weights')
