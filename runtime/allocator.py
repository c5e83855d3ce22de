"""Settings of glibc's allocator that keep the memory of a training step for the next one."""

import ctypes
import os
from pathlib import Path
import sys

# Of malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def disable_malloc_trim():
  """Keeps freed memory in the process, for programs on a CPU; does nothing without glibc.

  To be called before anything large is allocated. XLA frees the buffers of a step and asks for the
  same sizes in the next. By default glibc returns each of them to the system, which then clears
  every page again. Large blocks of XLA's own threads are still mapped anew, because glibc keeps
  only the main heap; `reexec_with_huge_pages` makes that cheap.
  """
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError, TypeError):
    return
  mallopt(_MMAP_MAX, 0)  # all from the heap,
  mallopt(_TRIM_THRESHOLD, -1)  # which never shrinks


def reexec_with_huge_pages():
  """Executes this program again, in the same process, with huge pages (2 MiB) for malloc.

  To be called before anything else is done. Each step maps and clears gigabytes: with huge pages
  BERT-base trains a fifth faster on a CPU (docs/LOG.md, 2026-11-30). glibc reads GLIBC_TUNABLES
  only when a program starts, so it is executed again. Does nothing where that variable is set, even
  to nothing, or where Linux does not leave the choice to programs ([madvise]).
  """
  switch = Path('/sys/kernel/mm/transparent_hugepage/enabled')
  if 'GLIBC_TUNABLES' in os.environ or not switch.exists() or '[madvise]' not in switch.read_text():
    return
  os.environ['GLIBC_TUNABLES'] = 'glibc.malloc.hugetlb=1'
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
