"""Configs that an earlier version wrote, in the words of this one."""

import copy

# Knobs that have another name now, by their old one.
RENAMED = {
  'start_from': 'init_from',
  'stuck_after': 'watchdog_seconds',
  'validation.also': 'validation.extra_cells',
  'mlm.static': 'mlm.fixed_maskings',
}
# Knobs that are gone, with the one value under which a run means the same without them.
DROPPED = {'model.position_init_scale': 0.02}
# Knobs that are newer than the first configs, with the value that means what was done before.
ADDED = {
  'data.rows': 'auto',
  'init_layers': '',
  'mlm.smoothing': 0.0,
  'distill.teacher': '',
  'distill.temperature': 2.0,
  'data.mix_exponent': 0.7,
  'data.groups': '',
  'data.score_scale': 1.0,
  'optimizer.decay': 'linear',
  'data.query_prompt': '',
  'data.document_prompt': '',
  'optimizer.skip_sigmas': 0.0,
  'optimizer.skip_window': 128,
  'optimizer.skip_limit': 8,
  'model.plain_heads': False,
  'model.head_dropout': False,
  'model.normed_heads': False,
  'model.plain_mlm': False,
  'model.window': 0,
  'model.global_every': 1,
  'model.window_rotary_base': 0.0,
  'model.skip_first_norm': False,
  'model.norm_bias': 'same',
  'model.pooling': 'mean',
  'model.projection': 0,
  'model.projection_activation': 'tanh',
  'model.unit_vectors': False,
  'vectors': dict(
    scale=20.0,
    directions='query_to_doc',
    partition='joint',
    distance='euclidean',
    margin=5.0,
    dimensions='',
  ),
  'data.task': '',
  'data.task_files': '',
  'data.columns': '',
  'data.labels': 'auto',
  'data.stride': 128,
  'finetune.pooling': 'auto',
  'finetune.label_smoothing': 0.0,
  'finetune.class_weights': 'equal',
  'finetune.n_best': 20,
  'finetune.longest_answer': 30,
  'finetune.seeds': 1,
  'optimizer.warmup_share': 0.0,
  'optimizer.layer_decay': 1.0,
  'optimizer.frozen_layers': 0,
  'optimizer.unfreeze_every': 0,
  'validation.patience': 0,
  'checkpoint.best': '',
}


def upgrade(resolved: dict) -> dict:
  """A resolved config with today's names, and with the knobs that it is too old to have.

  A dropped knob that had another value than the one it is dropped for is kept, for `check` to
  refuse.
  """
  resolved = copy.deepcopy(resolved)
  for old, new in RENAMED.items():
    if _has(resolved, old) and not _has(resolved, new):
      _set(resolved, new, _take(resolved, old))
  for name, value in DROPPED.items():
    if _has(resolved, name) and _get(resolved, name) == value:
      _take(resolved, name)
  for name, value in ADDED.items():
    if not _has(resolved, name):
      group, dot, _ = name.partition('.')
      if dot:
        resolved.setdefault(group, {})  # the group may be new, too
      _set(resolved, name, value)
    elif isinstance(value, dict) and isinstance(_get(resolved, name), dict):
      _set(resolved, name, value | _get(resolved, name))  # a group that was smaller
  return resolved


def without_unused(resolved: dict) -> dict:
  """A resolved config without the newer knobs that are at what was done before."""
  resolved = copy.deepcopy(resolved)
  for name, value in ADDED.items():
    if _has(resolved, name) and _get(resolved, name) == value:
      _take(resolved, name)
  groups = {name.partition('.')[0] for name in ADDED}
  return {name: value for name, value in resolved.items() if value != {} or name not in groups}


def renamed(name: str) -> str | None:
  """The name that a knob has now, if `name` is one of before (with its group or without)."""
  by_leaf = {old.rpartition('.')[2]: new for old, new in RENAMED.items()}
  return RENAMED.get(name) or by_leaf.get(name)


def _group_of(resolved: dict, name: str) -> tuple[object, str]:
  group, _, leaf = name.rpartition('.')
  return (resolved.get(group) if group else resolved), leaf


def _has(resolved: dict, name: str) -> bool:
  group, leaf = _group_of(resolved, name)
  return isinstance(group, dict) and leaf in group


def _get(resolved: dict, name: str):
  group, leaf = _group_of(resolved, name)
  return group[leaf]


def _take(resolved: dict, name: str):
  group, leaf = _group_of(resolved, name)
  return group.pop(leaf)


def _set(resolved: dict, name: str, value):
  group, leaf = _group_of(resolved, name)
  if isinstance(group, dict):
    group[leaf] = value
