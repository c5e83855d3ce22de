"""What was published, as data, and whether it holds:
claims/*.yaml read strictly, a number held against a claim.

A claims file names a paper, its source, and a list of claims. Every field of a claim is required
but `needs`, because a number without its split, metric and seeds is no claim; `none` says that a
field does not apply, `not stated` that the paper is silent. Nothing is measured here:
`tools/claims/measure.py` does that.
"""

import dataclasses
import difflib
import math
from pathlib import Path
from typing import Any

import yaml

PROVENANCE = {
  'V': 'read in the named source',
  'C': 'computed from what the source says',
  'M': 'measured in this repository, docs/LOG.md',
  'F': 'read off a figure',
  'R': 'recalled',
}
_UNREAD = 'FR'  # figures that nothing is ever confirmed by
# What a claim of each kind says of how to measure it: field, and the types of its value.
MEASURE = {
  'parameters': dict(config=str, heads=list),
  'flops': dict(config=str, length=int, passes=int, cell=dict),
  'validation': dict(config=str, name=str),
  'task': dict(config=str, name=str, weights=str),
  'sign': dict(sweep=str, name=str, higher=dict, lower=dict),
}
# `changes` are fields of the config, for parameters of its
# model alone; `without` is a part of the network.
_ALSO = {
  'parameters': dict(changes=dict, without=str),
  'flops': dict(against=dict),
  'validation': dict(changes=dict),
  'task': dict(changes=dict),
}
_CELL = dict(heads=list, rate=float)
_WEIGHTS = ('trained', 'published')
_FILE = dict(paper=str, source=str, claims=list)
_CLAIM = dict(
  id=str,
  says=str,
  table=str,
  kind=str,
  value=float,
  unit=str,
  split=str,
  metric=str,
  seeds=object,
  initialisation=str,
  tolerance=float,
  provenance=str,
  measure=dict,
)
_SEEDS = ('none', 'not stated')


class ClaimError(ValueError):
  """A claims file breaks the schema, or what was asked for is
  in none: file, field, and what it must be.
  """

  exit_code = 2


class ClaimOff(ArithmeticError):
  """A claim was measured, and what came out is not what was published."""

  exit_code = 5


class NothingRan(OSError):
  """No claim that was asked for could be confirmed here."""

  exit_code = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
  """One published number.

  Attributes:
    name: FILE:ID.
    value, tolerance: in `unit`; the claim holds where |measured - value| <= tolerance. Of kind
      `sign` the value is a difference that was published, and only its sign is claimed.
    needs: what no machine of ours has, as the labels of a test server; such a claim never runs.
    measure: how to measure it, by `MEASURE[kind]`.
  """

  name: str
  paper: str
  source: str
  id: str
  says: str
  table: str
  kind: str
  value: float
  unit: str
  split: str
  metric: str
  seeds: int | str
  initialisation: str
  tolerance: float
  provenance: str
  measure: dict[str, Any]
  needs: str | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
  """What came of a claim.

  Attributes:
    verdict: confirmed | off | not runnable.
    measured: in the claim's unit, where something was.
    off_by: measured - published, of what is off.
    reason: how it was measured, or why it was not.
    command: what would measure it, where that is known.
  """

  claim: Claim
  verdict: str
  measured: float | None
  off_by: float | None
  reason: str
  command: str | None = None


def judge(claim: Claim, measured: float, how: str) -> Answer:
  """Holds a number against what was published; one whose source was not read confirms nothing."""
  if claim.provenance in _UNREAD:
    return cannot(claim, f'measured {number(measured)} ({how})', measured=measured)
  off_by = measured - claim.value
  if abs(off_by) <= claim.tolerance:
    return Answer(claim, 'confirmed', measured, None, how)
  return Answer(claim, 'off', measured, off_by, how)


def judge_sign(claim: Claim, mean: float, half: float | None, how: str) -> Answer:
  """Holds a paired difference, mean and half of its 95%
  interval, against the sign that was published.
  """
  spread = (
    'one seed, no interval' if half is None else f'95% interval {number(mean)} ± {number(half)}'
  )
  if claim.provenance in _UNREAD:
    return cannot(claim, f'measured {spread} ({how})', measured=mean)
  if half is None or abs(mean) <= half:
    return cannot(
      claim, f'the sign is not decided: {spread} ({how}); it takes more seeds.', measured=mean
    )
  same = (mean > 0) == (claim.value > 0)
  return Answer(
    claim,
    'confirmed' if same else 'off',
    mean,
    None if same else mean - claim.value,
    f'{spread}; {how}',
  )


def cannot(
  claim: Claim, reason: str, command: str | None = None, measured: float | None = None
) -> Answer:
  """No verdict on a claim, and why."""
  if claim.provenance in _UNREAD:
    figure = (
      f'the figure is {PROVENANCE[claim.provenance]} [{claim.provenance}] and confirms nothing'
    )
    reason = f'its source was not read, {figure}; {reason}'
  return Answer(claim, 'not runnable', measured, None, reason, command)


def conclude(answers: list[Answer]):
  """Returns where something was confirmed and nothing is off.

  Raises:
    ClaimOff, NothingRan: with the exit code that says so.
  """
  off = [answer.claim.name for answer in answers if answer.verdict == 'off']
  if off:
    raise ClaimOff(f'{len(off)} of {len(answers)} claims off: {", ".join(off)}')
  if not any(answer.verdict == 'confirmed' for answer in answers):
    raise NothingRan(
      f'none of {len(answers)} claims could be confirmed here; the reasons stand above.'
    )


