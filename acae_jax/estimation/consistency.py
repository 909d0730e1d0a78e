"""Stage 3: fine-tuning so that the poses of all formats agree, with the frozen autoencoder.

`separate` is the control: the same fine-tuning without the autoencoder.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from acae_jax.estimation import bottleneck, building, objective, starting, step
from acae_jax.estimation.network import PoseNetwork
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints, optimizers
from acae_jax.training.loop import Task

VARIANTS = ("separate", "regularised", "latent", "hybrid")


def choose(config: ConfigDict, union: JointUnion) -> objective.Variant:
    """The variant that the config names."""
    if config.variant not in VARIANTS:
        raise ValueError(f"variant is {config.variant!r}; it must be one of {', '.join(VARIANTS)}.")
    if config.variant == "separate":
        return objective.separate(len(union.joint_names))
    maps = bottleneck.load(config.autoencoder, union)
    return getattr(objective, config.variant)(maps)


def start(initial: dict, fresh: dict, joint_count: int) -> dict:
    """Variables to fine-tune from: the stage-1 model's, with new head channels where it had none.

    A head of latent points alone has no joint's channels, and starts fresh.
    """
    params = dict(initial["params"])
    old, new = initial["params"]["head"], fresh["params"]["head"]
    points = new["bias"].shape[0] * joint_count // old["bias"].shape[0]
    pairs = [(joint, joint) for joint in range(joint_count)] if points >= joint_count else []
    params["head"] = jax.tree.map(
        lambda o, n: starting.with_points(o, n, pairs, (joint_count, points)), old, new
    )
    return {**initial, "params": params}


def program(config: ConfigDict) -> building.Program:
    """What devices run for a config such as configs/estimation/embedded.py:stage=consistency."""
    union = building.joint_union(config.data)
    optimizer = optimizers.fine_tuning(steps=config.steps, **config.optimizer)

    def variables(network: PoseNetwork, key: jax.Array) -> dict:
        initial = jax.tree.map(jnp.asarray, checkpoints.load_params(config.initial))
        return start(initial, step.fresh_variables(network, key), len(union.joint_names))

    return building.pose_program(config, union, choose(config, union), optimizer, variables)


def task(config: ConfigDict) -> Task:
    """The task of such a config."""
    return building.pose_task(config, program(config))
