"""How long the gradient of the narrow network takes, beside that of ResNet-18.

Run by hand on an otherwise idle machine: `python tests/speed/narrow.py`. Prints milliseconds
(medians) of a forward and backward pass over 64 images in ghost groups of 16, and the time of a
matrix product to compare machines by.
"""

from functools import partial

import jax
import jax.numpy as jnp
from timing import milliseconds

from acae_jax.models import backbones

BATCH = 64


def gradient(module, variables, images):
    def loss(params):
        features, stats = module.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
        )
        return jnp.mean(jnp.square(features)), stats

    return jax.grad(loss, has_aux=True)(variables["params"])


def main():
    square = jnp.ones((2048, 2048))
    product = milliseconds(jnp.matmul, square, square, repeats=9)
    print(f"{jax.default_backend()}: product of 2048 × 2048 matrices {product:.1f} ms")
    for name, stride in (("narrow", 16), ("resnet18", 32)):
        for side in (96, 128):
            module = backbones.create(name, ghost_size=16, stride=stride)
            images = jax.random.uniform(jax.random.key(0), (BATCH, side, side, 3))
            init = jax.jit(partial(module.init, train=True))
            variables = init(jax.random.key(1), images[:1])
            spent = milliseconds(partial(gradient, module), variables, images, repeats=5)
            print(f"{name:9} {side:4} px {spent:8.1f} ms", flush=True)


if __name__ == "__main__":
    main()
