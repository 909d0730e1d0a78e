"""Batch norm folded into the convolution before it, for networks that are trained no more.

At test time a norm is y = x · factor + offset. Where x comes straight out of a convolution, factor
goes into its kernel and the norm is left with adding a bias; any other norm keeps the two numbers a
channel. Modules stay as they are: which norm follows which convolution is seen by watching the
network run, and `apply` puts the addition in the norms' place.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util
from jax import lax
from jaxtyping import Array, Float

from acae_jax.models.depthwise import DepthwiseConv
from acae_jax.models.ghost_norm import GhostNorm
from acae_jax.models.layers import Conv

Weights = dict[str, Array]
Path = tuple[str, ...]


def fold(
    network: nn.Module, variables: dict[str, Any], images: Float[jax.ShapeDtypeStruct, "b s s 3"]
) -> Weights:
    """The weights that `apply` takes, by name such as "backbone/stem/conv/kernel".

    `variables` are {"params": …, "batch_stats": …}; of `images` only the shape matters.
    """
    params: dict[Path, Any] = dict(traverse_util.flatten_dict(variables["params"]))
    stats: dict[Path, Any] = dict(traverse_util.flatten_dict(variables["batch_stats"]))
    norms = _norms(network, variables, images)
    for path, (epsilon, conv) in norms.items():
        scale, bias = params.pop((*path, "scale")), params[*path, "bias"]
        mean, variance = stats[*path, "mean"], stats[*path, "var"]
        factor = scale * lax.rsqrt(jnp.asarray(variance) + epsilon)
        shift = bias - mean * factor
        if conv is None:
            params[*path, "scale"] = factor
        else:
            for name in {"kernel", "bias"} & {p[-1] for p in params if p[:-1] == conv}:
                shape = (1,) * (params[*conv, name].ndim - 1) + (-1,)
                params[*conv, name] = params[*conv, name] * factor.reshape(shape)
        params[*path, "bias"] = shift
    return {"/".join(path): jnp.asarray(values) for path, values in params.items()}


def unfold(
    network: nn.Module, weights: Mapping[str, Any], images: Float[jax.ShapeDtypeStruct, "b s s 3"]
) -> dict[str, Any]:
    """Variables with which `network` gives at test time what `apply` gives with these weights.

    The statistics that `fold` took in are lost. Each norm gets mean 0 and variance 1 − ε instead,
    so that it scales and shifts by its parameters alone: train such a network with frozen norms.
    Raises ValueError if a norm has no weights.
    """
    shapes = jax.eval_shape(partial(network.init, train=False), jax.random.key(0), images)
    params: dict[Path, Any] = {tuple(name.split("/")): w for name, w in weights.items()}
    stats: dict[Path, Any] = {}
    for path, (epsilon, _) in _norms(network, dict(shapes), images).items():
        if (*path, "bias") not in params:
            raise ValueError(f"the weights have no {'/'.join(path)}/bias: of another network?")
        bias = params[*path, "bias"]
        params.setdefault((*path, "scale"), jnp.ones_like(bias))
        stats[*path, "mean"] = jnp.zeros_like(bias)
        stats[*path, "var"] = jnp.full_like(bias, 1 - epsilon)
    return {
        "params": traverse_util.unflatten_dict(params),
        "batch_stats": traverse_util.unflatten_dict(stats),
    }


def apply(network: nn.Module, weights: Mapping[str, Any], images: Float[Array, "b s s 3"]) -> Any:
    """What `network` gives at test time, with the weights that `fold` made."""
    params = traverse_util.unflatten_dict({tuple(k.split("/")): v for k, v in weights.items()})
    with nn.intercept_methods(_added):
        return network.apply({"params": params}, images, train=False)


def _added(
    call: Callable[..., Any], args: tuple, kwargs: dict, context: nn.module.InterceptorContext
) -> Any:
    """A norm as one addition, or as scale and shift; any other module as it is."""
    norm = context.module
    if not isinstance(norm, GhostNorm) or context.method_name != "__call__":
        return call(*args, **kwargs)
    x = args[0]
    result = x.astype(jnp.float32)
    if norm.has_variable("params", "scale"):
        result = result * _along(norm, "scale", x.ndim)
    return (result + _along(norm, "bias", x.ndim)).astype(x.dtype)


def _along(norm: GhostNorm, name: str, ndim: int) -> Array:
    values = jnp.tile(norm.get_variable("params", name), norm.fold)
    return values.reshape((1,) * (ndim - 1) + (-1,))


def _norms(
    network: nn.Module, variables: dict[str, Any], images: jax.ShapeDtypeStruct
) -> dict[Path, tuple[float, Path | None]]:
    """Each norm's epsilon and the convolution whose very output it gets, if any."""
    results: list[tuple[Any, nn.Module]] = []  # kept, so that no other array takes an identity
    norms: dict[Path, tuple[float, Path | None]] = {}

    def watch(call: Callable[..., Any], args: tuple, kwargs: dict, context: Any) -> Any:
        module = context.module
        if isinstance(module, GhostNorm) and context.method_name == "__call__":
            conv = next((module for result, module in results if result is args[0]), None)
            norms[module.path] = (module.epsilon, None if conv is None else conv.path)
        result = call(*args, **kwargs)
        if isinstance(module, Conv | DepthwiseConv) and context.method_name == "__call__":
            results.append((result, module))
        return result

    with nn.intercept_methods(watch):
        jax.eval_shape(lambda v, x: network.apply(v, x, train=False), variables, images)
    return norms
