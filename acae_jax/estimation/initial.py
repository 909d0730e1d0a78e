"""Stage 1: one output point per joint of every format, learned from datasets that each label their
own.
"""

from ml_collections import ConfigDict

from acae_jax.estimation import building, objective, step
from acae_jax.training import optimizers
from acae_jax.training.loop import Task


def program(config: ConfigDict) -> building.Program:
    """What devices run for a config such as configs/estimation/embedded.py:stage=initial."""
    union = building.joint_union(config.data)
    variant = objective.separate(len(union.joint_names))
    optimizer = optimizers.initial(steps=config.steps, **config.optimizer)
    return building.pose_program(config, union, variant, optimizer, step.fresh_variables)


def task(config: ConfigDict) -> Task:
    """The task of such a config."""
    return building.pose_task(config, program(config))
