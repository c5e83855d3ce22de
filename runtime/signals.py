"""SIGTERM, SIGINT and SIGUSR1: stop soon, lose nothing, return 143. A second one stops at once.

Where nothing is saved SIGINT, which a person sends, returns 130, as in every program.
"""

from collections.abc import Callable
import contextlib
import os
import signal
import socket
import sys
import threading

from runtime import interrupt

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Stop:
  """Whether somebody asked the run to stop. One a process, made in its main thread.

  Python signal handlers run only when the main thread leaves C++; compilation can hold it for a
  minute. So a thread reads the byte that the C-level handler writes to a socket at once.

  Before `defer` is called, a signal ends the process with code 143, SIGINT with 130. After it, the
  first signal sets `requested` and the second one ends the process.

  Attributes:
    requested: an Event, which the training loop reads between steps.
  """

  def __init__(self):
    self.requested = threading.Event()
    self._deferred = False
    self._cleanups: list[Callable[[], None]] = []
    self._receiver, self._sender = socket.socketpair()
    self._sender.setblocking(False)
    for number in _SIGNALS:
      signal.signal(number, lambda *_: None)  # a handler at all, or the default one ends us
    signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=self._listen, daemon=True).start()

  def on_exit(self, cleanup: Callable[[], None]):
    """Adds something short to do if a signal ends the process here, as releasing the lock."""
    self._cleanups.append(cleanup)

  def defer(self):
    """Says that there is work to save from now on: the first signal only sets `requested`."""
    self._deferred = True

  def _listen(self):
    while True:
      for number in self._receiver.recv(16):  # a byte a signal
        if number in _SIGNALS:
          self._handle(signal.Signals(number).name)

  def _handle(self, name: str):
    if self._deferred and not self.requested.is_set():
      self.requested.set()
      _say(f'{name}: stopping after this step, with a checkpoint. Again: stop at once.')
      return
    try:
      _say(f'{name}: stopped.')
      for cleanup in self._cleanups:
        cleanup()
    finally:
      os._exit(interrupt.CODE if name == 'SIGINT' else 143)


def _say(text: str):
  with contextlib.suppress(OSError):  # the terminal may be gone
    print(text, file=sys.stderr, flush=True)
