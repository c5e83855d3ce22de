"""What objectives read of groups beside their texts, as arrays with a row a group."""

import numpy as np

from data.errors import DataError
from data.groups import files
from data.groups.files import Group


def once(group: Group) -> Group:
  """A text alone counts once, where no dropout is to tell two copies apart."""
  alone = len(group.columns) == 1 + (group.label is not None)
  return group._replace(texts=group.texts[:1]) if alone else group


def read(
  split: str, groups, labels: str, classes: tuple[str, ...], scale: float, K: int, width: int
):
  """{name in a batch: array with a row a group} of what the objectives read."""
  if not labels:
    return {}
  if any(group.label is None for group in groups):
    raise DataError(f'data.groups, {split}: the objective reads a {labels}, and there is no column')
  if labels == 'score':
    return dict(score=np.array(files.scores(split, groups, scale), np.float32))
  if labels == 'scores':
    score_NxM = np.zeros((len(groups), K - 1), np.float32)
    for row, values in enumerate(files.score_lists(split, groups)):
      score_NxM[row, : len(values)] = values
    return dict(scores=score_NxM)
  if labels == 'vectors':
    return dict(target=_targets(split, groups, K, width))
  index = {name: number for number, name in enumerate(classes)}
  return dict(label=np.array([index[str(group.label).strip()] for group in groups], np.int32))


def _targets(split: str, groups, K: int, width: int) -> np.ndarray:
  """A teacher's vectors, NxKxD."""
  found = files.vectors(split, groups)
  D = len(found[0][0])
  if D != width:
    raise DataError(
      f'data.groups, {split}: the vectors have {D} dimensions, and those of this network {width}: '
      f'config.model.projection={D} with config.model.projection_activation=identity makes them '
      'alike'
    )
  target_NxKxD = np.zeros((len(groups), K, D), np.float32)
  for row, vectors in enumerate(found):
    target_NxKxD[row, : len(vectors)] = vectors
  return target_NxKxD
