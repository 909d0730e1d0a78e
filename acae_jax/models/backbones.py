"""Backbone networks by name.

Every backbone is a flax module with one way of being called:

    module.init(key, images, train=True) -> {"params": …, "batch_stats": …}
    module.apply(variables, images, train=False) -> features
    module.apply(variables, images, train=True, mutable=["batch_stats"],
                 rngs={"dropout": key}) -> (features, {"batch_stats": …})

`images` are (b, side, side, 3) in [0, 1]; features are (b, side / stride, side / stride,
channels) in the module's dtype. `rngs` is needed by the networks with stochastic depth only; the
others ignore it.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from acae_jax import messages
from acae_jax.models.efficientnet import STAGES, EfficientNetV2
from acae_jax.models.mobilenet import BLOCKS, MobileNetV3
from acae_jax.models.narrow import Narrow
from acae_jax.models.resnet import BLOCKS_PER_STAGE, ResNet

_STRIDE_32: dict[str, Callable[..., nn.Module]] = {
    **{f"resnet{depth}": partial(ResNet, depth) for depth in BLOCKS_PER_STAGE},
    **{f"efficientnetv2_{size}": partial(EfficientNetV2, size) for size in STAGES},
    **{f"mobilenetv3_{size}": partial(MobileNetV3, size) for size in BLOCKS},
}


def names() -> tuple[str, ...]:
    """The names that `create` knows."""
    return ("narrow", *_STRIDE_32)


def create(
    name: str,
    *,
    ghost_size: int,
    dtype: DTypeLike = jnp.float32,
    stride: int = 32,
    centred: bool = True,
    **options,
) -> nn.Module:
    """The backbone of this name.

    Args:
        name: one of `names()`.
        ghost_size: examples per ghost group of the norms.
        dtype: of the arithmetic, float32 or bfloat16; parameters are always float32.
        stride: pixels per output cell: 16 for `narrow`, else 32.
        centred: shifts the last strided layer so that the grid is centred in the image.
        options: attributes of that network, such as `widths` of `narrow`.

    Raises:
        ValueError: for an unknown name, or a stride or grid that the network does not have.
    """
    if name not in names():
        raise ValueError(f"unknown backbone {name!r}; {messages.near_misses(name, names())}")
    own_stride = 16 if name == "narrow" else 32
    if stride != own_stride:
        raise ValueError(f"backbone {name} has no stride {stride}: choose {own_stride}")
    if name == "narrow":
        if not centred:
            raise ValueError("backbone narrow is always centred: set centred=True")
        return Narrow(ghost_size, dtype=dtype, **options)
    return _STRIDE_32[name](ghost_size=ghost_size, centred=centred, dtype=dtype, **options)
