"""What every test runs under: 8 virtual CPU devices and strict rank promotion.

XLA does not optimise machine code: most programs here run a few times only, and compiling them is
most of the suite's time.
"""

import os
import signal

os.environ["XLA_FLAGS"] = " ".join(
    (
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0",
    )
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")

# A shell that starts pytest in the background has it ignore Ctrl-C, and all that tests start too.
signal.signal(signal.SIGINT, signal.default_int_handler)
