"""What was published, as data: claims/*.yaml, read strictly.

A claims file names a paper, its source, and a list of claims. Every field of a claim is required
except `needs`, because a number without its split, metric and seeds is no claim. `none` says that a
field does not apply, `not stated` that the paper is silent.
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
# How to measure a claim of each kind: its required fields and the types of their values.
MEASURE = {
  'parameters': dict(config=str, heads=list),
  'flops': dict(config=str, length=int, passes=int, cell=dict),
  'validation': dict(config=str, name=str),
  'task': dict(config=str, name=str, weights=str),
  'sign': dict(sweep=str, name=str, higher=dict, lower=dict),
}
# The optional ones. `changes` are fields of the config; for kind `parameters`, of its model alone.
# `without` is a part of the network. `lower_name` is what the lower side is asked, where that is
# another evaluation than `name`, as of the same task under another mask.
_OPTIONAL = {
  'parameters': dict(changes=dict, without=str),
  'flops': dict(against=dict),
  'validation': dict(changes=dict),
  'task': dict(changes=dict),
  'sign': dict(lower_name=str),
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
_NO_SEEDS = ('none', 'not stated')
_LARGEST = 100_000  # values of a file


class ClaimError(ValueError):
  """A claims file breaks the schema, or no file has the claim that was asked for.

  The message names the file, the field, and what it must be.
  """

  exit_code = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
  """One published number.

  Attributes:
    name: FILE:ID.
    says: the claim in words.
    kind: a key of `MEASURE`.
    value, tolerance: in `unit`; the claim holds if |measured - value| <= tolerance. For kind `sign`
      the value is a difference that was published, and only its sign is claimed.
    seeds: how many, 'none' or 'not stated'.
    provenance: a key of `PROVENANCE`.
    measure: how to measure it: the fields of `MEASURE[kind]`.
    needs: what no machine of ours has, as the labels of a test server; such a claim never runs.
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


def find(folder: Path, name: str) -> list[Claim]:
  """The claims of a name.

  Args:
    folder: of the claims files.
    name: 'all', FILE or FILE:ID, where FILE is a path that ends in .yaml, or a name in the folder.

  Raises:
    ClaimError: there is no such claim; the message has the nearest name.
  """
  file, colon, id = name.partition(':')
  known = {path.stem: path for path in sorted(folder.glob('*.yaml'))}
  if name == 'all':
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
    advice = f'Did you mean {close[0]}?' if close else f'It has {", ".join(ids)}.'
    raise ClaimError(f'{path.name} has no claim {id!r}. {advice}')
  return found


def load(path: Path) -> list[Claim]:
  """Every claim of a file.

  Raises:
    ClaimError: it is no YAML, or a field is missing, unknown, there twice, or of another type.
  """
  try:
    text = path.read_text(encoding='utf-8')
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    _check_size(node, path.name)
    _check_unique_keys(node, path.name)
    document = yaml.safe_load(text)
  except ClaimError:
    raise
  except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
    raise ClaimError(f'{path.name} is no YAML: {" ".join(str(error).split())[:500]}') from error
  _check_fields(document, _FILE, {}, path.name)
  claims: dict[str, Claim] = {}
  for index, entry in enumerate(document['claims'], start=1):
    where = f'{path.name}, claim {index}'
    _check_claim(entry, where)
    claim = Claim(
      name=f'{path.stem}:{entry["id"]}',
      paper=document['paper'],
      source=document['source'],
      **entry,
    )
    if claim.id in claims:
      raise ClaimError(f'{where}: field id: {claim.id!r} is the name of another claim as well.')
    claims[claim.id] = claim
  if not claims:
    raise ClaimError(f'{path.name}: field claims: is empty.')
  return list(claims.values())


