"""The change of colour that `colour` describes, computed by the device that trains.

On the host only decoding takes longer; an accelerator does it while it reads the image. Results
differ from the host's by the rounding to bytes, which is left out here.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int32

from acae_jax.images import colour


def apply(
    images: Float32[Array, "b h w 3"], stages: Float32[Array, "b 5 2"], fixed: Int32[Array, "b 4"]
) -> Float32[Array, "b h w 3"]:
    """Each image, in [0, 1], with its `colour.Stages` applied.

    The rectangle `fixed` (top, left, bottom, right) of each image stays as it is: an erased part
    has its final colours already.
    """
    pixels = images
    # (5, 2, b, 1, 1, 1): each number for all pixels of its image.
    numbers = jnp.moveaxis(stages, 0, 2)[..., None, None, None]
    for at in range(5):
        first, second = numbers[at]
        if at % 2 == 0:
            pixels = pixels * first + second
        else:
            turned = _turn_and_saturate(jnp.clip(pixels, 0, 1), first, second)
            unchanged = (first == colour.UNCHANGED[at, 0]) & (second == colour.UNCHANGED[at, 1])
            pixels = jnp.where(unchanged, pixels, turned)
    rows, columns = jnp.indices(images.shape[1:3])[:, None]
    top, left, bottom, right = jnp.moveaxis(fixed, 1, 0)[..., None, None]
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return jnp.where(inside[..., None], images, jnp.clip(pixels, 0, 1))


def _turn_and_saturate(
    rgb: Float[Array, "b h w 3"], turn: Float[Array, "b 1 1 1"], gain: Float[Array, "b 1 1 1"]
) -> Float[Array, "b h w 3"]:
    """Turn the hue by radians and scale the saturation of values in [0, 1] (Smith 1978)."""
    red, green, blue = (rgb[..., channel] for channel in range(3))
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    safe = jnp.where(chroma > 0, chroma, 1.0)
    sixths = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixths = sixths + turn[..., 0] * (3 / jnp.pi)
    chroma = jnp.minimum(chroma * gain[..., 0], value)
    # Each channel falls from the value by the chroma times how far its hue is away.
    falls = [jnp.mod(sixths + offset, 6.0) for offset in (5.0, 3.0, 1.0)]
    channels = [value - chroma * jnp.clip(jnp.minimum(k, 4.0 - k), 0, 1) for k in falls]
    return jnp.stack(channels, axis=-1)
