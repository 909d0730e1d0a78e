"""Stage 3: fine-tuning so that the poses of all formats agree, with the frozen autoencoder.

`separate` is the control: the same fine-tuning without the autoencoder.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.estimation import autoencoder_stage, building, initial_weights
from acae_jax.estimation.model import objective, step
from acae_jax.estimation.model.network import PoseNetwork
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints, loop, optimizers

VARIANTS = ("separate", "regularised", "latent", "hybrid")


def variant_of(
    config: ConfigDict, union: JointUnion, workdir: Path | None = None
) -> objective.Variant:
    """The variant that the config names; the run in `workdir` may have its own copy of the
    autoencoder.
    """
    if config.variant not in VARIANTS:
        raise ValueError(f"variant is {config.variant!r}; it must be one of {', '.join(VARIANTS)}")
    if config.variant == "separate":
        return objective.separate(len(union.joint_names))
    maps = autoencoder_stage.kept_matrices(config, union, workdir)
    return getattr(objective, config.variant)(maps)


def start(initial: dict, of_joints: Float[Array | np.ndarray, "p j"], depth_bins: int) -> dict:
    """The first variables of fine-tuning: those of the stage-1 model, with another head.

    The head's channels of a point are the same affine combination of the joints' channels that the
    point is of the joints. Logits are linear in the channels. So if the heat maps of the joints are
    normal distributions of one width, that of a latent point is one too, and its mean is exactly
    the combined one. Latent points then need not be learned from nothing. Raises ValueError if
    stage 1 has no head for these joints.
    """
    joint_count, blocks = of_joints.shape[1], 1 + depth_bins

    def combined(channels: Float[Array, "*features c"]) -> Float[Array, "*features k"]:
        """The channels of the points, in 1 + D blocks as in `network.Head`."""
        if channels.shape[-1] != blocks * joint_count:
            raise ValueError(
                f"the head of stage 1 has {channels.shape[-1]} channels, but {joint_count} joints "
                f"and model.depth_bins = {depth_bins} make {blocks * joint_count}: data.union, "
                "data.merge_by_name and model.depth_bins must be those of stage 1"
            )
        in_blocks = channels.reshape(*channels.shape[:-1], blocks, joint_count)
        points = jnp.einsum("pj,...j->...p", of_joints, in_blocks, precision="highest")
        return points.reshape(*channels.shape[:-1], -1)

    head = jax.tree.map(combined, initial["params"]["head"])
    return {**initial, "params": {**initial["params"], "head": head}}


def computation(config: ConfigDict, workdir: Path | None = None) -> building.Computation:
    """The computation of a config such as configs/estimation/embedded.py:stage=consistency."""
    union = building.joint_union(config.data)
    settings = configs.keywords(optimizers.fine_tuning, config.optimizer, "optimizer")
    optimizer = optimizers.fine_tuning(steps=config.steps, **settings)

    variant = variant_of(config, union, workdir)

    def variables(network: PoseNetwork, key: jax.Array) -> dict:
        initial = initial_weights.stage_one(config.initial, union)
        first = start(initial, variant.of_joints, network.depth_bins)
        shapes = jax.eval_shape(partial(step.fresh_variables, network), key)
        return checkpoints.init_from(shapes, first)[0]

    return building.pose_computation(config, union, variant, optimizer, variables)


def task(config: ConfigDict, workdir: Path) -> loop.Task:
    """The task of such a config."""
    on_devices = computation(config, workdir)
    pose_task = building.pose_task(config, on_devices)

    def batches(first_step: int) -> Iterator[loop.Batch]:
        if config.variant != "separate":
            autoencoder_stage.keep_matrices(config, on_devices.union, workdir)
        return pose_task.batches(first_step)

    return pose_task._replace(batches=batches)
