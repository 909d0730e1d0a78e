"""Autoencoder training steps per second, in a compiled scan and one by one, and the limit.

    python tests/speed/autoencoder.py [--joints 555] [--latents 48] [--batch 32] [--poses 20000]
        [--repeats 5]

The limit is arithmetic: a step needs five products of (3·batch, J) with (J, L) matrices (two
forward, three backward), so training can at best be as fast as these products alone in a scan.
Rounds of the three alternate. Prints medians.
"""

import argparse
import statistics
import time
from functools import partial

import jax
import jax.numpy as jnp
import optax

from acae_jax.estimation.model import autoencoder


def make_bare_products(batch, joints, latents):
    """A scan over the five products alone; each feeds the next, so XLA drops none."""

    @partial(jax.jit, static_argnames="steps")
    def run(poses, encode, decode, steps):
        def step(carry, index):
            encode, decode = carry
            start = (index * batch) % (len(poses) - batch)
            p = jax.lax.dynamic_slice_in_dim(poses, start, batch).reshape(3 * batch, joints)
            q = p @ encode
            again = q @ decode
            to_decode = q.T @ again
            back = again @ decode.T
            to_encode = p.T @ back
            return (encode + 1e-12 * to_encode, decode + 1e-12 * to_decode), again[0, 0]

        return jax.lax.scan(step, (encode, decode), jnp.arange(steps))

    return run


def seconds(function):
    """Wall time of one call, to the last result."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def main():
    """Measure and print the three rates side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (
        ("joints", 555),
        ("latents", 48),
        ("batch", 32),
        ("poses", 20000),
        ("repeats", 5),
        ("host_steps", 200),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    left = args.joints * 2 // 5
    sides = autoencoder.Sides(
        tuple(range(left)), tuple(range(left, 2 * left)), tuple(range(2 * left, args.joints))
    )
    central = args.latents // 6
    latents = autoencoder.Latents((args.latents - central) // 2, central)
    poses = 500 * jax.random.normal(jax.random.key(0), (args.poses, 3, args.joints))
    poses += jnp.array([[[0.0], [0.0], [3000.0]]])
    optimizer = optax.adam(1e-3)
    params = autoencoder.init(jax.random.key(1), sides, latents)

    def fresh():
        copy = jax.tree.map(jnp.copy, params)
        return autoencoder.State(copy, optimizer.init(copy))

    epoch = partial(
        autoencoder.train_epoch, optimizer=optimizer, batch_size=args.batch, projected=True
    )
    steps = args.poses // args.batch
    one = poses[: args.batch]
    bare = make_bare_products(args.batch, args.joints, args.latents)
    encode, decode = autoencoder.ordered_weights(params)

    def host_driven():
        state = fresh()
        for number in range(args.host_steps):
            state, metrics = epoch(state, one, jax.random.key(number), 0.6)
            jax.block_until_ready(metrics)
        return state

    contenders = {
        "compiled scan": (lambda: epoch(fresh(), poses, jax.random.key(2), 0.6), steps),
        "one step at a time from the host": (host_driven, args.host_steps),
        "bare products": (lambda: bare(poses, encode, decode, steps), steps),
    }
    for function, _ in contenders.values():
        seconds(function)
    rates = {name: [] for name in contenders}
    for _ in range(args.repeats):
        for name, (function, count) in contenders.items():
            rates[name].append(count / seconds(function))
    median = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in median.items():
        share = rate / median["bare products"]
        print(f"{name:34s} {rate:8.0f} steps/s   {share:5.2f} of the bare products")
    total = 30 * steps / median["compiled scan"]
    print(f"30 epochs over {args.poses} poses: {total:.0f} s")


if __name__ == "__main__":
    main()
