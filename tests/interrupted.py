"""Interrupts a program at many of its imports: python interrupted.py EVERY NAME ARGUMENT...

At every so many imports, or the next one at which the process has no other threads, a copy of it
(fork) gets SIGINT. Prints JSON lines: {before: imports until the program is guarded}, then {at,
code, err} of each copy.
"""

import json
import os
import runpy
import signal
import sys
import tempfile

every, name, *arguments = sys.argv[1:]
every, parent, imports, before, due = int(every), os.getpid(), 0, None, None


def alone() -> bool:
  """Whether a copy of this process can go on, and the program has not handed SIGINT to its run."""
  # The main thread and that of runtime/interrupt.py: a copy would wait for other ones in vain.
  threads = len(os.listdir('/proc/self/task'))
  return threads <= 2 and signal.getsignal(signal.SIGINT).__module__ == 'runtime.interrupt'


def interrupt(event: str, _):
  global imports, before, due
  if event != 'import' or os.getpid() != parent:
    return
  imports += 1
  if before is None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
      return
    before = due = imports
    print(json.dumps(dict(before=before)), flush=True)
  if imports < due or not alone():
    return
  due = imports + every
  with tempfile.TemporaryFile() as err:
    child = os.fork()
    if not child:
      os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
      os.dup2(err.fileno(), 2)
      signal.alarm(300)
      signal.set_wakeup_fd(-1)  # it is the parent's
      signal.raise_signal(signal.SIGINT)  # raises here what it raises in the program
      return
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    err.seek(0)
    print(json.dumps(dict(at=imports, code=code, err=err.read().decode())), flush=True)


sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ |= dict(
  GLIBC_TUNABLES='',  # or train.py would begin anew
  OPENBLAS_NUM_THREADS='1',
  OMP_NUM_THREADS='1',
)
sys.addaudithook(interrupt)
module = name if name in ('train', 'eval') else f'tools.{name}'
sys.argv = [name if name == module else '-m', *arguments]
sys.orig_argv = [sys.executable, '-m', module, *arguments]
runpy.run_module(module, run_name='__main__', alter_sys=True)
