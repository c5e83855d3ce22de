"""glibc's allocator, told to keep what a training step will need again."""

import ctypes
import os
from pathlib import Path
import sys

# Of malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def disable_malloc_trim():
  """Memory that is freed stays with the process, for programs on a
  CPU; nothing happens where there is no glibc.

  XLA frees the buffers of a step and asks for the same sizes in the next. As it comes, glibc gives
  each back to the system, which then clears every page anew. To be called before anything large is
  allocated. The largest blocks of XLA's own threads are still mapped anew: glibc keeps only the
  main heap. `reexec_with_huge_pages` makes that cheap.
  """
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError, TypeError):
    return
  mallopt(_MMAP_MAX, 0)  # all from the heap,
  mallopt(_TRIM_THRESHOLD, -1)  # which never shrinks


def reexec_with_huge_pages():
  """Begins the program anew with pages of 2 MiB for what malloc
  maps, where Linux leaves that to programs.

  Each step maps and clears gigabytes: with large pages BERT-base trains a fifth faster on a CPU
  (docs/LOG.md, 2026-11-30). glibc reads GLIBC_TUNABLES when a process begins, hence the second
  beginning, in the same process. Who has set that variable, to nothing even, is left alone. To be
  called before anything else is done.
  """
  switch = Path('/sys/kernel/mm/transparent_hugepage/enabled')
  if 'GLIBC_TUNABLES' in os.environ or not switch.exists() or '[madvise]' not in switch.read_text():
    return
  os.environ['GLIBC_TUNABLES'] = 'glibc.malloc.hugetlb=1'
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
