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
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Inexact


class GhostNorm(nn.Module):
    """Normalises each channel (last axis) over every ghost group's examples and positions.

    Statistics and arithmetic are float32 and the result has the input's dtype. Running statistics
    of shape (c,) follow the groups one after another, as if each were a batch of its own: see
    `moving_average`. The running variance is the biased one. With `train=False` the running
    statistics are used and any batch size will do.

    While the variables are being initialised the whole batch counts as one group, whatever its
    size, so that a model may be initialised on one example. Afterwards a training batch smaller
    than a group, or not a multiple of it, is a ValueError.
    """

    group_size: int
    momentum: float = 0.99
    epsilon: float = 1e-3
    scale_init: nn.initializers.Initializer = nn.initializers.ones_init()

    @nn.compact
    def __call__(self, x: Inexact[Array, "b *positions c"], train: bool) -> Array:
        """Normalises x; with `train` the collection `batch_stats` must be mutable."""
        channels = x.shape[-1]
        scale = self.param("scale", self.scale_init, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,), jnp.float32)
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        variance = self.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32)
        if not train:
            factor = scale * lax.rsqrt(variance.value + self.epsilon)
            return _scale_and_shift(x, factor, bias - mean.value * factor)

        group_size = x.shape[0] if self.is_initializing() else self.group_size
        groups = group_count(x.shape[0], group_size)
        grouped = x.reshape(groups, group_size, *x.shape[1:])
        result, group_mean, group_variance = normalise(grouped, scale, bias, self.epsilon)
        if not self.is_initializing():
            mean.value = moving_average(mean.value, group_mean, self.momentum)
            variance.value = moving_average(variance.value, group_variance, self.momentum)
        return result.reshape(x.shape)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise(
    grouped: Inexact[Array, "g n *positions c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    epsilon: float,
) -> tuple[Inexact[Array, "g n *positions c"], Float[Array, "g c"], Float[Array, "g c"]]:
    """Each group normalised, scaled and shifted; its mean and variance, which are constants to
    gradients. Differentiable in reverse mode only.
    """
    return _normalise_forward(grouped, scale, bias, epsilon)[0]


def _normalise_forward(grouped, scale, bias, epsilon):
    mean, variance = _moments(grouped)
    rate = lax.rsqrt(variance + epsilon)
    factor = jnp.expand_dims(scale, 0) * rate
    result = _scale_and_shift(grouped, factor, jnp.expand_dims(bias, 0) - mean * factor)
    return (result, mean, variance), (grouped, scale, mean, rate)


def _normalise_backward(epsilon, residuals, cotangents):
    """With x̂ = (x − mean) · rate over n numbers: dx = scale · rate · (dy − Σdy / n − x̂ Σ dy x̂ / n)."""
    grouped, scale, mean, rate = residuals
    change = cotangents[0]
    axes = tuple(range(1, grouped.ndim - 1))
    count = grouped.size // mean.size
    exact = change.astype(jnp.float32)
    centred = grouped.astype(jnp.float32) - jnp.expand_dims(mean, axes)
    to_bias = jnp.sum(exact, axis=axes)
    to_scale = jnp.sum(exact * centred, axis=axes) * rate
    factor = jnp.expand_dims(scale, 0) * rate
    slope = -factor * rate * to_scale / count
    offset = -factor * to_bias / count - mean * slope
    factor, slope, offset = (jnp.expand_dims(one, axes) for one in (factor, slope, offset))
    back = exact * factor + grouped.astype(jnp.float32) * slope + offset
    return back.astype(grouped.dtype), jnp.sum(to_scale, axis=0), jnp.sum(to_bias, axis=0)


normalise.defvjp(_normalise_forward, _normalise_backward)


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


def _moments(grouped: Array) -> tuple[Float[Array, "g c"], Float[Array, "g c"]]:
    """Mean and biased variance of each group and channel, in float32."""
    axes = tuple(range(1, grouped.ndim - 1))
    values = grouped.astype(jnp.float32)
    mean = jnp.mean(values, axis=axes)
    variance = jnp.mean(jnp.square(values), axis=axes) - jnp.square(mean)
    return mean, jnp.maximum(variance, 0.0)


def _scale_and_shift(x: Array, factor: Array, offset: Array) -> Array:
    """x · factor + offset in float32; the factors lead with the group axis if x has one."""
    inner = (1,) * (x.ndim - factor.ndim)
    shape = (*factor.shape[:-1], *inner, factor.shape[-1])
    result = x.astype(jnp.float32) * factor.reshape(shape) + offset.reshape(shape)
    return result.astype(x.dtype)
