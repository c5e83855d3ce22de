"""Results of tools.bench for people: lines of a terminal, the table of docs/benchmarks.md."""

import json
from pathlib import Path

from tools.bench.cases import CASES
from tools.bench.figure import draw

# The table of the page stands between these lines.
_BEGIN, _END = '<!-- drawn by tools.bench from benchmarks.json -->', '<!-- end -->'
_HEAD = (
  'case',
  'ours',
  'peer',
  'ratio',
  'of matmul peak',
  'peak memory, both',
  'compiling',
  'targets',
  'commit',
)
# What a target is of: a key of a result, in words.
NAMES = dict(
  ratio='ratio',
  ours='ours',
  flops_fraction_of_peak='share of matmul peak',
  memory_ratio='memory ratio',
)


def rows_of(case: dict) -> dict[str, str]:
  """A result as lines of a terminal: {name: text}."""
  rows = dict(ours=_side(case, 'ours'))
  if case['peer'] is not None:
    rows |= {case['peer_is']: _side(case, 'peer'), 'ratio': f'{case["ratio"]:.2f}'}
  shares = []
  for kind, unit in (('flops', 'GFLOP/s'), ('bytes', 'GB/s read')):
    share, peak = case[f'{kind}_fraction_of_peak'], case[f'peak_{kind}']
    if share is not None:
      shares.append(f'{share:.1%} of {peak / 1e9:,.0f} {unit}')
  if shares:
    rows['of the machine'] = ', '.join(shares)
  if case['compile_seconds'] is not None:
    rows['compile seconds'] = _compile_seconds(case)
  for target in case['targets']:
    rows[f'target {NAMES[target["of"]]}'] = _verdict(target)
  return rows


def _side(case: dict, side: str) -> str:
  """A side's number with its spread, its memory, and the ways that it tried."""
  details = case[f'{side}_details']
  text = f'{_spread(case, side)}, '
  if details['tokens_per_second'] and details.get('useful_share', 1) < 1:
    rate = _amount(details['tokens_per_second'])
    text += f'{details["useful_share"]:.1%} of {rate} tokens/s, '
  text += f'peak {details["memory_bytes"] / 2**30:.2f} GiB'
  if 'way' in details:
    ways = ', '.join(f'{way} {seconds:.2f} s' for way, seconds in details['ways'].items())
    text += f', {details["way"]} of {ways}'
    text += ''.join(f', {way} failed' for way in details['failed'])
  return text


def _spread(case: dict, side: str) -> str:
  details = case[f'{side}_details']
  lowest, highest = _amount(details['lowest']), _amount(details['highest'])
  return f'{_amount(case[side])} {case["unit"]} ({lowest} to {highest})'


def _amount(value: float) -> str:
  if value >= 1000:
    return f'{value:,.0f}'
  return f'{value:,.1f}' if value >= 20 else f'{value:.2f}'


def _compile_seconds(case: dict) -> str:
  """Seconds of the compilation, or {depth: seconds} as text."""
  seconds = case['compile_seconds']
  if isinstance(seconds, dict):
    return ', '.join(f'{depth} layers {taken:.1f}' for depth, taken in seconds.items())
  return f'{seconds:.1f}'


def _verdict(target: dict) -> str:
  """A target, what was measured, and whether it was met."""
  if 'least' in target:
    bound, text = target['least'], f'at least {target["least"]:g}'
  else:
    bound, text = target['most'], f'at most {target["most"]:g}'
  value = target['value']
  if value is None:
    return f'{text}: not measured'
  outcome = 'met' if target['met'] else f'missed by {abs(value / bound - 1):.0%}'
  return f'{text}: {value:.3g}, {outcome}'


def merge(path: Path, results: list[dict]):
  """Puts results into the JSON at `path`, then draws its page and its figure anew.

  The page is beside it with the ending .md, if there is one; the figure has the ending .png.
  """
  found = {}
  if path.exists():
    found = {case['name']: case for case in json.loads(path.read_text())['cases']}
  found |= {case['name']: case for case in results}
  cases = [found[name] for name in CASES if name in found]
  path.write_text(json.dumps(dict(cases=cases), indent=1) + '\n')
  page = path.with_suffix('.md')
  if page.exists():
    before, begin, rest = page.read_text().partition(_BEGIN)
    if begin:
      page.write_text(before + begin + '\n' + table(cases) + _END + rest.partition(_END)[2])
  draw(path.with_suffix('.png'), cases, NAMES)


def table(cases: list[dict]) -> str:
  """Markdown: a row a case."""
  lines = [_line(_HEAD), _line(['---'] * len(_HEAD))]
  lines += [_line(_cells(case)) for case in cases]
  return '\n'.join(lines) + '\n'


def _line(cells) -> str:
  return f'| {" | ".join(cells)} |'


def _cells(case: dict) -> list[str]:
  ours, peer = (_number(case, side) for side in ('ours', 'peer'))
  if peer:
    way = case['peer_details'].get('way')
    peer += f', {case["peer_is"]}' + (f' ({way})' if way else '')
  memory = []
  for side in ('ours', 'peer'):
    if case[side] is not None:
      memory.append(f'{case[f"{side}_details"]["memory_bytes"] / 2**30:.1f} GiB')
  share = case['flops_fraction_of_peak']
  return [
    f'`{case["name"]}`: {case["says"]}',
    ours,
    peer,
    '' if case['ratio'] is None else f'{case["ratio"]:.2f}',
    '' if share is None else f'{share:.0%} of {case["peak_flops"] / 1e9:,.0f} GFLOP/s',
    ' / '.join(memory),
    '' if case['compile_seconds'] is None else f'{_compile_seconds(case)} s',
    '; '.join(f'{NAMES[target["of"]]} {_verdict(target)}' for target in case['targets']),
    f'{case["commit"]}, {case["date"]}',
  ]


def _number(case: dict, side: str) -> str:
  """A side's number with its spread; '' if it was not measured."""
  if case[side] is None:
    return ''
  useful = case[f'{side}_details'].get('useful_share', 1)
  return _spread(case, side) + (f', {useful:.0%} useful' if useful < 1 else '')
