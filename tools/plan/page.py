"""Plans as tables of the terminal, and the search for a better one."""

from collections import defaultdict

from models.attention import KERNELS
from runtime.console import Console, duration
from tools.plan import compile, one_plan, search

# The share of a chip's memory that a config may need by closed form and still fit surely: the
# compiler's plans have needed up to a fifth more.
_ROOM = 0.8
_BOUND = 'a bound from published figures, not a measurement; docs/scaling.md has the model'


def show(console: Console, plan: dict):
  """Prints a plan, and what would make it fit if it does not."""
  console.table(f'{plan["config"]} on {plan["topology"]}', _rows(plan))
  for knobs in plan.get('fitting') or []:
    console.say(f'fits with {one_plan.command_line(knobs["knobs"])}   ({knobs["checked"]})')
  if plan.get('fitting') == []:
    console.say(
      'no mesh, micro-batch or remat policy was found that fits, the smallest among them: use more '
      'chips, or larger ones.'
    )


def _rows(plan: dict) -> dict[str, str]:
  """The lines of a plan: {name: text}."""
  rows = dict(mesh=_mesh_line(plan)) | {'memory a chip': _memory_line(plan)}
  if 'memory' not in plan:  # it does not fit, so nothing was compiled
    return rows
  parts = [f'{name} {_gib(size)}' for name, size in plan['memory'].items() if size >= 2**20]
  rows['of which'] = ', '.join(parts)
  rows['FLOPs a step'] = (
    f'{plan["flops_per_step"]:.4g} with recomputation, {plan["model_flops_per_step"]:.4g} of the '
    'model in closed form'
  )
  if 'flops_over_closed_form' in plan:
    rows['FLOPs a step'] += (
      f'; without recomputation XLA counts {plan["flops_over_closed_form"]:.3f} of the latter'
    )
  rows['bytes a chip'] = f'{plan["bytes_per_step_per_chip"] / 1e9:,.1f} GB read and written a step'
  if plan['kernels']:
    kernels = [f'{name} {times:,} times' for name, times in plan['kernels'].items()]
    rows['kernels'] = ', '.join(kernels)
  rows |= _collective_rows(plan['collectives'])
  if plan['predicted_step_seconds'] is not None:
    rows |= _time_rows(plan)
  rows['compiled in'] = duration(plan['compile_seconds'])
  return rows


def _gib(size: float) -> str:
  return f'{size / 2**30:.2f} GiB'


def _mesh_line(plan: dict) -> str:
  mesh = ' x '.join(f'{name} {size}' for name, size in plan['mesh'].items())
  return (
    f'{mesh}; {plan["rows"]:,} x {plan["tokens_a_row"]:,} tokens in {plan["accumulate"]} '
    f'micro-batches, remat {plan["remat"]}, {plan["dtype"]}, attention {plan["attention"]}'
  )


def _memory_line(plan: dict) -> str:
  limit = plan['hbm_bytes_of_a_chip']
  of_chip = f' of {_gib(limit)}' if limit else ''
  verdict = {True: ': fits', False: ': DOES NOT FIT', None: ''}[plan['fits']]
  return _gib(plan['hbm_bytes_per_chip']) + of_chip + verdict


def _collective_rows(collectives: list[dict]) -> dict[str, str]:
  """A line for each kind. `collectives`: as in a plan, the most bytes first."""
  by_kind = defaultdict(list)
  for each in collectives:
    by_kind[each['kind']].append(each)
  rows = {}
  for kind, some in by_kind.items():
    times = sum(each['times'] for each in some)
    sent = sum(each['sent_bytes'] for each in some)
    largest = some[0]
    rows[kind] = (
      f'{times:,} a step, a chip sends {sent / 1e6:,.1f} MB; the most for '
      f'{largest["what"] or "what has no name"} ({largest["bytes"] / 1e6:,.1f} MB x '
      f'{largest["times"]})'
    )
  return rows


