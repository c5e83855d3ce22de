"""Our speed against transformers', in pairs: python -m tools.bench [--against=none] [--only=generate].

Each side of a case is a process of its own, so that neither's threads or memory are the other's. The two take
turns; what is printed are medians of the rounds, with the spread from the lowest to the highest. The machine's own
limits, how fast it multiplies and how fast it reads, are measured in the same run, also in turn.
"""

import json
import platform

from configs import cli
from configs.check import ConfigError

cli.flags.DEFINE_enum('against', 'transformers', ['transformers', 'none'], 'The peer; it needs the extra parity.')
cli.flags.DEFINE_enum('suite', 'cpu', ['cpu'], 'Which cases.')
cli.flags.DEFINE_string('only', '', 'Cases whose name has this.')
cli.flags.DEFINE_integer('rounds', 5, 'Pairs a case.', lower_bound=1)
cli.flags.DEFINE_bool('json', False, 'One JSON object.')


def main():
  flags = cli.FLAGS

  from tools.bench_cases import CASES
  from tools.bench_pairs import commit, measure
  from training.console import Console

  chosen = [name for name in CASES if flags.only in name]
  if not chosen:
    raise ConfigError(f'--only={flags.only}: no case has that in its name. They are {", ".join(CASES)}.')
  console = Console(quiet=flags.json)
  results = []
  for name in chosen:
    results.append(measure(name, peer=flags.against != 'none', rounds=flags.rounds))
    if not flags.json:
      console.table(name, _rows(results[-1]))
  if flags.json:
    print(json.dumps(dict(cases=results, machine=platform.processor() or platform.machine(), commit=commit())))


def _rows(case: dict) -> dict[str, str]:
  rows = dict(ours=_side(case, 'ours'))
  if case['peer'] is not None:
    rows |= dict(transformers=_side(case, 'peer'), ratio=f'{case["ratio"]:.2f}')
  return rows | {'of the machine': (
      f'{case["flops_fraction_of_peak"]:.1%} of {case["peak_flops"] / 1e9:,.0f} GFLOP/s, '
      f'{case["bytes_fraction_of_peak"]:.1%} of {case["peak_bytes"] / 1e9:,.1f} GB/s read')}


def _side(case: dict, side: str) -> str:
  about = case[f'{side}_details']
  return (f'{case[side]:,.1f} {case["unit"]} ({about["lowest"]:,.1f} to {about["highest"]:,.1f}), '
          f'peak {about["memory_bytes"] / 2**30:.2f} GiB, first call {about["first_seconds"]:.1f} s')


if __name__ == '__main__':
  cli.run(main)