def number(value: float) -> str:
  """Whole numbers and what is large without digits behind the
  point, the rest with five significant ones.
  """
  return f'{value:,.0f}' if value == int(value) or abs(value) >= 1e5 else f'{value:.5g}'


def find(folder: Path, asked: str) -> list[Claim]:
  """The claims that `all`, FILE or FILE:ID names; a file is a path, or a name in the folder."""
  file, colon, id = asked.partition(':')
  known = {path.stem: path for path in sorted(folder.glob('*.yaml'))}
  if asked == 'all':
    return [claim for path in known.values() for claim in load(path)]
  path = Path(file) if file.endswith('.yaml') else known.get(file)
  if path is None or not path.is_file():
    raise ClaimError(
      f'there are no claims {file!r}. {folder.name}/ has '
      f'{", ".join(known) or "none"}; `all` is all.'
    )
  claims = load(path)
  if not colon:
    return claims
  found = [claim for claim in claims if claim.id == id]
  if not found:
    ids = [claim.id for claim in claims]
    close = difflib.get_close_matches(id, ids, 1, 0.3)
    raise ClaimError(
      f'{path.name} has no claim {id!r}. '
      + (f'Did you mean {close[0]}?' if close else f'It has {", ".join(ids)}.')
    )
  return found


def load(path: Path) -> list[Claim]:
  """Every claim of a file.

  Raises:
    ClaimError: it is no YAML, or a field is missing, unknown, twice there, or of another type.
  """
  try:
    text = path.read_text(encoding='utf-8')
    _once(yaml.compose(text, Loader=yaml.SafeLoader), path.name)
    said = yaml.safe_load(text)
  except (yaml.YAMLError, UnicodeDecodeError) as error:
    raise ClaimError(f'{path.name} is no YAML: {" ".join(str(error).split())}') from error
  _fields(said, _FILE, {}, path.name)
  claims: dict[str, Claim] = {}
  for index, each in enumerate(said['claims'], start=1):
    claim = _claim(each, said, path, f'{path.name}, claim {index}')
    if claim.id in claims:
      raise ClaimError(
        f'{path.name}, claim {index}: field id: {claim.id!r} is the name of another claim as well.'
      )
    claims[claim.id] = claim
  if not claims:
    raise ClaimError(f'{path.name}: field claims: is empty.')
  return list(claims.values())


def _claim(each: Any, said: dict[str, Any], path: Path, where: str) -> Claim:
  _fields(each, _CLAIM, dict(needs=str), where)
  where += f' ({each["id"]})'
  kind, seeds, measure = each['kind'], each['seeds'], each['measure']
  _require(kind in MEASURE, where, 'kind', f'{kind!r} is none of {", ".join(MEASURE)}')
  _require(
    each['provenance'] in PROVENANCE,
    where,
    'provenance',
    f'{each["provenance"]!r} is none of ' + ', '.join(PROVENANCE),
  )
  _require(
    seeds in _SEEDS or type(seeds) is int and seeds > 0,
    where,
    'seeds',
    f'{seeds!r}: must be how many, or {" or ".join(_SEEDS)}',
  )
  _require(each['tolerance'] >= 0, where, 'tolerance', 'must not be negative')
  _fields(measure, MEASURE[kind], _ALSO.get(kind, {}), f'{where}, measure')
  for cell in ('cell', 'against'):
    if cell in measure and kind == 'flops':
      _fields(measure[cell], _CELL, {}, f'{where}, measure.{cell}')
  _require(
    measure.get('weights', 'trained') in _WEIGHTS,
    where,
    'measure.weights',
    f'must be {" or ".join(_WEIGHTS)}',
  )
  return Claim(name=f'{path.stem}:{each["id"]}', paper=said['paper'], source=said['source'], **each)


def _fields(said: Any, required: dict[str, type], optional: dict[str, type], where: str):
  """Raises ClaimError unless these are the fields, each once, of these types, and none empty."""
  _require(isinstance(said, dict), where, 'itself', f'must be a mapping, not {type(said).__name__}')
  known = required | optional
  for name in said:
    close = difflib.get_close_matches(str(name), known, 1)
    _require(
      name in known,
      where,
      name,
      'is unknown.' + (f' Did you mean {close[0]}?' if close else f' Known: {", ".join(known)}'),
    )
  for name in required:
    _require(name in said, where, name, 'is missing')
  for name, value in said.items():
    wanted = known[name]
    if wanted is float:
      fits = type(value) in (int, float) and math.isfinite(value)
      _require(fits, where, name, f'{value!r} is no number (YAML reads 4e8 as text: write 4.0e+8)')
    elif wanted is not object:
      _require(type(value) is wanted, where, name, f'{value!r} must be {wanted.__name__}')
      _require(wanted is not str or bool(value.strip()), where, name, 'is empty')


def _once(node: yaml.Node | None, file: str):
  """Raises ClaimError where a mapping has a key twice; YAML
  itself would take the last one in silence.
  """
  if isinstance(node, yaml.MappingNode):
    keys = [key.value for key, _ in node.value]
    for (key, value), name in zip(node.value, keys):
      _require(
        keys.count(name) == 1, f'{file}, line {key.start_mark.line + 1}', name, 'is there twice'
      )
      _once(value, file)
  elif isinstance(node, yaml.SequenceNode):
    for each in node.value:
      _once(each, file)


def _require(holds: bool, where: str, field: str, what: str):
  if not holds:
    raise ClaimError(f'{where}: field {field}: {what}')
