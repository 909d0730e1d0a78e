"""Fine-tuning on the user's own data: new joints beside those that the base predicts."""

from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
from absl import logging
from jaxtyping import Float
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.benchmarks import scoring
from acae_jax.estimation import building, consistency, initial_weights
from acae_jax.estimation.initial import variant_of
from acae_jax.estimation.model import network as networks
from acae_jax.estimation.model import objective, step
from acae_jax.estimation.model.network import PoseNetwork
from acae_jax.estimation.own_data import bases, first_rows
from acae_jax.estimation.own_data.bases import Start
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import optimizers
from acae_jax.training.loop import Task

__all__ = ["task", "variant_of"]

BATCH = 50  # crops that the base predicts at a time


def computation(config: ConfigDict) -> building.Computation:
    """The computation of a config such as configs/estimation/own.py."""
    union = building.joint_union(config.data)
    variant = objective.separate(len(union.joint_names))

    def variables(network: PoseNetwork, key: jax.Array) -> dict:
        start = bases.load(config.init.base, network)
        if start is None:
            fresh = step.fresh_variables(network, key)
            return initial_weights.from_import(fresh, config.init.base, "backbone", network)
        return _continued(config, union, network, start)

    return building.pose_computation(config, union, variant, optimizer(config), variables)


def optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """The optimiser of `config.optimizer`."""
    settings = configs.keywords(optimizers.initial, config.optimizer, "optimizer")
    return optimizers.initial(steps=config.steps, **settings)


def _continued(config: ConfigDict, union: JointUnion, network: PoseNetwork, start: Start) -> dict:
    """The base's variables, with a head for the union's joints."""
    old, new = first_rows.old_and_new(union, start.joint_names)
    rows = first_rows.by_part(start.joint_names, new)
    if new:
        learned = _learned(config, union, network, start, new)
        known = np.isfinite(learned).all(axis=1)
        rows[known] = learned[known]
    points = first_rows.of_joints(union, start.joint_names, start.matrix, rows)
    lost = [name for name in start.joint_names if name not in union.joint_names]
    without = f", without {unions.listed(lost)}" if lost else ""
    logging.warning(
        "init: %d joints of %s%s, and %d new ones", len(old), config.init.base, without, len(new)
    )
    return consistency.start(start.variables, points, network.depth_bins)


def _learned(
    config: ConfigDict, union: JointUnion, network: PoseNetwork, start: Start, new: list[str]
) -> Float[np.ndarray, "k j"]:
    """The weights of the new joints by what the base predicts in the user's images."""
    examples = building.even_examples(config, union, config.init.dataset, config.init.examples)
    base = network.clone(points=start.matrix.shape[1])
    predict = jax.jit(partial(networks.predict, base, lambda points: points))
    points_mm = scoring.predictions(
        lambda batch: predict(start.variables, batch["image"], batch["intrinsics"]), examples, BATCH
    )
    predicted_mm = np.einsum("jp,npc->njc", start.matrix, points_mm)
    at = [union.joint_names.index(name) for name in new]
    labels = [np.where(one["valid"][at, None], one["joints_mm"][at], np.nan) for one in examples]
    return first_rows.fitted(predicted_mm, np.stack(labels), start.joint_names, new)


def task(config: ConfigDict, workdir: Path) -> Task:
    """The task of such a config."""
    del workdir  # it needs nothing there but checkpoints
    return building.pose_task(config, computation(config))
