"""Stage 2: pseudo labels in every format from the stage-1 model, and the autoencoder learned from
them.

One update of this task is one epoch, computed in one compiled scan. So its step counter counts
epochs.
"""

import itertools
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.estimation import building, initial_weights, kept_inputs, pseudo
from acae_jax.estimation.model import autoencoder, objective
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints
from acae_jax.training.loop import Task
from acae_jax.training.state import TrainState

PSEUDO_LABELS = "pseudo_labels.npz"
AUTOENCODER = "autoencoder.npz"


def pseudo_labels(config: ConfigDict, union: JointUnion) -> np.ndarray:
    """Poses (n, J, 3) in mm, predicted by the model of `config.initial` on clean training crops."""
    variant = objective.separate(len(union.joint_names))
    network = building.network(config, variant.points)
    variables = initial_weights.stage_one(config.initial, union)
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


def kept_pseudo_labels(config: ConfigDict, union: JointUnion, workdir: Path) -> np.ndarray:
    """The pseudo labels of a run; a continued run uses those that it started with.

    Warns if the stage-1 model has been trained further since then.
    """
    path = workdir / PSEUDO_LABELS
    if _is_kept(path):
        origin, (poses_mm,) = kept_inputs.read(path, "poses_mm")
        if kept_inputs.has_changed(origin, config.initial):
            logging.warning(
                "%s has changed since this run began. The run continues with its own pseudo "
                "labels; for new ones use another --workdir",
                config.initial,
            )
        return poses_mm
    if checkpoints.complete_steps(workdir):
        logging.warning("%s is missing, so the pseudo labels are predicted again", path)
    origin = kept_inputs.origin(config.initial)
    poses_mm = pseudo_labels(config, union)
    kept_inputs.write(path, origin, {"poses_mm": poses_mm})
    return poses_mm


def schedule(learning_rate: float, steps: int) -> optax.Schedule:
    """The rate for a third of the steps, a tenth of it for the next, a hundredth for the last
    (published: 3e-2 to 3e-4).
    """
    return optax.piecewise_constant_schedule(learning_rate, {steps // 3: 0.1, 2 * steps // 3: 0.1})


def learning_task(
    pseudo_labels: Callable[[], np.ndarray],
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
    """The task of learning an autoencoder from poses (n, J, 3) in mm.

    `pseudo_labels` gives the poses; it is called once, when training begins. `sides` are those of
    their joints.
    """

    def optimizer_of(steps: int) -> optax.GradientTransformation:
        return optax.adam(schedule(learning_rate, steps))

    @cache
    def poses_and_optimizer() -> tuple[jax.Array, optax.GradientTransformation]:
        poses_mm = pseudo_labels()
        if len(poses_mm) < batch_size:
            raise ValueError(
                f"{len(poses_mm)} pseudo labels do not fill a batch of {batch_size}; "
                "raise pseudo.examples_per_dataset"
            )
        ordered = jnp.asarray(poses_mm[:, sides.order].swapaxes(1, 2))
        return ordered, optimizer_of(epochs * (len(poses_mm) // batch_size))

    def init(key: jax.Array) -> TrainState:
        params = autoencoder.init(key, sides, latents)
        # The true number of steps depends on the poses, but does not change the optimiser's state.
        opt_state = optimizer_of(epochs).init(params)
        return TrainState(jnp.zeros((), jnp.int32), params, {}, opt_state)

    def batches(first_epoch: int) -> Iterator[dict]:
        poses_and_optimizer()
        return itertools.repeat({})

    def update(epoch: int, state: TrainState, batch: dict) -> tuple[TrainState, dict]:
        key = jax.random.fold_in(jax.random.key(seed), epoch)
        ordered, optimizer = poses_and_optimizer()
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

    return Task(init=init, update=update, batches=batches)


def task(config: ConfigDict, workdir: Path) -> Task:
    """The task of a config such as configs/estimation/embedded.py:stage=autoencoder."""
    union = building.joint_union(config.data)
    latents = configs.keywords(autoencoder.Latents, config.latents, "latents")
    name = "autoencoder_training"
    return learning_task(
        partial(kept_pseudo_labels, config, union, workdir),
        autoencoder.sides_of(union.joint_names),
        autoencoder.Latents(**latents),
        epochs=config.steps,
        seed=config.seed,
        **configs.keywords(learning_task, config[name], name),
    )._replace(metadata=building.metadata(union))


def kept_matrices(
    config: ConfigDict, union: JointUnion, workdir: Path | None
) -> autoencoder.Matrices:
    """The autoencoder of a stage-3 run.

    It is the run's own copy, if the run has trained already; else, or without `workdir`, the one
    that the config names. Warns if that one has been trained further since the copy was made.
    """
    if workdir is None or not _is_kept(workdir / AUTOENCODER):
        return load(config.autoencoder, union)
    origin, maps = kept_inputs.read(workdir / AUTOENCODER, *autoencoder.Matrices._fields)
    if kept_inputs.has_changed(origin, config.autoencoder):
        logging.warning(
            "%s has changed since %s began, which continues with its own copy of that time",
            config.autoencoder,
            workdir,
        )
    return autoencoder.Matrices(*map(jnp.asarray, maps))


def keep_matrices(config: ConfigDict, union: JointUnion, workdir: Path) -> None:
    """Copy the autoencoder that the config names into the folder of a new stage-3 run."""
    if not _is_kept(workdir / AUTOENCODER):
        origin = kept_inputs.origin(config.autoencoder)
        maps = jax.tree.map(np.asarray, load(config.autoencoder, union))
        kept_inputs.write(workdir / AUTOENCODER, origin, maps._asdict())


def _is_kept(path: Path) -> bool:
    """Whether this input file exists and the run in its folder has trained with it."""
    return path.is_file() and bool(checkpoints.complete_steps(path.parent))


def load(folder: str | Path, union: JointUnion) -> autoencoder.Matrices:
    """The matrices of a finished autoencoder run, for our joints in our order.

    Raises ValueError, in one line, unless it was learned for exactly these joints.
    """
    params = jax.tree.map(jnp.asarray, checkpoints.load_params(folder)["params"])
    theirs = initial_weights.joint_names(folder)
    if set(theirs) != set(union.joint_names):
        raise ValueError(
            f"{folder} joins {len(theirs)} joints ({unions.listed(theirs)}), but this run has "
            f"{len(union.joint_names)} ({unions.listed(union.joint_names)}): an autoencoder "
            "works only for the joints that it was learned for; set data.union as there"
        )
    places = np.array(unions.places(theirs, union.joint_names))
    maps = autoencoder.matrices(params, autoencoder.sides_of(theirs))
    return autoencoder.Matrices(maps.encode[:, places], maps.decode[places])
