"""The optimisers of the published recipe: AdamW with its schedules, weight decay and limit of the
kernel norms. Muon can replace AdamW in part: without pretrained weights, it needs half the steps
for the same error.

Decay is decoupled (Loshchilov & Hutter 2019) and scaled by the current learning rate. It acts on
kernels only, not on biases, nor on the scales and shifts of norms. Steps are counted from 0: the
first update uses rate(0).

Muon (Jordan et al. 2024) updates a kernel by its momentum, after all singular values were brought
to about 1. So directions that few examples need are learned as fast as those that all need. It is
used if it has a rate (`muon_rate`), which follows the backbone's schedule. It updates the kernels
of the backbone, except depthwise kernels and those whose singular values would cost more than the
gradients.
"""

import math
from collections.abc import Callable, Collection, Hashable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

BASE_RATE = 2.121e-4
KERNEL_NORM = 20.0
MUON_WIDTH = 256
"""Muon updates kernels whose shorter side, as a matrix of inputs by outputs, is at most this."""


def weight_decay(steps: int, base_rate: float = BASE_RATE) -> float:
    """The factor that the learning rate multiplies for the decay: 3e-3 / √steps / base rate."""
    return 3e-3 / math.sqrt(steps) / base_rate


def two_phases(
    steps: int, base_rate: float = BASE_RATE, first: float = 0.92, warmup_steps: int = 0
) -> optax.Schedule:
    """A schedule in two phases, each with exponential decay.

    The first phase lasts the share `first` of all steps and goes from the base rate to 1/3 of it.
    The second goes from 1/30 of the base rate to 0.3/30. With `first` 0 there is only the second.
    During `warmup_steps` a factor rises linearly to 1.
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
    muon_rate: float | None = None,
    decay: float | None = None,
    warmup_steps: int = 0,
    kernel_norm: float | None = KERNEL_NORM,
    head: Collection[str] = ("head",),
) -> optax.GradientTransformation:
    """The optimiser of stage 1: `two_phases` over all parameters.

    `decay` defaults to the recipe's rule, `weight_decay`. `head` names top-level entries of the
    parameters; the optimiser's `init` raises ValueError if one is missing.
    """
    schedule = partial(two_phases, steps, warmup_steps=warmup_steps)
    decay = weight_decay(steps, base_rate) if decay is None else decay
    rules = _rules(schedule, schedule, base_rate, muon_rate, decay)
    return _of_parts(rules, head, kernel_norm)


def fine_tuning(
    steps: int,
    *,
    base_rate: float = BASE_RATE,
    muon_rate: float | None = None,
    decay: float | None = None,
    warmup_steps: int = 0,
    kernel_norm: float | None = KERNEL_NORM,
    head: Collection[str] = ("head",),
) -> optax.GradientTransformation:
    """The optimiser of stage 3: the head starts from the base rate again, the backbone stays low.

    Arguments and errors are those of `initial`.
    """
    schedule = partial(two_phases, steps, warmup_steps=warmup_steps)
    decay = weight_decay(steps, base_rate) if decay is None else decay
    of_head, of_backbone = partial(schedule, first=0.5), partial(schedule, first=0.0)
    rules = _rules(of_head, of_backbone, base_rate, muon_rate, decay)
    return _of_parts(rules, head, kernel_norm)


def limit_kernel_norm(limit: float) -> optax.GradientTransformation:
    """Limit the norm of each output filter of every kernel after the update.

    It is Keras' max_norm: w ← w · min(‖w‖, limit) / ‖w‖, with norms over all axes but the last. It
    must be the last in a chain.
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("limit_kernel_norm needs params: update(updates, state, params)")

        def limited(is_kernel: bool, change: Array, value: Array) -> Array:
            if not is_kernel:
                return change
            new = value + change
            norm = jnp.sqrt(jnp.sum(new**2, axis=tuple(range(new.ndim - 1)), keepdims=True))
            # Within the limit the change is returned as it is, without a second rounding.
            return jnp.where(norm > limit, new * (limit / jnp.maximum(norm, limit)) - value, change)

        return jax.tree.map(limited, kernels(params), updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def kernels(params: Any) -> Any:
    """Which parameters are kernels: those named "kernel"."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: getattr(path[-1], "key", None) == "kernel", params
    )


Rules = dict[Hashable, optax.GradientTransformation]


def _rules(
    head: Callable[[float], optax.Schedule],
    backbone: Callable[[float], optax.Schedule],
    base_rate: float,
    muon_rate: float | None,
    decay: float,
) -> Rules:
    """The optimiser of each part; `head` and `backbone` make a schedule from a base rate."""
    adamw = partial(optax.adamw, eps=1e-8, weight_decay=decay, mask=kernels)
    rules: Rules = {"head": adamw(head(base_rate)), "backbone": adamw(backbone(base_rate))}
    if muon_rate is not None:
        rules["muon"] = optax.chain(
            optax.contrib.scale_by_muon(weight_dimension_numbers=_as_matrices),
            optax.add_decayed_weights(decay),
            optax.scale_by_learning_rate(backbone(muon_rate)),
        )
    return rules


def _of_parts(
    rules: Rules, head: Collection[str], kernel_norm: float | None
) -> optax.GradientTransformation:
    """One optimiser of these rules; if there is a rule "muon", it gets the kernels that suit it."""

    def labels(params: Mapping[str, Any]) -> dict[str, Any]:
        missing = set(head) - set(params)
        if missing:
            raise ValueError(f"the parameters have no {sorted(missing)}, only {sorted(params)}")
        parts: dict[str, Any] = dict.fromkeys(params, "backbone") | dict.fromkeys(head, "head")
        if "muon" in rules:
            for name in set(params) - set(head):
                suits = jax.tree.map(_suits_muon, kernels(params[name]), params[name])
                parts[name] = jax.tree.map(lambda muon: "muon" if muon else "backbone", suits)
        return parts

    optimizer = optax.multi_transform(rules, labels)
    if kernel_norm is None:
        return optimizer
    return optax.chain(optimizer, limit_kernel_norm(kernel_norm))


def _suits_muon(is_kernel: bool, value: Array) -> bool:
    if not is_kernel or value.shape[-2] == 1:  # depthwise: one filter for each channel, no matrix
        return False
    return min(math.prod(value.shape[:-1]), value.shape[-1]) <= MUON_WIDTH


def _as_matrices(params: Any) -> Any:
    """Take all axes of a kernel but the last as its inputs."""
    return jax.tree.map(
        lambda value: optax.contrib.MuonDimensionNumbers(tuple(range(value.ndim - 1)), -1), params
    )
