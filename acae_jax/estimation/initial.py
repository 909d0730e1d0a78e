"""Stage 1: one output point per joint of every format, learned from datasets that each label their
own.
"""

from ml_collections import ConfigDict

from acae_jax.estimation import building, objective, step
from acae_jax.training import optimizers
from acae_jax.training.loop import Task


def task(config: ConfigDict) -> Task:
    """The task of a config such as configs/estimation/embedded.py:stage=initial."""
    union = building.joint_union(config.data)
    variant = objective.separate(len(union.joint_names))
    network = building.network(config, variant.points)
    optimizer = optimizers.initial(steps=config.steps, **config.optimizer)
    update = step.make_update(
        network,
        variant,
        optimizer,
        building.label_groups(config.data, union),
        objective.Weights(**config.weights),
        step.Schedule(**config.schedule),
        config.seed,
    )
    return Task(
        init=lambda key: step.initial_state(optimizer, step.fresh_variables(network, key)),
        update=update,
        batches=building.training_batches(config, union),
        evaluate=building.evaluations(config, network, variant, union),
        group_size=config.data.ghost_size,
    )
