"""What a plan says, as tables; and the plans that are tried in search of a better one."""

from collections import defaultdict
import time

from models.attention import KERNELS
from runtime.console import Console, duration
from tools.plan import compile, one_plan, search

# of a chip's memory: what the compiler plans has been up to a fifth more than the closed form
_ROOM = 0.8
_BOUND = 'a bound from published figures, not a measurement; docs/scaling.md has the model'


def show(console: Console, plan: dict):
  """A plan, for a person."""
  console.table(f'{plan["config"]} on {plan["topology"]}', _rows(plan))
  for knobs in plan.get('fitting') or []:
    console.say(f'fits with {one_plan.command_line(knobs["knobs"])}   ({knobs["checked"]})')
  if plan.get('fitting') == []:
    console.say(
      'no mesh, micro-batch or remat policy was found that fits, the smallest among them: use more '
      'chips, or larger ones.'
    )


def _rows(plan: dict) -> dict[str, str]:
  gib = lambda count: f'{count / 2**30:.2f} GiB'
  mesh = ' x '.join(f'{name} {size}' for name, size in plan['mesh'].items())
  rows = {
    'mesh': f'{mesh}; {plan["rows"]:,} x {plan["tokens_a_row"]:,} tokens in '
    f'{plan["accumulate"]} micro-batches, '
    f'remat {plan["remat"]}, {plan["dtype"]}, attention {plan["attention"]}'
  }
  limit = f' of {gib(plan["hbm_bytes_of_a_chip"])}' if plan['hbm_bytes_of_a_chip'] else ''
  verdict = {True: ': fits', False: ': DOES NOT FIT', None: ''}[plan['fits']]
  rows['memory a chip'] = gib(plan['hbm_bytes_per_chip']) + limit + verdict
  if 'memory' not in plan:
    return rows
  rows['of which'] = ', '.join(
    f'{name} {gib(count)}' for name, count in plan['memory'].items() if count >= 2**20
  )
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
    rows['kernels'] = ', '.join(
      f'{name} {times:,} times' for name, times in plan['kernels'].items()
    )
  for kind, (sent, times, largest) in _by_kind(plan['collectives']).items():
    rows[kind] = f'{times:,} a step, a chip sends {sent / 1e6:,.1f} MB; the most for {largest}'
  if plan['predicted_step_seconds'] is not None:
    parts = ', '.join(f'{name} {duration(seconds)}' for name, seconds in plan['seconds'].items())
    rows |= {
      'time a step': f'at least {duration(plan["predicted_step_seconds"])} ({parts})',
      'utilisation': f'at most {plan["predicted_utilisation"]:.1%} of peak; bound by '
      f'{plan["bound_by"]}',
      'tokens a day': f'at most {plan["tokens_per_day"] / 1e9:,.2f} billion; {plan["steps"]:,} '
      'steps in '
      f'{plan["days"]:.2g} days',
      'what this is': _BOUND,
    }
  rows['compiled in'] = duration(plan['compile_seconds'])
  return rows


def _by_kind(collectives: list[dict]) -> dict[str, tuple[float, int, str]]:
  found = defaultdict(lambda: [0.0, 0, ''])
  for each in collectives:  # the largest first
    kind = found[each['kind']]
    kind[0] += each['sent_bytes']
    kind[1] += each['times']
    kind[2] = (
      kind[2]
      or f'{each["what"] or "what has no name"} ({each["bytes"] / 1e6:,.1f} MB x {each["times"]})'
    )
  return {name: tuple(values) for name, values in found.items()}


def best_of(console: Console, config, topology, devices, *, compiles: int) -> dict:
  """Compiles the best candidates of the closed form and ranks
  them by their bound; the best is the first.
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
  """The change that costs least and makes a config fit, seen by
  compiling it; [] where none of `tries` did.

  Those that fit with some room by closed form come first, the fastest
  before others; the last is the smallest of all.
  """
  found = _candidates(config, topology, devices)
  roomy = [each for each in found if each.bytes < _ROOM * topology.chip.hbm_bytes][: tries - 1]
  smallest = sorted(found, key=lambda each: each.bytes)[:1]
  for each in roomy + [each for each in smallest if each not in roomy]:
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
  plans, counted, started = [], {}, time.monotonic()
  console.begin(0, len(knobs), lambda _: 0.0)
  for number, each in enumerate(knobs, start=1):
    console.status(f'compiling {one_plan.command_line(each)}')
    changed = one_plan.set_knobs(config, each)
    remat = each['model.remat']
    if remat not in counted:
      counted[remat] = compile.count_flops(changed)
    plans.append(
      one_plan.make_plan(changed, topology, devices, counted=counted[remat]) | dict(knobs=each)
    )
    console.progress(number, len(knobs), time.monotonic() - started)
  console.end()
  return plans


def _line(plan: dict) -> str:
  memory = f'{plan["hbm_bytes_per_chip"] / 2**30:.1f} GiB'
  if plan['fits'] is False:
    return f'does not fit: {memory}'
  if plan['predicted_step_seconds'] is None:
    return memory
  return (
    f'{duration(plan["predicted_step_seconds"])} a step, {plan["predicted_utilisation"]:.1%}, '
    f'{memory}, bound by {plan["bound_by"]}'
  )
