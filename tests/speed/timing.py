"""How the scripts beside this one time a compiled function."""

import statistics
import time

import jax


def milliseconds(function, *args, repeats):
    """Median time of a call, after compiling and a first call."""
    compiled = jax.jit(function).lower(*args).compile()
    jax.block_until_ready(compiled(*args))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*args))
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)
