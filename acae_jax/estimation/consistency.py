"""Stage 3: fine-tuning so that the poses of all formats agree, with the frozen autoencoder.

`separate` is the control: the same fine-tuning without the autoencoder.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from acae_jax.estimation import bottleneck, building, objective, step
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

    The head's channels stand points-fastest in 1 + D blocks, so the joints' channels are found in
    both.
    """
    params = dict(initial["params"])
    old, new = initial["params"]["head"], fresh["params"]["head"]
    if old["kernel"].shape != new["kernel"].shape:
        params["head"] = jax.tree.map(lambda o, n: grown(o, n, joint_count), old, new)
    return {**initial, "params": params}


def grown(old: jax.Array, new: jax.Array, joint_count: int) -> jax.Array:
    """`new` with the channels of the old points copied in, if it has room for them; else `new`."""
    points = new.shape[-1] * joint_count // old.shape[-1]
    if points < joint_count:
        return new
    blocks = old.reshape(*old.shape[:-1], -1, joint_count)
    into = new.reshape(*new.shape[:-1], -1, points)
    return into.at[..., :joint_count].set(blocks).reshape(new.shape)


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