def _time_rows(plan: dict) -> dict[str, str]:
  parts = ', '.join(f'{name} {duration(seconds)}' for name, seconds in plan['seconds'].items())
  return {
    'time a step': f'at least {duration(plan["predicted_step_seconds"])} ({parts})',
    'utilisation': (
      f'at most {plan["predicted_utilisation"]:.1%} of peak; bound by {plan["bound_by"]}'
    ),
    'tokens a day': (
      f'at most {plan["tokens_per_day"] / 1e9:,.2f} billion; {plan["steps"]:,} steps in '
      f'{plan["days"]:.2g} days'
    ),
    'what this is': _BOUND,
  }


def best_of(console: Console, config, topology, devices, *, compiles: int) -> dict:
  """Compiles the best candidates of the closed form, prints and returns the best plan.

  The plan's `ranked` has all that were compiled, by their bounds.

  Args:
    compiles: how many at most.
  """
  chosen = _candidates(config, topology, devices)
  compiles = min(compiles, len(chosen))
  console.say(
    f'{len(chosen):,} combinations may fit by closed form; {compiles} are compiled, the best first.'
  )
  plans = _try(console, config, topology, devices, [each.knobs for each in chosen[:compiles]])
  ranked = sorted(
    plans, key=lambda plan: (plan['fits'] is False, plan.get('predicted_step_seconds') or 0.0)
  )
  console.table(
    f'{config.name} on {topology.name}',
    {one_plan.command_line(plan['knobs']): _line(plan) for plan in ranked},
  )
  best = next((plan for plan in ranked if plan['fits'] is not False), None)
  if best:
    console.say(f'best: --config=configs/{config.name}.py {one_plan.command_line(best["knobs"])}')
  else:
    console.say('none of these fits: use more chips, or a smaller batch.')
  return (best or dict(fits=False)) | dict(ranked=ranked)


def find_fitting(console: Console, config, topology, devices, tries: int = 3) -> list[dict]:
  """The cheapest change that makes a config fit, checked by compiling it; [] if none is found.

  Tries the fastest candidates that fit with some room by closed form, then the smallest of all.

  Args:
    tries: how many are compiled at most.
  """
  found = _candidates(config, topology, devices)
  chosen = [each for each in found if each.bytes < _ROOM * topology.chip.hbm_bytes][: tries - 1]
  if found:
    smallest = min(found, key=lambda each: each.bytes)
    if smallest not in chosen:
      chosen.append(smallest)
  for each in chosen:
    (plan,) = _try(console, config, topology, devices, [each.knobs])
    if plan['fits']:
      return [
        dict(knobs=each.knobs, checked='compiled', hbm_bytes_per_chip=plan['hbm_bytes_per_chip'])
      ]
  return []


def _candidates(config, topology, devices) -> list[search.Candidate]:
  fused = compile.attention_of(config, devices) in KERNELS
  return search.candidates(config, topology, fused=fused)


def _try(console: Console, config, topology, devices, knobs: list[dict]) -> list[dict]:
  """The plans of a config with each of these knobs, with progress on the console."""
  plans = []
  counted: dict[str, float] = {}  # FLOPs depend on the remat policy alone
  console.begin(0, len(knobs))
  console.counted(0)
  for number, each in enumerate(knobs, start=1):
    console.status(f'compiling {one_plan.command_line(each)}')
    changed = one_plan.set_knobs(config, each)
    remat = each['model.remat']
    if remat not in counted:
      counted[remat] = compile.count_flops(changed)
    plan = one_plan.make_plan(changed, topology, devices, counted=counted[remat])
    plans.append(plan | dict(knobs=each))
    console.counted(number)
  console.end()
  return plans


def _line(plan: dict) -> str:
  """A plan in one line of the ranking."""
  memory = f'{plan["hbm_bytes_per_chip"] / 2**30:.1f} GiB'
  if plan['fits'] is False:
    return f'does not fit: {memory}'
  if plan['predicted_step_seconds'] is None:
    return memory
  return (
    f'{duration(plan["predicted_step_seconds"])} a step, {plan["predicted_utilisation"]:.1%}, '
    f'{memory}, bound by {plan["bound_by"]}'
  )
