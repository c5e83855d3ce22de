"""glibc's allocator, told to keep what a training step will need again."""

import ctypes

# Of malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_memory():
  """Memory that is freed stays with the process, for programs on a CPU; nothing happens where there is no glibc.

  XLA frees the buffers of a step and asks for the same sizes in the next. As it comes, glibc gives each back to the
  system, which then clears every page anew. To be called before anything large is allocated. The largest blocks of
  XLA's own threads are still mapped anew: glibc keeps only the main heap. docs/benchmarks.md says what helps there.
  """
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError, TypeError):
    return
  mallopt(_MMAP_MAX, 0)  # all from the heap,
  mallopt(_TRIM_THRESHOLD, -1)  # which never shrinks
