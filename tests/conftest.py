"""Eight simulated devices for the tests that shard; a shape that broadcasts by accident is an error."""

import jax

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
