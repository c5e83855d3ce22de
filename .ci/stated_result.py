"""Whether a run reached the result that its config's docstring states.

  python .ci/stated_result.py configs/bert_tiny.py WORKDIR

The docstring's `Expected:` lines name numbers of result.json, as in `mlm_loss 5.4321, nsp_accuracy
0.6543`. Bits are promised for one machine; another one must come close. The loss must also lie far
below the unigram entropy, or nothing but frequencies was learnt.
"""

import ast
import json
from pathlib import Path
import re
import sys

TOLERANCE = 0.03  # relative: another machine sums in another order
MARGIN = 0.5  # nats below the unigram entropy


def expected(config: Path) -> dict[str, float]:
  """Names and values under `Expected:`, to the end of that entry."""
  docstring = ast.get_docstring(ast.parse(config.read_text())) or ''
  entry = re.search(r'^Expected:(.*(?:\n[ \t]+\S.*)*)', docstring, re.MULTILINE)
  return {
    name: float(value) for name, value in re.findall(r'(\w+) (\d+\.\d+)', entry[1] if entry else '')
  }


def main(config: str, workdir: str):
  result = json.loads((Path(workdir) / 'result.json').read_text())
  reached, entropy = result['validation'], result['unigram_entropy']
  stated = {name: value for name, value in expected(Path(config)).items() if name in reached}
  if not stated:
    sys.exit(
      f'{config} states no result: its docstring needs a line such as\nExpected:   mlm_loss 5.4321'
    )
  failures = 0
  for name, value in stated.items():
    close = abs(reached[name] - value) <= TOLERANCE * abs(value)
    failures += not close
    print(f'{name}: {reached[name]:.4f}, stated {value:.4f}' + ('' if close else '  NOT REACHED'))
  for name in ('mlm_loss', 'clm_loss'):
    if name in reached and reached[name] > entropy - MARGIN:
      failures += 1
      print(f'{name}: {reached[name]:.4f} is not far below the unigram entropy {entropy:.4f}')
  sys.exit(failures > 0)


if __name__ == '__main__':
  main(*sys.argv[1:])
