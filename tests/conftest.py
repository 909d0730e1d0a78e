"""What every test runs under: 8 virtual CPU devices and strict rank promotion."""

import os
import signal

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")

# A shell that starts pytest in the background has it ignore Ctrl-C, and all that tests start too.
signal.signal(signal.SIGINT, signal.default_int_handler)
