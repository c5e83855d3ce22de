"""Writing checkpoints while the run goes on.

A save blocks for as long as the devices need to hand the state over. What follows happens in the
background: each process hashes the parts that it holds, orbax writes them, and process 0 commits
the checkpoint with a manifest and removes the oldest ones. No process ever holds an array whole
that is split over several.

On a CPU nothing is even copied: numpy reads the buffers of the devices, and jax donates no buffer
that somebody reads, so the next step takes new memory instead.
"""

from concurrent.futures import Future, ThreadPoolExecutor
import contextlib
import hashlib
import json
import os
from typing import NamedTuple

from etils import epath
import jax
import numpy as np

from parallel import sharding
from runtime import distributed, faults, flaky, storage
from runtime.errors import NumericalError
from training import checkpoint

_THREADS = 2  # that hash: it is what a background may take of a CPU that trains


class Part(NamedTuple):
  """A part of an array that this process answers for.

  Attributes:
    name: path of the array in the state.
    about: type and shape of the whole array, and which slice of it this is.
  """

  name: str
  about: str
  data: np.ndarray


class Saver:
  """Writes the checkpoints of a run, one at a time.

  Args:
    directory: the folder of the checkpoints.
    keep: how many of the newest are kept.
  """

  def __init__(self, directory: epath.PathLike, keep: int):
    self._directory, self._keep, self._saves = epath.Path(directory), keep, 0
    self._pool, self._job = ThreadPoolExecutor(1), None

  def save(self, step: int, state, extra: dict):
    """Begins the checkpoint of a step; all processes must ask together.

    Args:
      extra: what else the run must know to go on, as JSON.

    Raises:
      as `finish`, of the save before.
    """
    self.finish()
    self._saves += 1
    plain = checkpoint.by_name(state)
    folder = checkpoint.folder_of(self._directory, step)
    needed = sum(leaf.size * leaf.dtype.itemsize for leaf in plain.values())
    with _failing(self._directory, step, needed, folder):
      distributed.from_first(lambda: flaky.insist(lambda: checkpoint.make_room(folder)))
      parts = [part for name in sorted(plain) for part in own_parts(name, plain[name])]
      writing = checkpoint.begin_writing(folder, plain)
    self._job: Future | None = self._pool.submit(
      self._finish, step, self._saves, folder, parts, writing, extra, needed
    )

  def finish(self):
    """Waits until the checkpoint that was begun is committed.

    Raises:
      NumericalError: an array is not finite; nothing was committed or removed.
      OSError: it could not be written; what was is removed, older checkpoints stay.
    """
    job, self._job = self._job, None
    if job is not None:
      job.result()

  def close(self):
    """Waits too; what went wrong with a checkpoint is then nobody's business."""
    with contextlib.suppress(Exception):
      self.finish()
    self._pool.shutdown()

  def _finish(self, step, number, folder, parts, writing, extra, needed):
    try:
      with _failing(self._directory, step, needed, folder):
        try:
          digest = _digest_of_all(f'{folder.name}/{number}', hash_parts(parts, step))
        finally:
          writing.wait_until_finished()
        faults.maybe_die('die_in_save', number)
        faults.maybe_fail_save(number)
        if distributed.index() == 0:
          checkpoint.commit(folder, extra | dict(digest=digest), self._keep)
    finally:
      writing.close()


def save(directory: epath.PathLike, step: int, state, extra: dict, *, keep: int):
  """Writes one checkpoint and waits for it; raises as `Saver.finish`."""
  saver = Saver(directory, keep)
  saver.save(step, state, extra)
  try:
    saver.finish()
  finally:
    saver.close()


def own_parts(name: str, array: jax.Array) -> list[Part]:
  """The parts of an array that lie here, each copy of a slice once over all processes."""
  about = f'{name} {array.dtype} {array.shape}'
  if array.is_fully_replicated:
    return [Part(name, about, np.asarray(array))] if distributed.index() == 0 else []
  parts = []
  for shard in array.addressable_shards:
    if shard.replica_id == 0:
      starts = [slice_.indices(size)[0] for slice_, size in zip(shard.index, array.shape)]
      parts.append(Part(name, f'{about} from {starts}', np.asarray(shard.data)))
  return parts


def hash_parts(parts: list[Part], step: int) -> dict[str, str]:
  """{what a part is: SHA-256 of its bytes}.

  Raises:
    NumericalError: a number in them is not finite.
  """

  def hashed(part: Part) -> str:
    if part.data.size and not np.isfinite([part.data.min(), part.data.max()]).all():
      raise NumericalError(
        f'step {step}: {part.name} is not finite; no checkpoint was written, older ones stay.'
      )
    return hashlib.sha256(np.ascontiguousarray(part.data).reshape(-1).view(np.uint8)).hexdigest()

  with ThreadPoolExecutor(_THREADS) as pool:
    return dict(zip([part.about for part in parts], pool.map(hashed, parts)))


def digest(state) -> str:
  """SHA-256 over every array of a state, whole: path, type, shape, bytes.

  It does not depend on how arrays are split, and so brings each of them together on every process:
  for once a run, not for every checkpoint. All processes must ask together.
  """
  sha = hashlib.sha256()
  for name, leaf in sorted(checkpoint.by_name(state).items()):
    array = sharding.to_host(leaf)
    sha.update(f'{name} {array.dtype} {array.shape}'.encode())
    sha.update(np.ascontiguousarray(array).tobytes())
  return sha.hexdigest()


def _digest_of_all(key: str, mine: dict[str, str]) -> str:
  """SHA-256 over the parts of all processes; what processes other than the first get is empty."""
  everyone = distributed.collect(f'digest/{key}', json.dumps(mine))
  parts = {about: sha for text in everyone for about, sha in json.loads(text).items()}
  lines = [f'{about} {parts[about]}\n' for about in sorted(parts)]
  return hashlib.sha256(''.join(lines).encode()).hexdigest()


@contextlib.contextmanager
def _failing(directory: epath.Path, step: int, needed: int, folder: epath.Path):
  """Removes what a failed save has written, and says in words why it failed."""
  try:
    yield
  except Exception as error:
    # Threads may still add files; without a manifest it is no checkpoint.
    with contextlib.suppress(OSError):
      folder.rmtree(missing_ok=True)
    what = f'checkpoint of step {step} not written, older ones stay.'
    if isinstance(error, NumericalError):
      raise
    if storage.remote(directory):
      raise OSError(f'{what} {" ".join(str(error).split())[:300]}') from error
    if number := flaky.errno_of(error):
      room = f'it needs {needed:,} bytes, {checkpoint.free_bytes(directory):,} are free'
      raise OSError(number, f'{what} {os.strerror(number)}: {room}') from error
    raise
