"""Results of tools.bench for people: lines of a terminal,
the table of docs/benchmarks.md, a figure.
"""

import json
import os
from pathlib import Path

from tools.bench.cases import CASES

os.environ.setdefault('MPLBACKEND', 'Agg')

_BEGIN, _END = '<!-- drawn by tools.bench from benchmarks.json -->', '<!-- end -->'
_INK, _SOFT, _GRID, _MET, _MISSED, _FREE = (
  '#222222',
  '#777777',
  '#e9e9e9',
  '#2a9d8f',
  '#c8452d',
  '#5f6b7a',
)
_NAMES = dict(
  ratio='ratio',
  ours='ours',
  flops_fraction_of_peak='share of matmul peak',
  memory_ratio='memory ratio',
)


def rows_of(case: dict) -> dict[str, str]:
  """Names and values of a result."""
  rows = dict(ours=_side(case, 'ours'))
  if case['peer'] is not None:
    rows |= {case['peer_is']: _side(case, 'peer'), 'ratio': f'{case["ratio"]:.2f}'}
  shares = [
    f'{case[f"{kind}_fraction_of_peak"]:.1%} of {case[f"peak_{kind}"] / 1e9:,.0f} {unit}'
    for kind, unit in (('flops', 'GFLOP/s'), ('bytes', 'GB/s read'))
    if case[f'{kind}_fraction_of_peak'] is not None
  ]
  if shares:
    rows['of the machine'] = ', '.join(shares)
  if case['compile_seconds'] is not None:
    rows['compile seconds'] = _compile_seconds(case)
  return rows | {f'target {_NAMES[target["of"]]}': _verdict(target) for target in case['targets']}


def _side(case: dict, side: str) -> str:
  about = case[f'{side}_details']
  spread = f'{_amount(about["lowest"])} to {_amount(about["highest"])}'
  text = f'{_amount(case[side])} {case["unit"]} ({spread}), '
  if about['tokens_per_second'] and about.get('useful_share', 1) < 1:
    text += f'{about["useful_share"]:.1%} of {_amount(about["tokens_per_second"])} tokens/s, '
  text += f'peak {about["memory_bytes"] / 2**30:.2f} GiB'
  if 'way' in about:
    text += f', {about["way"]} of ' + ', '.join(
      f'{way} {taken:.2f} s' for way, taken in about['ways'].items()
    )
    text += ''.join(f', {way} failed' for way in about['failed'])
  return text


def _amount(value: float) -> str:
  return f'{value:,.0f}' if value >= 1000 else f'{value:,.1f}' if value >= 20 else f'{value:.2f}'


def _compile_seconds(case: dict) -> str:
  seconds = case['compile_seconds']
  return (
    ', '.join(f'{depth} layers {taken:.1f}' for depth, taken in seconds.items())
    if isinstance(seconds, dict)
    else f'{seconds:.1f}'
  )


def _verdict(target: dict) -> str:
  kind = 'least' if 'least' in target else 'most'
  bound, value = target[kind], target['value']
  asked = f'{"at least" if kind == "least" else "at most"} {bound:g}'
  if value is None:
    return f'{asked}: not measured'
  return f'{asked}: {_precise(value)}, ' + (
    'met' if target['met'] else f'missed by {abs(value / bound - 1):.0%}'
  )


def _precise(value: float) -> str:
  return f'{value:.3g}'


def merge(path: Path, results: list[dict]):
  """Puts results into the JSON at `path`, then draws its page and its figure anew."""
  found = (
    {case['name']: case for case in json.loads(path.read_text())['cases']} if path.exists() else {}
  )
  found |= {case['name']: case for case in results}
  cases = [found[name] for name in CASES if name in found]
  path.write_text(json.dumps(dict(cases=cases), indent=1) + '\n')
  page = path.with_suffix('.md')
  if page.exists():
    before, begin, rest = page.read_text().partition(_BEGIN)
    if begin:
      page.write_text(before + begin + '\n' + table(cases) + _END + rest.partition(_END)[2])
  draw(path.with_suffix('.png'), cases)


