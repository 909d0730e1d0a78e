"""Stage 2: pseudo labels in every format from the stage-1 model, and the autoencoder learned from
them.

One update of this task is one epoch in one compiled scan: its step counter counts epochs.
"""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from acae_jax.estimation import autoencoder, building, objective, pseudo
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints
from acae_jax.training.loop import Task
from acae_jax.training.state import TrainState


def pseudo_labels(config: ConfigDict, union: JointUnion) -> np.ndarray:
    """Poses (n, J, 3) in mm that the model of `config.initial` sees on clean training crops."""
    variant = objective.separate(len(union.joint_names))
    network = building.network(config, variant.points)
    variables = checkpoints.load_params(config.initial)
    return np.concatenate(
        [
            pseudo.label(
                network,
                variables,
                building.even_examples(config, union, name, config.pseudo.examples_per_dataset),
                union.joint_names,
                config.pseudo.get("batch_size", 64),
            )
            for name in config.pseudo.datasets
        ]
    )


def schedule(learning_rate: float, steps: int) -> optax.Schedule:
    """A third of the steps each at the rate, a tenth and a hundredth of it (the published 3e-2 →
    3e-4).
    """
    return optax.piecewise_constant_schedule(learning_rate, {steps // 3: 0.1, 2 * steps // 3: 0.1})


def learning_task(
    poses_mm: np.ndarray,
    sides: autoencoder.Sides,
    latents: autoencoder.Latents,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    sparsity: float,
    projected: bool,
    seed: int,
) -> Task:
    """The task of learning an autoencoder from poses (n, J, 3) in mm, whose joints have these
    sides.
    """
    if len(poses_mm) < batch_size:
        raise ValueError(
            f"{len(poses_mm)} pseudo labels do not fill a batch of {batch_size}; "
            "raise pseudo.examples_per_dataset."
        )
    ordered = jnp.asarray(poses_mm[:, sides.order].swapaxes(1, 2))
    steps = epochs * (len(poses_mm) // batch_size)
    optimizer = optax.adam(schedule(learning_rate, steps))

    def init(key: jax.Array) -> TrainState:
        params = autoencoder.init(key, sides, latents)
        return TrainState(jnp.zeros((), jnp.int32), params, {}, optimizer.init(params))

    def update(epoch: int, state: TrainState, batch: dict) -> tuple[TrainState, dict]:
        key = jax.random.fold_in(jax.random.key(seed), epoch)
        learned, metrics = autoencoder.train_epoch(
            autoencoder.State(state.params, state.opt_state),
            ordered,
            key,
            sparsity,
            optimizer=optimizer,
            batch_size=batch_size,
            projected=projected,
        )
        return TrainState(state.step + 1, learned.params, {}, learned.opt_state), metrics

    return Task(
        init=init,
        update=update,
        batches=lambda start_step: itertools.repeat({}),
    )


def task(config: ConfigDict) -> Task:
    """The task of a config such as configs/estimation/embedded.py:stage=autoencoder."""
    union = building.joint_union(config.data)
    return learning_task(
        pseudo_labels(config, union),
        autoencoder.sides_of(union.joint_names),
        autoencoder.Latents(**config.latents),
        epochs=config.steps,
        seed=config.seed,
        **config.autoencoder_training,
    )


def load(folder: str | Path, union: JointUnion) -> autoencoder.Matrices:
    """The matrices that a finished autoencoder run learned."""
    params = jax.tree.map(jnp.asarray, checkpoints.load_params(folder)["params"])
    return autoencoder.matrices(params, autoencoder.sides_of(union.joint_names))