def _check_claim(entry: Any, where: str):
  """Raises ClaimError unless an entry of `claims` follows the schema."""
  _check_fields(entry, _CLAIM, dict(needs=str), where)
  where += f' ({entry["id"]})'
  kind, seeds, measure = entry['kind'], entry['seeds'], entry['measure']
  provenance, weights = entry['provenance'], measure.get('weights', 'trained')
  _require(kind in MEASURE, where, 'kind', f'{kind!r} is none of {", ".join(MEASURE)}')
  _require(
    provenance in PROVENANCE,
    where,
    'provenance',
    f'{provenance!r} is none of {", ".join(PROVENANCE)}',
  )
  _require(
    seeds in _NO_SEEDS or type(seeds) is int and seeds > 0,
    where,
    'seeds',
    f'{seeds!r}: must be how many, or {" or ".join(_NO_SEEDS)}',
  )
  _require(entry['tolerance'] >= 0, where, 'tolerance', 'must not be negative')
  _check_fields(measure, MEASURE[kind], _OPTIONAL.get(kind, {}), f'{where}, measure')
  for cell in ('cell', 'against'):
    if cell in measure and kind == 'flops':
      _check_fields(measure[cell], _CELL, {}, f'{where}, measure.{cell}')
  _require(weights in _WEIGHTS, where, 'measure.weights', f'must be {" or ".join(_WEIGHTS)}')


def _check_fields(mapping: Any, required: dict[str, type], optional: dict[str, type], where: str):
  """Raises ClaimError unless a mapping has these fields, of these types, and none is empty."""
  _require(
    isinstance(mapping, dict), where, 'itself', f'must be a mapping, not {type(mapping).__name__}'
  )
  types = required | optional
  for name in mapping:
    close = difflib.get_close_matches(str(name), types, 1)
    advice = f'Did you mean {close[0]}?' if close else f'Known: {", ".join(types)}'
    _require(name in types, where, name, f'is unknown. {advice}')
  for name in required:
    _require(name in mapping, where, name, 'is missing')
  for name, value in mapping.items():
    _check_value(value, types[name], where, name)


def _check_value(value: Any, wanted: type, where: str, name: str):
  """Raises ClaimError unless a value is of a type; any number is a float, anything an object."""
  if wanted is object:
    return
  if wanted is float:
    fits = type(value) in (int, float) and math.isfinite(value)
    _require(fits, where, name, f'{value!r} is no number (YAML reads 4e8 as text: write 4.0e+8)')
    return
  _require(type(value) is wanted, where, name, f'{value!r} must be {wanted.__name__}')
  if wanted is str:
    _require(bool(value.strip()), where, name, 'is empty')


def _check_size(root: yaml.Node | None, file: str):
  """Raises ClaimError if a document is too large once its aliases are written out.

  Nine levels of nine aliases of the level below are a few lines of text, and 9^9 values.
  """
  sizes: dict[int, int] = {}

  def size(node: yaml.Node | None) -> int:
    if not isinstance(node, yaml.CollectionNode):
      return 1
    if id(node) in sizes:
      return sizes[id(node)]
    sizes[id(node)] = _LARGEST + 1  # what holds itself has no end
    pairs = isinstance(node, yaml.MappingNode)
    children = [child for pair in node.value for child in pair] if pairs else node.value
    sizes[id(node)] = 1 + sum(map(size, children))
    return sizes[id(node)]

  if size(root) > _LARGEST:
    raise ClaimError(f'{file}: its aliases (*NAME) stand for more than {_LARGEST:,} values')


def _check_unique_keys(node: yaml.Node | None, file: str):
  """Raises ClaimError if a mapping has a key twice; YAML itself would silently take the last."""
  if isinstance(node, yaml.MappingNode):
    names = [key.value for key, _ in node.value]
    for key, value in node.value:
      line = key.start_mark.line + 1
      _require(names.count(key.value) == 1, f'{file}, line {line}', key.value, 'is there twice')
      _check_unique_keys(value, file)
  elif isinstance(node, yaml.SequenceNode):
    for item in node.value:
      _check_unique_keys(item, file)


def _require(holds: bool, where: str, field: str, what: str):
  if not holds:
    raise ClaimError(f'{where}: field {field}: {what}')
