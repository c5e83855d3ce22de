"""Storage that fails for a moment: three tries with pauses, then the error.

Standard library only, because data/ imports this too.
"""

from collections.abc import Callable
import errno
import re
import time
from typing import TypeVar

T = TypeVar('T')
PAUSES_S = (1, 5)  # before the second and the third try
# What a network disk says while its server is away. A full disk, a missing file or a forbidden one
# is the same a moment later.
_FOR_A_MOMENT = {
  errno.EIO,
  errno.EAGAIN,
  errno.EBUSY,
  errno.ESTALE,
  errno.ETIMEDOUT,
  errno.ECONNRESET,
  errno.ECONNREFUSED,
  errno.ECONNABORTED,
  errno.ENOTCONN,
  errno.ENETUNREACH,
  errno.EHOSTUNREACH,
}


def insist(act: Callable[[], T]) -> T:
  """What `act` returns, at the third try at the latest; it must do no harm if done again.

  Raises:
    Exception: of `act`: the third one, or the first that does not pass.
  """
  for pause in PAUSES_S:
    try:
      return act()
    except Exception as error:
      if not passes(error):
        raise
      time.sleep(pause)
  return act()


def passes(error: Exception) -> bool:
  """Whether what failed may work a moment later."""
  return isinstance(error, TimeoutError) or errno_of(error) in _FOR_A_MOMENT


def errno_of(error: Exception) -> int | None:
  """The errno behind an error, or None; tensorstore hides it in a ValueError's text."""
  if isinstance(error, OSError):
    return error.errno
  found = re.search(r"os_error_code='(\d+)'", str(error))
  return int(found[1]) if found else None
