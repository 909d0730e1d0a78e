"""One training step of the pose network, shared by stages 1 and 3."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Shaped, UInt8

from acae_jax.estimation.model import network as networks
from acae_jax.estimation.model import objective
from acae_jax.images import device_colour
from acae_jax.training.state import TrainState, moving_average, step_key

Batch = dict[str, Array]
Metrics = dict[str, Array]


class Schedule(NamedTuple):
    """The steps at which training changes: the end of weak perspective, the freezing of norms."""

    weak_until: int = 500
    frozen_norm_from: int | None = None


def fresh_variables(network: networks.PoseNetwork, key: jax.Array) -> dict:
    """Random params, and new batch_stats."""
    side = network.geometry.side_px
    images = jnp.zeros((1, side, side, 3), jnp.float32)
    return dict(jax.jit(partial(network.init, train=False))(key, images))


def initial_state(
    optimizer: optax.GradientTransformation, variables: dict, averaged: bool = False
) -> TrainState:
    """The state at step 0 with these variables; with `averaged` they are its average, too."""
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        collections={"batch_stats": variables["batch_stats"]},
        opt_state=optimizer.init(params),
        # A copy, because the first update takes over the state's buffers, each only once.
        average=jax.tree.map(jnp.copy, variables) if averaged else (),
    )


def apply(
    network: networks.PoseNetwork,
    variables: dict,
    batch: Batch,
    key: Array,
    train: bool,
) -> tuple[networks.Output, dict]:
    """The network's output for the images of a training batch, and its new batch_stats.

    A batch in n parts is computed part by part, and each part once more for the gradient. So the
    activations of only one part are in memory. Outputs, gradients and batch_stats are those of the
    whole batch, except that stochastic depth draws other numbers. Outputs are in the order of
    `flat`.
    """

    def one(batch_stats: dict, inputs: Batch, key: Array) -> tuple[dict, networks.Output]:
        result: Any = network.apply(
            {"params": variables["params"], "batch_stats": batch_stats},
            pixels(**inputs),
            train=train,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        output, collections = result
        return collections["batch_stats"], output

    inputs = {name: batch[name] for name in ("image", "colour", "erased") if name in batch}
    if batch["image"].ndim == 4:
        batch_stats, output = one(variables["batch_stats"], inputs, key)
        return output, batch_stats
    recomputed = jax.checkpoint(lambda stats, part: one(stats, *part), prevent_cse=False)
    keys = jax.random.split(key, len(batch["image"]))
    batch_stats, outputs = jax.lax.scan(recomputed, variables["batch_stats"], (inputs, keys))
    return jax.tree.map(flat, outputs), batch_stats


def pixels(
    image: UInt8[Array, "b s s 3"],
    colour: Float[Array, "b 5 2"] | None = None,
    erased: Int[Array, "b 4"] | None = None,
) -> Float[Array, "b s s 3"]:
    """The network's input for stored images, in [0, 1], with their change of colour, if any."""
    images = networks.as_float(image)
    if colour is None or erased is None:
        return images
    return device_colour.apply(images, colour, erased)


def flat(values: Shaped[Array, " n b *rest"]) -> Shaped[Array, " nb *rest"]:
    """The examples of all parts along one axis, so that those of one device stay together."""
    n, b, *rest = values.shape
    return values.swapaxes(0, 1).reshape(n * b, *rest)


def make_update(
    network: networks.PoseNetwork,
    variant: objective.Variant,
    optimizer: optax.GradientTransformation,
    groups: Float[np.ndarray, "k j"],
    weights: objective.LossWeights,
    schedule: Schedule,
    datasets: tuple[str, ...],
    seed: int,
    average_decay: float = 0.0,
) -> Callable[[int, TrainState, Batch], tuple[TrainState, Metrics]]:
    """The function (step, state, batch) → (state, metrics).

    It has two compiled programs: before and after norms freeze. A batch may be in parts, see
    `apply`. With `average_decay`, the state's average is updated, too. Metrics are the loss, its
    terms, the gradient's norm, and the mean error of each dataset; `datasets` has their names, by
    the numbers in the batch. Raises ValueError unless 0 ≤ average_decay < 1.
    """
    if not 0 <= average_decay < 1:
        raise ValueError(f"average_decay is {average_decay}; it must be from 0 (none) to below 1")

    def total_loss(
        params: dict, state: TrainState, batch: Batch, train: bool
    ) -> tuple[Array, tuple[Metrics, dict]]:
        mix_key, drop_key = jax.random.split(step_key(seed, state.step))
        variables = {"params": params, **state.collections}
        output, batch_stats = apply(network, variables, batch, drop_key, train)
        mix = jax.random.uniform(mix_key, batch["dataset"].shape)
        if mix.ndim == 2:
            batch, mix = jax.tree.map(flat, (batch, mix))
        weak = state.step < schedule.weak_until

        def locate(joints: networks.Points) -> Array:
            return networks.locate(joints, batch["intrinsics"], mix, network.geometry, weak)

        def judge(joints: networks.Points) -> tuple[Array, Metrics]:
            joints_mm = locate(joints)
            return joints_mm, objective.pose_loss(
                joints, joints_mm, batch, groups, state.step, network.geometry, weights
            )

        terms = variant.cost(output.points, judge, batch, state.step, weights)
        if weights.heatmap:
            cost = objective.heatmap_cost(output, batch, network.geometry)
            terms["heatmap"] = weights.heatmap * cost
        loss = sum(terms.values(), start=jnp.zeros(()))
        joints = variant.joints(output.points)
        each = objective.dataset_losses(
            joints, locate(joints), batch, groups, network.geometry, datasets
        )
        return loss, ({"loss": loss, **terms, **each}, batch_stats)

    @partial(jax.jit, static_argnames="train", donate_argnums=0)
    def update(state: TrainState, batch: Batch, train: bool) -> tuple[TrainState, Metrics]:
        grads, (metrics, batch_stats) = jax.grad(total_loss, has_aux=True)(
            state.params, state, batch, train
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics["gradient_norm"] = optax.tree.norm(grads)
        collections = {"batch_stats": batch_stats}
        newest = {"params": params, **collections}
        average = state.average and moving_average(state.average, newest, average_decay, state.step)
        return TrainState(state.step + 1, params, collections, opt_state, average), metrics

    def stepwise(step: int, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        frozen = schedule.frozen_norm_from is not None and step >= schedule.frozen_norm_from
        return update(state, batch, train=not frozen)

    return stepwise
