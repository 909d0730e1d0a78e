"""Batch normalisation over ghost groups: contiguous slices of the batch, normalised apart.

A batch of b examples is read as b / group_size groups in slot order, so the order of the slots
decides which examples are normalised together. Because the groups are an axis of a reshape, a
batch that is sharded in whole groups needs no communication for the statistics; only the running
statistics, which every device must hold alike, are reduced over devices. A batch whose shards cut
through a group still gives the right numbers, but XLA then has to move activations between
devices: keep (batch / devices) a multiple of the group size.

The gradient is written out. It reads the input and the cotangent twice, first for two sums a
channel, then for one multiply-add, and is rounded to the input's type at once. Differentiated
automatically, the contributions of mean, variance and result are added up in float32, and in a
bfloat16 network compilers write those sums, of twice the size, to memory.

The moments carry the name MOMENT for `jax.checkpoint`: kept, the normalised values can be computed
anew in the backward pass without another pass over the input.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, Inexact

MOMENT = "moment"


class GhostNorm(nn.Module):
    """Normalises each channel (last axis) over every ghost group's examples and positions.

    Statistics and arithmetic are float32 and the result has the input's dtype. Running statistics
    of shape (c,) follow the groups one after another, as if each were a batch of its own: see
    `moving_average`. The running variance is the biased one. With `train=False` the running
    statistics are used and any batch size will do.

    While the variables are being initialised the whole batch counts as one group, whatever its
    size, so that a model may be initialised on one example. Afterwards a training batch smaller
    than a group, or not a multiple of it, is a ValueError.

    With `fold` the last axis holds the channels of that many cells, one cell after another (see
    `layers`): parameters and statistics are those of the c / fold channels.
    """

    group_size: int
    momentum: float = 0.99
    epsilon: float = 1e-3
    fold: int = 1
    scale_init: nn.initializers.Initializer = nn.initializers.ones_init()

    @nn.compact
    def __call__(self, x: Inexact[Array, "b *positions c"], train: bool) -> Array:
        """Normalises x; with `train` the collection `batch_stats` must be mutable."""
        channels = x.shape[-1] // self.fold
        scale = self.param("scale", self.scale_init, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,), jnp.float32)
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        variance = self.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32)
        if not train:
            factor = scale * lax.rsqrt(variance.value + self.epsilon)
            offset = bias - mean.value * factor
            return _scale_and_shift(x, jnp.tile(factor, self.fold), jnp.tile(offset, self.fold))

        group_size = x.shape[0] if self.is_initializing() else self.group_size
        groups = group_count(x.shape[0], group_size)
        grouped = x.reshape(groups, group_size, *x.shape[1:])
        group_mean, group_variance = (
            checkpoint_name(one, MOMENT) for one in _moments(lax.stop_gradient(grouped), self.fold)
        )
        if not self.is_initializing():
            # As one array: the fewer, the fewer sums over devices a compiler makes of them.
            running = jnp.concatenate([mean.value, variance.value])
            per_group = jnp.concatenate([group_mean, group_variance], axis=1)
            moved = moving_average(running, per_group, self.momentum)
            mean.value, variance.value = jnp.split(moved, 2)
        moments = (group_mean, group_variance)
        result: Array = normalise(grouped, moments, scale, bias, self.epsilon, self.fold)
        return result.reshape(x.shape)


Moments = tuple[Float[Array, "g c"], Float[Array, "g c"]]


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def normalise(
    grouped: Inexact[Array, "g n *positions fc"],
    moments: Moments,
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    epsilon: float,
    fold: int,
) -> Inexact[Array, "g n *positions fc"]:
    """Each group normalised by its own mean and variance, then scaled and shifted.

    The gradient of `grouped` includes what it does to the moments. Reverse mode only.
    """
    mean, variance = moments
    factor = jnp.expand_dims(scale, 0) * lax.rsqrt(variance + epsilon)
    offset = jnp.expand_dims(bias, 0) - mean * factor
    return _scale_and_shift(grouped, jnp.tile(factor, (1, fold)), jnp.tile(offset, (1, fold)))


def _forward(grouped, moments, scale, bias, epsilon, fold):
    result = normalise(grouped, moments, scale, bias, epsilon, fold)
    return result, (grouped, moments, scale)


def _backward(epsilon, fold, residuals, cotangent):
    """dx = scale · rate · (dy − Σ dy / n − x̂ Σ dy x̂ / n), x̂ = (x − mean) · rate of n numbers."""
    grouped, (mean, variance), scale = residuals
    axes = tuple(range(1, grouped.ndim - 1))
    count = grouped.size // mean.size
    rate = lax.rsqrt(variance + epsilon)

    def wide(per_channel):
        return jnp.expand_dims(jnp.tile(per_channel, (1, fold)), axes)

    exact, values = cotangent.astype(jnp.float32), grouped.astype(jnp.float32)
    to_bias = _sum_of_cells(jnp.sum(exact, axis=axes), fold)
    to_scale = _sum_of_cells(jnp.sum(exact * (values - wide(mean)), axis=axes), fold) * rate
    factor = jnp.expand_dims(scale, 0) * rate
    slope = -factor * rate * to_scale / count
    offset = -factor * to_bias / count - mean * slope
    back = (exact * wide(factor) + values * wide(slope) + wide(offset)).astype(grouped.dtype)
    total = jnp.sum(jnp.concatenate([to_scale, to_bias], axis=1), axis=0)
    zeros = (jnp.zeros_like(mean), jnp.zeros_like(variance))
    return back, zeros, *jnp.split(total, 2)


normalise.defvjp(_forward, _backward)


def group_count(batch_size: int, group_size: int) -> int:
    """Number of ghost groups in a batch; ValueError unless the groups fill the batch exactly."""
    if group_size < 1 or batch_size < 1 or batch_size % group_size:
        raise ValueError(
            f"a training batch of {batch_size} cannot be split into ghost groups of {group_size}: "
            f"make the batch a multiple of ghost_size, or choose a ghost_size that divides it"
        )
    return batch_size // group_size


def moving_average(
    running: Float[Array, " c"], per_group: Float[Array, "g c"], momentum: float
) -> Float[Array, " c"]:
    """The result of g successive updates r ← m·r + (1 − m)·s_i, in closed form.

    r_g = m^g · r_0 + (1 − m) · Σ_i m^(g−1−i) · s_i, so one step of g groups decays by m^g.
    """
    groups = per_group.shape[0]
    weights = (1 - momentum) * momentum ** jnp.arange(groups - 1, -1, -1, dtype=jnp.float32)
    update = jnp.sum(jnp.expand_dims(weights, 1) * lax.stop_gradient(per_group), axis=0)
    return momentum**groups * running + update


def _moments(grouped: Array, fold: int) -> Moments:
    """Mean and biased variance of each group and channel, in float32."""
    axes = tuple(range(1, grouped.ndim - 1))
    values = grouped.astype(jnp.float32)
    mean = _sum_of_cells(jnp.mean(values, axis=axes), fold) / fold
    square = _sum_of_cells(jnp.mean(jnp.square(values), axis=axes), fold) / fold
    return mean, jnp.maximum(square - jnp.square(mean), 0.0)


def _sum_of_cells(values: Float[Array, "g fc"], fold: int) -> Float[Array, "g c"]:
    """Sums of the channels of `fold` cells that stand one after another."""
    return values if fold == 1 else jnp.sum(values.reshape(len(values), fold, -1), axis=1)


def _scale_and_shift(x: Array, factor: Array, offset: Array) -> Array:
    """x · factor + offset in float32; the factors lead with the group axis if x has one."""
    inner = (1,) * (x.ndim - factor.ndim)
    shape = (*factor.shape[:-1], *inner, factor.shape[-1])
    result = x.astype(jnp.float32) * factor.reshape(shape) + offset.reshape(shape)
    return result.astype(x.dtype)
