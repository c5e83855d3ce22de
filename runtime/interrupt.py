"""Ctrl-C at any moment: one line, exit code 130, no traceback.

While a program is imported there is nothing to clear away: SIGINT ends it at once. In its main
function the first one is raised as KeyboardInterrupt, so that what was begun is cleared away, and a
second one ends it at once, even inside C++ code. A run has something to save: signals.py.

This is imported before all else, so it imports next to nothing: until then Python answers.
"""

import atexit
import os
import signal
import sys

CODE = 130
_first = True  # nobody has called `guard`


def guard(code: int = CODE):
  """From now on SIGINT ends the process at once, with this code.

  To be called in the main thread: as soon as a program begins, and again when it has ended, so that
  what the interpreter still does is guarded, too.
  """
  global _first
  if _first:  # what is registered first runs last: from there on Python answers no signal itself
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    _first = False
  signal.signal(signal.SIGINT, lambda *_: _end(code))
  sys.excepthook = lambda kind, *rest: (
    _end(code) if _ours(kind) else sys.__excepthook__(kind, *rest)
  )
  # What Python cannot raise, as in a finaliser, it prints and drops.
  sys.unraisablehook = lambda lost: (
    _end(code) if _ours(lost.exc_type) else sys.__unraisablehook__(lost)
  )


class Raised:
  """A context in which the first SIGINT is a KeyboardInterrupt, and the second ends the process.

  Attributes:
    asked: whether one has come; a library may have made another error of it.
  """

  asked = False

  def __enter__(self) -> 'Raised':
    import socket
    import threading

    receiver, self._sender = socket.socketpair()
    self._sender.setblocking(False)
    threading.Thread(target=self._listen, args=(receiver,), daemon=True).start()
    signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, self._raise)
    return self

  def __exit__(self, *_):
    signal.set_wakeup_fd(-1)
    self._sender.close()

  def _raise(self, *_):
    if self.asked:
      _end(CODE)
    self.asked = True
    raise KeyboardInterrupt

  def _listen(self, receiver):
    """Counts what the C-level handler writes at once, whatever the main thread does."""
    count = 0
    with receiver:
      while data := receiver.recv(16):  # a byte a signal; nothing once the other end is closed
        count += data.count(signal.SIGINT)
        if count > 1:
          _end(CODE)


def say():
  """Prints the line, past the buffers, which may be in use."""
  folder, name = os.path.split(sys.argv[0])
  if name == '__main__.py':
    name = os.path.basename(folder)
  if name == '-m':  # the program is being looked for
    name = sys.orig_argv[sys.orig_argv.index('-m') + 1]
  try:
    os.write(2, f'{name}: interrupted.\n'.encode())
  except OSError:  # the terminal may be gone
    pass


def _ours(kind: type) -> bool:
  return issubclass(kind, KeyboardInterrupt)


def _end(code: int):
  say()
  os._exit(code)
