"""Text at one address of the web: fetched once, hash-checked."""

import dataclasses
import hashlib
from pathlib import Path
import urllib.request

from data.errors import DataError
from runtime.atomic import atomic_write


@dataclasses.dataclass(frozen=True)
class Page:
  """One plain text file, and the name that it has in the cache."""

  url: str
  file: str
  sha256: str

  def fetch(self, cache: Path, progress) -> Path:
    """The path of the file in the cache, downloaded if it is not there.

    Raises:
      OSError: it could not be downloaded.
      DataError: the file is not the one that was published.
    """
    path = cache / 'downloads' / self.file
    if not path.exists():
      progress(f'downloading {self.file}', 0, None)
      try:
        with urllib.request.urlopen(self.url, timeout=20) as answer:
          content = answer.read()
      except OSError as error:
        raise OSError(
          f'could not download {self.url} ({error}). Fetch it on another machine, and either put '
          f'it at {path}, or name it with --config.data.corpus=text:PATH'
        ) from error
      path.parent.mkdir(parents=True, exist_ok=True)
      atomic_write(path, content)
    return verified(path, self.sha256)


def verified(path: Path, sha256: str) -> Path:
  """`path`, if the file there has this SHA-256.

  Raises:
    DataError: it has another one.
  """
  with open(path, 'rb') as stream:
    found = hashlib.file_digest(stream, 'sha256').hexdigest()
  if found != sha256:
    raise DataError(
      f'{path} is not the file it should be: sha256 {found}, expected {sha256}. '
      'Delete it to have it fetched again'
    )
  return path
