"""Draws the floors of this code from its imports: python -m tools.architecture [--out=FILE.png]

--tour=docs/tour.md sets the line numbers of a page right that names places in the code.

A floor is a row of rooms that import nothing of each other; a room imports only from floors below.
The picture and the numbers (files, lines, arrows, circles) are read from the source: nothing is
imported, so what is drawn is what is there.
"""

import ast
import json
from pathlib import Path
import re

from configs.schema.check import ConfigError
from runtime import cli, storage

cli.flags.DEFINE_string('out', None, 'The .png to draw; without it only the numbers are printed.')
cli.flags.DEFINE_string('tour', None, 'A page whose line numbers are set right.')
cli.define_json('One JSON object instead of lines.')

ROOT = Path(__file__).resolve().parents[1]
ABOUT = dict(
  tools='programs',
  examples='complete runs',
  training='loop, step, state',
  evaluation='scores',
  interop='other formats',
  inference='use of a model',
  models='the network',
  objectives='losses',
  parallel='mesh axes',
  runtime='life of a process',
  data='text to rows',
  configs='what to run',
)
_TOP = ('train.py', 'eval.py')
_INK, _SOFT, _BOX = '#1d2733', '#8793a3', '#eef3fa'


def rooms() -> dict[str, list[Path]]:
  """The files of each room."""
  return {name: sorted((ROOT / name).rglob('*.py')) for name in ABOUT}


def arrows(found: dict[str, list[Path]]) -> set[tuple[str, str]]:
  """(room, room that it imports from), each once."""
  pairs = set()
  for room, files in found.items():
    for path in files:
      for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        pairs |= {(room, top) for top in _imported(node) if top in found and top != room}
  return pairs


def _imported(node: ast.AST) -> set[str]:
  """The top packages that an import statement names."""
  if isinstance(node, ast.Import):
    return {alias.name.partition('.')[0] for alias in node.names}
  if isinstance(node, ast.ImportFrom) and node.module:
    return {node.module.partition('.')[0]}
  return set()


def floors(pairs: set[tuple[str, str]]) -> list[list[str]]:
  """Rooms by floor, the lowest first: each stands above all that it imports.

  Raises:
    ValueError: some rooms import each other in a circle.
  """
  left, found = dict.fromkeys(ABOUT), []
  while left:
    standing = [room for room in left if not any(a == room and b in left for a, b in pairs)]
    if not standing:
      raise ValueError(f'these rooms import each other in a circle: {", ".join(left)}')
    found.append(standing)
    left = {room: None for room in left if room not in standing}
  return found


def draw(out: Path, levels: list[list[str]], pairs, found: dict[str, list[Path]]):
  """The picture: a row a floor, an arrow for each pair of neighbouring floors' rooms."""
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot

  figure, axes = pyplot.subplots(figsize=(9, 1.05 * len(levels)), layout='constrained')
  middle = {}
  for height, rooms_here in enumerate(levels):
    for place, room in enumerate(rooms_here):
      middle[room] = ((place + 0.5) / len(rooms_here) * 10, height)
  for upper, lower in sorted(pairs):
    (x, y), (to_x, to_y) = middle[upper], middle[lower]
    near = y - to_y == 1
    axes.annotate(
      '',
      (to_x, to_y + 0.27),
      (x, y - 0.27),
      arrowprops=dict(arrowstyle='->', color=_SOFT, alpha=0.9 if near else 0.18, linewidth=1.1),
    )
  for room, (x, y) in middle.items():
    lines = sum(len(path.read_text(encoding='utf-8').splitlines()) for path in found[room])
    axes.text(
      x,
      y,
      f'{room}/\n{ABOUT[room]}\n{len(found[room])} files, {lines:,} lines',
      ha='center',
      va='center',
      color=_INK,
      fontsize=9,
      linespacing=1.35,
      bbox=dict(boxstyle='round,pad=0.45', facecolor=_BOX, edgecolor=_SOFT),
    )
  axes.set(xlim=(0, 10), ylim=(-0.4, len(levels) - 0.6))
  axes.set_axis_off()
  axes.set_title('Imports point downward only; faint arrows skip a floor', color=_INK, fontsize=10)
  figure.savefig(out, dpi=130)
  pyplot.close(figure)


# A place in the code as a page names it: `training/step.py:12` `def prepare`.
PLACE = re.compile(r'`([\w/]+\.py):(\d+)`\s`((?:def|class) \w+)`')


def line_of(file: str, definition: str) -> int:
  """The line where a file has a definition, as `def prepare`, from 1.

  Raises:
    ValueError: it has none, or several.
  """
  lines = (ROOT / file).read_text(encoding='utf-8').splitlines()
  found = [number for number, line in enumerate(lines, 1) if re.match(rf'\s*{definition}\b', line)]
  if len(found) != 1:
    raise ValueError(f'{file} has {definition} {len(found)} times')
  return found[0]


def set_lines_right(page: Path):
  """Rewrites the line numbers of every place that a page names."""

  def right(place: re.Match) -> str:
    file, _, definition = place.groups()
    return place[0].replace(f':{place[2]}`', f':{line_of(file, definition)}`', 1)

  page.write_text(PLACE.sub(right, page.read_text(encoding='utf-8')), encoding='utf-8')


def main():
  flags = cli.FLAGS
  out = storage.output_path(flags.out, '--out', '.png') if flags.out else None
  if flags.tour:
    page = Path(flags.tour)
    if not page.is_file():
      raise ConfigError(f'--tour={page}: no such file.')
    set_lines_right(page)
  found = rooms()
  pairs = arrows(found)
  levels = floors(pairs)
  numbers = dict(
    files=sum(map(len, found.values())), arrows=len(pairs), circles=0, floors=levels[::-1]
  )
  if out:
    draw(out, levels, pairs, found)
  if flags.json:
    print(json.dumps(numbers))
    return
  for level in numbers['floors']:
    print('  '.join(f'{room} ({len(found[room])})' for room in level))
  print(f'{numbers["files"]} files, {len(pairs)} arrows between rooms, no circle')


if __name__ == '__main__':
  cli.run(main)
