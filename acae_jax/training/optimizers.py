"""The published recipe: AdamW, its schedules, its decay rule and the limit on kernel norms.

Decay is decoupled (Loshchilov & Hutter 2019) and scaled by the current learning rate. It acts on
kernels only: not on biases, nor on the scales and shifts of norms. Steps are counted from 0: the
first update uses rate(0).
"""

import math
from collections.abc import Collection, Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

BASE_RATE = 2.121e-4
KERNEL_NORM = 20.0


def weight_decay(steps: int, base_rate: float = BASE_RATE) -> float:
    """Decay before the learning rate multiplies it: 3e-3 / √steps / base rate."""
    return 3e-3 / math.sqrt(steps) / base_rate


def two_phases(
    steps: int, base_rate: float = BASE_RATE, first: float = 0.92, warmup_steps: int = 0
) -> optax.Schedule:
    """From the base rate to its third over the share `first` of steps, then from its 30th × 0.3.

    Both phases decay exponentially; with `first` 0 only the second one is left. `warmup_steps` rise
    linearly to the schedule's own value.
    """
    switch = math.ceil(first * steps)

    def rate(count: Any) -> Float[Array, ""]:
        done = jnp.asarray(count, jnp.float32) / steps
        early = (1 / 3) ** (done / first) if first else 1.0
        late = 0.3 ** ((done - first) / (1 - first)) / 30
        warm = jnp.minimum(1.0, (count + 1) / warmup_steps) if warmup_steps else 1.0
        return base_rate * warm * jnp.where(count < switch, early, late)

    return rate


def initial(
    steps: int,
    *,
    base_rate: float = BASE_RATE,
    decay: float | None = None,
    warmup_steps: int = 0,
    kernel_norm: float | None = KERNEL_NORM,
) -> optax.GradientTransformation:
    """The optimiser of stage 1: `two_phases` over all parameters.

    `decay` defaults to the recipe's rule, `weight_decay`.
    """
    decay = weight_decay(steps, base_rate) if decay is None else decay
    adamw = _adamw(two_phases(steps, base_rate, warmup_steps=warmup_steps), decay)
    return _limited(adamw, kernel_norm)


def fine_tuning(
    steps: int,
    *,
    base_rate: float = BASE_RATE,
    decay: float | None = None,
    warmup_steps: int = 0,
    kernel_norm: float | None = KERNEL_NORM,
    head: Collection[str] = ("head",),
) -> optax.GradientTransformation:
    """The optimiser of stage 3: the head restarts at the base rate, the backbone stays low.

    `head` names entries of the parameters' top level. Initialising raises a ValueError if one is
    missing.
    """
    decay = weight_decay(steps, base_rate) if decay is None else decay
    rates = {
        "head": two_phases(steps, base_rate, first=0.5, warmup_steps=warmup_steps),
        "backbone": two_phases(steps, base_rate, first=0.0, warmup_steps=warmup_steps),
    }

    def labels(params: Mapping[str, Any]) -> dict[str, str]:
        missing = set(head) - set(params)
        if missing:
            raise ValueError(f"the parameters have no {sorted(missing)}, only {sorted(params)}")
        return {name: "head" if name in head else "backbone" for name in params}

    parts: dict[Hashable, optax.GradientTransformation] = {
        part: _adamw(rate, decay) for part, rate in rates.items()
    }
    return _limited(optax.multi_transform(parts, labels), kernel_norm)


def limit_kernel_norm(limit: float) -> optax.GradientTransformation:
    """Keeps the norm of each output filter of every kernel at most `limit`, after the update.

    Keras' max_norm, w ← w · min(‖w‖, limit) / ‖w‖, with norms over all axes but the last. Must be
    last in a chain.
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("limit_kernel_norm needs params: update(updates, state, params)")

        def limited(is_kernel: bool, change: Array, value: Array) -> Array:
            if not is_kernel:
                return change
            new = value + change
            norm = jnp.sqrt(jnp.sum(new**2, axis=tuple(range(new.ndim - 1)), keepdims=True))
            # Within the limit the change passes untouched, free of a second rounding.
            return jnp.where(norm > limit, new * (limit / jnp.maximum(norm, limit)) - value, change)

        return jax.tree.map(limited, kernels(params), updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def kernels(params: Any) -> Any:
    """Which parameters are kernels: those named "kernel"."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: getattr(path[-1], "key", None) == "kernel", params
    )


def _adamw(rate: optax.Schedule, decay: float) -> optax.GradientTransformation:
    return optax.adamw(rate, eps=1e-8, weight_decay=decay, mask=kernels)


def _limited(
    optimizer: optax.GradientTransformation, kernel_norm: float | None
) -> optax.GradientTransformation:
    if kernel_norm is None:
        return optimizer
    return optax.chain(optimizer, limit_kernel_norm(kernel_norm))
