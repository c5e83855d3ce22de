"""A training step on TPUs that are not here: python -m tools.plan
--config=configs/bert_large.py --topology=v5e:16x16.

Compiles the step that train.py would run on these chips. Says what one chip holds, what the chips
exchange, and the least time that a step can take. `--search` tries other meshes, micro-batches and
remat policies. Needs the extra tpu, which is a compiler and no TPU; --topology=cpu:8 does the same
for simulated CPU devices, without times.
"""

import json

from configs.schema.check import ConfigError
from runtime import cli

cli.group('What is planned')
cli.define_config()
cli.flags.DEFINE_string(
  'topology', '', 'Chips: v5e:16x16, v5p-64, v6e:4x4*2 (two slices), cpu:8 (simulated).'
)
cli.group('Other plans')
cli.flags.DEFINE_bool(
  'search', False, 'Try meshes, micro-batches and remat policies; print the best.'
)
cli.flags.DEFINE_integer(
  'compiles', 6, 'With --search: how many of them to compile, best first.', lower_bound=1
)
cli.define_json()


def main():
  flags = cli.FLAGS
  config = flags.config

  from tools.plan import chips

  if not flags.topology:
    raise ConfigError(
      '--topology=CHIPS is missing, as in --topology=v5e:16x16, or cpu:8 for simulated devices.'
    )
  topology = chips.parse(flags.topology)

  from runtime.console import Console
  from tools.plan import one_plan, page

  console = Console(quiet=flags.json)
  devices = one_plan.start(topology)
  if flags.search:
    result = page.best_of(console, config, topology, devices, compiles=flags.compiles)
  else:
    result = one_plan.make_plan(config, topology, devices)
    result['flops_over_closed_form'] = one_plan.agreement(config, counted=result['flops_per_step'])
    if result['fits'] is False:
      result['fitting'] = page.find_fitting(console, config, topology, devices)
    page.show(console, result)
  if flags.json:
    print(json.dumps(result))


if __name__ == '__main__':
  cli.run(main)
