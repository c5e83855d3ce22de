"""What TensorFlow Datasets lacks when it gives no text: a package, a network, a preparation."""

from importlib import util
import os

from data.errors import DataError

# Classes of errors, of whatever library, that mean that nothing answered.
_NETWORK = {'ConnectionError', 'TimeoutError', 'HTTPError', 'URLError', 'DownloadError', 'gaierror'}


def check_installed(who: str):
  """Raises DataError, which begins with `who`, unless tensorflow_datasets can be imported."""
  if util.find_spec('tensorflow_datasets') is None:
    raise DataError(
      f'{who} needs a package that is not installed: python -m pip install tensorflow-datasets'
    )


def missing(name: str, error: BaseException, instead: str) -> DataError:
  """What to say of a set that could not be prepared: first what is missing, then what to do.

  Args:
    instead: what else would do, as 'use another data.corpus'.
  """
  chain = []
  while error is not None and len(chain) < 20:
    chain.append(error)
    error = error.__cause__ or error.__context__
  package = next((each.name for each in chain if isinstance(each, ImportError) and each.name), None)
  classes = {kind.__name__ for each in chain for kind in type(each).__mro__}
  folder = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
  if package:
    lacks = f'the package {package} is missing, without which it cannot be prepared'
  elif classes & _NETWORK:
    lacks = f'the network is missing: nothing is in {folder}, and no server answers'
  else:
    lacks = f'its preparation is missing: it is not in {folder}, and cannot be made here'
  lines = str(chain[0]).strip().splitlines()
  why = (
    f'{type(chain[0]).__name__}: {lines[0].rstrip(".")[:200]}' if lines else type(chain[0]).__name__
  )
  return DataError(
    f'tfds:{name}: {lacks} ({why}). Prepare it where its needs are met (docs/data.md has the '
    f'command) and set TFDS_DATA_DIR, or {instead}'
  )
