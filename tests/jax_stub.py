"""A jax that tells of its import, for tests of what a program does before it.

What is meant by "at once": importing jax takes seconds, on a loaded machine many of them.
"""

import os
from pathlib import Path

IMPORTED = 'jax was imported'


def environment(folder: Path) -> dict[str, str]:
  """Variables of a process that says so and ends at once when it imports jax.

  What the process had printed and not flushed by then is lost.
  """
  (folder / 'jax.py').write_text(f'import os\nos.write(1, b"{IMPORTED}\\n")\nos._exit(99)\n')
  return dict(os.environ, JAX_PLATFORMS='cpu', PYTHONPATH=str(folder))
