"""SIGTERM, SIGINT and SIGUSR1: stop soon, lose nothing, return 143. A second one stops at once."""

from collections.abc import Callable
import contextlib
import os
import signal
import socket
import sys
import threading

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Stop:
  """Whether somebody asked the run to stop.

  Python's own handlers wait until the main thread returns from C++, which a compilation keeps for a
  minute. The byte that the C-level handler writes to a socket
  arrives at once, so a thread reads that instead.

  Attributes:
    requested: set by the first signal once `defer` was called; the loop looks at it between steps.
  """

  def __init__(self):
    self.requested = threading.Event()
    self._deferred = False
    self._cleanups: list[Callable[[], None]] = []
    self._receiver, self._sender = socket.socketpair()
    self._sender.setblocking(False)
    for number in _SIGNALS:
      signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=self._listen, daemon=True).start()

  def on_exit(self, cleanup: Callable[[], None]):
    """Something short to do if the process ends here: releasing the lock."""
    self._cleanups.append(cleanup)

  def defer(self):
    """From now on there is work to save: the first signal only sets `requested`."""
    self._deferred = True

  def _listen(self):
    while True:
      for number in self._receiver.recv(16):
        if number not in _SIGNALS:
          continue
        name = signal.Signals(number).name
        if self._deferred and not self.requested.is_set():
          self.requested.set()
          _say(f'{name}: stopping after this step, with a checkpoint. Again: stop at once.')
          continue
        try:
          _say(f'{name}: stopped.')
          for cleanup in self._cleanups:
            cleanup()
        finally:
          os._exit(143)


def _say(text: str):
  with contextlib.suppress(OSError):  # the terminal may be gone
    print(text, file=sys.stderr, flush=True)
