"""Files that are whole or absent: standard library only, because data/ imports this too."""

import os
from pathlib import Path

from runtime import flaky


def atomic_write(path: Path, content: str | bytes, *, racing: bool = False):
  """Writes a file of this machine under another name, then renames it.

  A reader, and whoever comes after a kill, finds the old content or the new one, never a part.

  Args:
    path: in a folder that is there; a file of that name is replaced.
    racing: other processes may write the same file now, so the other name is this process's own;
      a kill then leaves that file behind.

  Raises:
    OSError: it cannot be written.
  """
  mark = f'.{os.getpid()}.new' if racing else '.new'
  new = path.with_name(path.name + mark)

  def write():
    if isinstance(content, bytes):
      new.write_bytes(content)
    else:
      new.write_text(content)
    new.replace(path)

  flaky.insist(write)
