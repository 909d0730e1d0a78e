"""The inverted bottleneck of MobileNetV3 and EfficientNetV2: expand, convolve, excite, project."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact

from acae_jax.models.depthwise import DepthwiseConv
from acae_jax.models.ghost_norm import MOMENT, GhostNorm
from acae_jax.models.layers import PRODUCT, Conv, ConvNorm


class InvertedBottleneck(nn.Module):
    """Expands the channels, convolves each apart, projects them; a shortcut where shapes allow.

    Attributes:
        features: channels out.
        expanded: channels in between. Equal to the channels in: there is no expanding layer.
        ghost_size: examples per ghost group.
        fused: one dense convolution expands and convolves, in place of a 1 × 1 and a depthwise one.
            If there is nothing to expand, it is the only layer.
        squeezed: hidden channels of squeeze-and-excitation; None leaves it out.
        gate: what makes the excitation's factors of its logits.
        drop_rate: chance that an example skips the block in training (rng "dropout").
        fold: of the map in and out, see `layers`; only where the one layer is dense.
    """

    features: int
    expanded: int
    ghost_size: int
    kernel_size: int = 3
    fused: bool = False
    stride: int = 1
    shift: int = 0
    squeezed: int | None = None
    activation: Callable[[Array], Array] = jax.nn.silu
    squeeze_activation: Callable[[Array], Array] = jax.nn.silu
    gate: Callable[[Array], Array] = jax.nn.sigmoid
    drop_rate: float = 0.0
    fold: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Inexact[Array, "b h w c"], train: bool) -> Inexact[Array, "b h2 w2 d"]:
        """Applies the block."""
        channels = x.shape[-1] // self.fold
        conv = partial(
            ConvNorm, ghost_size=self.ghost_size, activation=self.activation, dtype=self.dtype
        )
        strided = partial(conv, kernel_size=self.kernel_size, stride=self.stride, shift=self.shift)
        if self.fused and self.expanded == channels:
            y = strided(self.features, fold=self.fold, name="convolve")(x, train)
        else:
            if self.fused:
                y = strided(self.expanded, name="convolve")(x, train)
            else:
                y = self._expand_and_convolve(x, train, conv)
            if self.squeezed is not None:
                y = SqueezeExcite(
                    self.squeezed, self.squeeze_activation, self.gate, self.dtype, name="excite"
                )(y)
            y = conv(self.features, kernel_size=1, activation=None, name="project")(y, train)
        if self.stride > 1 or channels != self.features:
            return y
        if train and self.drop_rate > 0 and not self.is_initializing():
            y = drop_examples(y, self.drop_rate, self.make_rng("dropout"))
        return x + y

    def _expand_and_convolve(self, x: Array, train: bool, conv: Callable[..., nn.Module]) -> Array:
        if self.expanded != x.shape[-1]:
            x = conv(self.expanded, kernel_size=1, name="expand")(x, train)
        x = DepthwiseConv(self.kernel_size, self.stride, self.shift, self.dtype, name="depthwise")(
            x
        )
        return self.activation(GhostNorm(self.ghost_size, name="depthwise_norm")(x, train))


def recomputed(block: type[nn.Module]) -> type[nn.Module]:
    """The block, of which only sums and convolutions are kept for the backward pass.

    Norms and activations are computed again from them, while they are read anyway: less to write,
    to read and to hold than keeping both sides of each activation.
    """
    policy = jax.checkpoint_policies.save_only_these_names(PRODUCT, MOMENT)
    return nn.remat(block, static_argnums=(2,), policy=policy)


class SqueezeExcite(nn.Module):
    """Scales each channel by a factor computed from the means of all channels."""

    squeezed: int
    activation: Callable[[Array], Array]
    gate: Callable[[Array], Array]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Inexact[Array, "b h w c"]) -> Inexact[Array, "b h w c"]:
        """Applies it; the means are taken in float32."""
        means = jnp.mean(x, axis=(1, 2), keepdims=True, dtype=jnp.float32)
        means = checkpoint_name(means, MOMENT)
        conv = partial(Conv, kernel_size=1, use_bias=True, dtype=self.dtype)
        hidden = self.activation(conv(self.squeezed, name="squeeze")(means))
        return x * self.gate(conv(x.shape[-1], name="excite")(hidden))


def drop_examples(
    x: Inexact[Array, "b h w c"], rate: float, key: Array
) -> Inexact[Array, "b h w c"]:
    """Stochastic depth: zeroes examples with chance `rate`, divides the rest by 1 − rate."""
    stays = jax.random.bernoulli(key, 1 - rate, (x.shape[0], 1, 1, 1))
    return jnp.where(stays, x / (1 - rate), jnp.zeros((), x.dtype))
