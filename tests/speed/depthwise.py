"""Side by side: depthwise convolution in the form for this platform, and as a grouped convolution.

Run by hand on an otherwise idle machine: `python tests/speed/depthwise.py`. Prints milliseconds
(medians) of a forward pass and of a forward and backward pass, for layers of EfficientNetV2-S and
MobileNetV3 at 256 px, their ratios, and the time of a matrix product to compare machines by.
"""

import jax
import jax.numpy as jnp
from timing import milliseconds

from acae_jax.models import depthwise, layers

# examples, side, channels, kernel, stride
LAYERS = [(8, 32, 256, 3, 2), (8, 16, 960, 3, 1), (8, 8, 1536, 3, 1), (8, 32, 120, 5, 1)]


def forward_and_both(convolve, x, kernel, stride):
    """Milliseconds of the forward pass, and of forward and backward together."""
    padding = layers.fixed_padding(kernel.shape[0])

    def forward(x, kernel):
        return convolve(x, kernel, stride, padding)

    def both(x, kernel):
        y, gradients = jax.vjp(forward, x, kernel)
        return gradients(y)

    return milliseconds(forward, x, kernel, repeats=7), milliseconds(both, x, kernel, repeats=7)


def main():
    square = jnp.ones((2048, 2048))
    product = milliseconds(jnp.matmul, square, square, repeats=7)
    print(f"{jax.default_backend()}: product of 2048 × 2048 matrices {product:.1f} ms")
    print(f"{'layer (b, side, c, k, stride)':32}{'grouped':>18}{'per platform':>18}{'ratio':>14}")
    for layer in LAYERS:
        batch, side, channels, kernel_size, stride = layer
        keys = jax.random.split(jax.random.key(0))
        x = jax.random.normal(keys[0], (batch, side, side, channels))
        kernel = jax.random.normal(keys[1], (kernel_size, kernel_size, 1, channels))
        rows = []
        for convolve in (depthwise.grouped, depthwise.convolve):
            rows.append(forward_and_both(convolve, x, kernel, stride))
        cells = [f"{forward:8.1f} {both:8.1f}" for forward, both in rows]
        ratios = " ".join(f"{a / b:6.1f}" for a, b in zip(*rows, strict=True))
        print(f"{layer!s:32}{cells[0]:>18}{cells[1]:>18}{ratios:>14}", flush=True)


if __name__ == "__main__":
    main()
