"""Stage 1: one output point for each joint of every format, learned from datasets that each label
their own joints.
"""

from pathlib import Path

import jax
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.estimation import building, initial_weights
from acae_jax.estimation.model import objective, step
from acae_jax.estimation.model.network import PoseNetwork
from acae_jax.foreign import pretrained
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import optimizers
from acae_jax.training.loop import Task


def variant_of(
    config: ConfigDict, union: JointUnion, workdir: Path | None = None
) -> objective.Variant:
    """The variant of stage 1: each joint is an output point."""
    del config, workdir
    return objective.separate(len(union.joint_names))


def computation(config: ConfigDict) -> building.Computation:
    """The computation of a config such as configs/estimation/embedded.py:stage=initial."""
    union = building.joint_union(config.data)
    variant = variant_of(config, union)
    settings = configs.keywords(optimizers.initial, config.optimizer, "optimizer")
    optimizer = optimizers.initial(steps=config.steps, **settings)

    def variables(network: PoseNetwork, key: jax.Array) -> dict:
        fresh = step.fresh_variables(network, key)
        if not config.init.run:
            return fresh
        if pretrained.is_import(config.init.run):
            return initial_weights.from_import(fresh, config.init.run, config.init.part, network)
        return initial_weights.from_run(fresh, config.init.run, config.init.part, union)

    return building.pose_computation(config, union, variant, optimizer, variables)


def task(config: ConfigDict, workdir: Path) -> Task:
    """The task of such a config."""
    del workdir  # it needs nothing there but checkpoints
    return building.pose_task(config, computation(config))
