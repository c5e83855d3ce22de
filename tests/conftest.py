"""Eight simulated devices for the tests that shard; a
shape that broadcasts by accident is an error.

Tests compile far more than they run, so the compiler is told to be quick rather than thorough.
"""

import jax

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_disable_most_optimizations', True)