def table(cases: list[dict]) -> str:
  """Markdown: a row a case."""
  lines = [
    '| case | ours | peer | ratio | of matmul peak | peak memory, both | compiling | '
    'targets | commit |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
  ]
  for case in cases:
    sides = [_bracketed(case, side) if case[side] is not None else '' for side in ('ours', 'peer')]
    if sides[1]:
      sides[1] += f', {case["peer_is"]}' + _way(case['peer_details'])
    memory = ' / '.join(
      f'{case[f"{side}_details"]["memory_bytes"] / 2**30:.1f} GiB'
      for side in ('ours', 'peer')
      if case[side] is not None
    )
    share = case['flops_fraction_of_peak']
    lines.append(
      '| '
      + ' | '.join(
        [
          f'`{case["name"]}`: {case["says"]}',
          *sides,
          '' if case['ratio'] is None else f'{case["ratio"]:.2f}',
          '' if share is None else f'{share:.0%} of {case["peak_flops"] / 1e9:,.0f} GFLOP/s',
          memory,
          '' if case['compile_seconds'] is None else f'{_compile_seconds(case)} s',
          '; '.join(f'{_NAMES[target["of"]]} {_verdict(target)}' for target in case['targets']),
          f'{case["commit"]}, {case["date"]}',
        ]
      )
      + ' |'
    )
  return '\n'.join(lines) + '\n'


def _bracketed(case: dict, side: str) -> str:
  about = case[f'{side}_details']
  return (
    f'{_amount(case[side])} {case["unit"]} ({_amount(about["lowest"])} to '
    f'{_amount(about["highest"])})'
    + (f', {about["useful_share"]:.0%} useful' if about.get('useful_share', 1) < 1 else '')
  )


def _way(about: dict) -> str:
  return f' ({about["way"]})' if 'way' in about else ''


def draw(path: Path, cases: list[dict]):
  """A bar a target: what was measured over what was asked, the right of the line being better."""
  import matplotlib.pyplot as plt

  bars = []
  for case in cases:
    targets = case['targets'] or (
      [dict(of='ratio', least=1.0, value=case['ratio'])] if case['ratio'] else []
    )
    for target in targets:
      if target['value'] is not None:
        bound = target.get('least', target.get('most'))
        gain = target['value'] / bound if 'least' in target else bound / target['value']
        paint = _FREE if 'met' not in target else _MET if target['met'] else _MISSED
        asked = (
          'no target' if 'met' not in target else f'{"≥" if "least" in target else "≤"} {bound:g}'
        )
        bars.append(
          (
            f'{case["name"]}\n{_NAMES[target["of"]]} {asked}',
            gain,
            paint,
            _precise(target['value']),
          )
        )
  if not bars:
    return
  figure, axes = plt.subplots(figsize=(9, 0.9 + 0.42 * len(bars)), layout='constrained')
  for place, (_, gain, paint, value) in enumerate(reversed(bars)):
    axes.barh(place, gain, color=paint, height=0.62)
    axes.annotate(
      value,
      (gain, place),
      xytext=(5, 0),
      textcoords='offset points',
      va='center',
      fontsize=9,
      color=_INK,
      bbox=dict(facecolor='white', edgecolor='none', pad=1),
    )
  axes.axvline(1, color=_INK, linewidth=1)
  axes.set_xscale('log')
  axes.set_yticks(range(len(bars)), [name for name, *_ in reversed(bars)], fontsize=8)
  axes.set_xlabel(
    'measured over target (log scale); right of the line: met. The number is what was measured'
  )
  axes.set_xticks(
    ticks := [
      value
      for value in (0.25, 0.5, 1, 2, 4, 8, 16, 32)
      if min(g for _, g, *_ in bars) / 2 < value < max(g for _, g, *_ in bars) * 2
    ],
    [f'{tick:g}' for tick in ticks],
  )
  axes.minorticks_off()
  axes.grid(axis='x', color=_GRID, linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right', 'left']].set_visible(False)
  axes.tick_params(colors=_SOFT, labelcolor=_INK, left=False)
  figure.savefig(path, dpi=130)
  plt.close(figure)
