"""Lists every config: python -m tools.configs [--out=docs/configs.md]

Size, data, budget, what it is expected to reach and in what time, as its docstring says, and the
stock class of transformers that its result exports to, or why there is none.
"""

import ast
import importlib
import json
import math
from pathlib import Path
import re

from runtime import cli, storage

cli.flags.DEFINE_string('out', None, 'The Markdown file to write; the table is printed otherwise.')
cli.define_json('One JSON object instead of a table.')

ROOT = Path(__file__).resolve().parents[1]
# Folders of configs/ whose networks are another's, or none.
_OTHER_FOLDERS = ('schema', 'sweeps', 'finetune', 'embed')
_NO_CONFIG = ('__init__', 'base')
_COLUMNS = dict(
  name='config',
  parameters='parameters',
  shape='layers x width, heads',
  cell='mask + objectives',
  rows='rows a step',
  steps='steps',
  corpus='corpus',
  expected='expected',
  time='time',
  exports='exports to',
)


def names() -> list[str]:
  """The configs of configs/ with a network of their own, as NAME; in folders as FOLDER.NAME."""
  found = []
  for path in sorted((ROOT / 'configs').rglob('*.py')):
    inside = path.relative_to(ROOT / 'configs').with_suffix('')
    if inside.parts[0] not in _OTHER_FOLDERS and path.stem not in _NO_CONFIG:
      found.append('.'.join(inside.parts))
  return found


def facts(name: str) -> dict:
  """What there is to say of a config; shapes are counted, nothing is trained."""
  from configs.schema import grid
  from models.network import parameter_shapes
  from objectives.term import Vocabulary
  from training import budget, describe
  from training.experiment import build

  module = importlib.import_module(f'configs.{name}')
  config = budget.settle(module.get_config())
  experiment = build(config, Vocabulary.any_of(config.model.vocab_size))
  shapes = parameter_shapes(experiment.network)
  model = config.model
  lengths = ' then '.join(str(T) for _, T in experiment.phases)
  return dict(
    name=f'configs/{name.replace(".", "/")}.py',
    parameters=sum(math.prod(shape) for shape in shapes.values()),
    shape=f'{model.layers} x {model.width}, {model.heads}',
    cell=config.schedule or str(grid.main_cell(config)),
    rows=f'{config.batch_size} x {lengths}',
    steps=config.steps,
    corpus=config.data.corpus,
    expected=entry(name, 'Expected'),
    time=entry(name, 'Time'),
    exports=describe.stock_class(experiment),
  )


def entry(name: str, title: str) -> str:
  """An entry of a config's docstring, as `Expected:`; empty where it has none."""
  source = (ROOT / 'configs' / f'{name.replace(".", "/")}.py').read_text(encoding='utf-8')
  docstring = ast.get_docstring(ast.parse(source)) or ''
  found = re.search(rf'^{title}:\s*(.*(?:\n[ \t]+\S.*)*)', docstring, re.MULTILINE)
  return ' '.join(found[1].split()) if found else ''


def markdown(rows: list[dict]) -> str:
  """The page."""
  lines = [
    '# Configs',
    '',
    'Made by `python -m tools.configs --out=docs/configs.md`: parameters are counted, results and',
    "times are those that the config's docstring states.",
    '',
    f'| {" | ".join(_COLUMNS.values())} |',
    '|' + '---|' * len(_COLUMNS),
  ]
  for row in rows:
    lines.append(f'| {" | ".join(_cell(row[name]) for name in _COLUMNS)} |')
  return '\n'.join([*lines, '', *classes()]) + '\n'


def classes() -> list[str]:
  """A table of the stock classes that there are, by family, as interop/describe.py has them."""
  from interop.describe import CLASSES
  from interop.families import FAMILIES

  lines = [
    '## Families of published weights',
    '',
    'Read by `tools.convert`, written by `--export=hf`: a network exports to the first family in',
    'this order whose class computes the same. Heads in brackets.',
    '',
    '| model_type | mask | classes of transformers |',
    '|---|---|---|',
  ]
  for name, family in FAMILIES.items():
    known = CLASSES[name].items()
    shown = [f'{kind} ({"+".join(sorted(heads)) or "none"})' for heads, kind in known]
    lines.append(f'| {name} | {family.mask} | {", ".join(shown)} |')
  return lines


def _cell(value) -> str:
  return f'{value:,}' if isinstance(value, int) else str(value).replace('|', '\\|')


def main():
  flags = cli.FLAGS
  out = storage.output_path(flags.out, '--out') if flags.out else None
  rows = [facts(name) for name in names()]
  if flags.json:
    print(json.dumps(rows))
  elif out:
    out.write_text(markdown(rows), encoding='utf-8')
    print(f'{out}: {len(rows)} configs')
  else:
    print(markdown(rows))


if __name__ == '__main__':
  cli.run(main)
