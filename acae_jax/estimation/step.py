"""One training step of the pose network, shared by stages 1 and 3."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from acae_jax.estimation import network as networks
from acae_jax.estimation import objective
from acae_jax.training.state import TrainState, step_key

Batch = dict[str, Array]
Metrics = dict[str, Array]


class Schedule(NamedTuple):
    """Steps at which training changes: weak perspective until, and norm statistics frozen from."""

    weak_until: int = 500
    frozen_norm_from: int | None = None


def fresh_variables(network: networks.PoseNetwork, key: jax.Array) -> dict:
    """Newly drawn params and batch_stats."""
    side = network.geometry.side_px
    images = jnp.zeros((1, side, side, 3), jnp.float32)
    return dict(jax.jit(partial(network.init, train=False))(key, images))


def initial_state(optimizer: optax.GradientTransformation, variables: dict) -> TrainState:
    """The state at step 0 with these params and batch_stats."""
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(params),
    )


def make_update(
    network: networks.PoseNetwork,
    variant: objective.Variant,
    optimizer: optax.GradientTransformation,
    groups: Float[np.ndarray, "k j"],
    weights: objective.Weights,
    schedule: Schedule,
    datasets: tuple[str, ...],
    seed: int,
) -> Callable[[int, TrainState, Batch], tuple[TrainState, Metrics]]:
    """The function (step, state, batch) → (state, metrics); two compiled programs, before and after
    norms freeze.

    Metrics are the loss, its terms, the gradient's norm, and each dataset's mean error; `datasets`
    are the names behind the batch's dataset numbers.
    """

    def total_loss(
        params: dict, state: TrainState, batch: Batch, train: bool
    ) -> tuple[Array, tuple[Metrics, dict]]:
        mix_key, drop_key = jax.random.split(step_key(seed, state.step))
        applied: Any = network.apply(
            {"params": params, "batch_stats": state.batch_stats},
            networks.as_float(batch["image"]),
            train=train,
            mutable=["batch_stats"],
            rngs={"dropout": drop_key},
        )
        output, updated = applied
        mix = jax.random.uniform(mix_key, (len(batch["image"]),))
        weak = state.step < schedule.weak_until

        def judge(joints: networks.Points) -> tuple[Array, Metrics]:
            joints_mm = networks.locate(joints, batch["intrinsics"], mix, network.geometry, weak)
            return joints_mm, objective.pose_loss(
                joints, joints_mm, batch, groups, state.step, network.geometry, weights
            )

        terms = variant.cost(output.points, judge, batch, state.step, weights)
        if weights.heatmap:
            cost = objective.heatmap_cost(output, batch, network.geometry)
            terms["heatmap"] = weights.heatmap * cost
        loss = sum(terms.values(), start=jnp.zeros(()))
        joints = variant.joints(output.points)
        joints_mm, _ = judge(joints)
        each = objective.dataset_losses(
            joints, joints_mm, batch, groups, network.geometry, datasets
        )
        return loss, ({"loss": loss, **terms, **each}, updated["batch_stats"])

    @partial(jax.jit, static_argnames="train", donate_argnums=0)
    def update(state: TrainState, batch: Batch, train: bool) -> tuple[TrainState, Metrics]:
        grads, (metrics, batch_stats) = jax.grad(total_loss, has_aux=True)(
            state.params, state, batch, train
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics["gradient_norm"] = optax.tree.norm(grads)
        return TrainState(state.step + 1, params, batch_stats, opt_state), metrics

    def stepwise(step: int, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        frozen = schedule.frozen_norm_from is not None and step >= schedule.frozen_norm_from
        return update(state, batch, train=not frozen)

    return stepwise
