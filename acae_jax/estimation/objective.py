"""What one batch costs: the pose loss on 3D and 2D labels, and the variants of training built on it.

A batch holds 3D-labelled and 2D-labelled examples side by side; every term masks what it needs. Weights are the published
ones (Sárándi et al. 2023): terms of 2D-labelled examples count 0.2, the absolute term 0.1.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from acae_jax import losses
from acae_jax.estimation import autoencoder
from acae_jax.estimation.network import Geometry
from acae_jax.geometry import absolute

Batch = dict[str, Array]
Terms = dict[str, Float[Array, ""]]
PoseLoss = Callable[[Float[Array, "b j 3"]], Terms]


class Weights(NamedTuple):
    """Factors of the loss terms; the absolute term starts after `absolute_from` steps, the teacher likewise."""

    projected: float = 1.0
    absolute: float = 0.1
    absolute_from: int = 5000
    labels_2d: float = 0.2
    consistency: float = 1.0
    teacher: float = 1.0
    teacher_from: int = 5000


class Variant(NamedTuple):
    """One way to train: which points the head predicts, how joints are read out of them, and what they cost."""

    points: int
    joints: Callable[[Float[Array, "b p 3"]], Float[Array, "b j 3"]]
    cost: Callable[[Float[Array, "b p 3"], Batch, PoseLoss, Array, Weights], Terms]


def pose_loss(
    joints_mm: Float[Array, "b j 3"],
    batch: Batch,
    groups: Float[np.ndarray, "k j"],
    step: Array,
    geometry: Geometry,
    weights: Weights,
) -> Terms:
    """L_pose, term by term: mean-relative, projected and absolute on 3D labels, and projected on 2D labels.

    `groups` averages all joints that a 2D label names (its rows are zero where no joint has that name).
    """
    true_mm, valid, intrinsics = batch["joints_mm"], batch["valid"], batch["intrinsics"]
    metres_per_px = geometry.box_mm / 1000.0 / geometry.side_px
    px = losses.project_px(joints_mm, intrinsics)
    true_px = losses.project_px(true_mm, intrinsics)
    near_border_px = -20.0 / 256.0 * geometry.side_px
    visible = (
        valid
        & absolute.in_view(px, geometry.side_px, 0.75 * geometry.stride)
        & absolute.in_view(true_px, geometry.side_px, near_border_px)
        & (true_mm[..., 2] > losses.NEAR_MM)
    )
    late = (step >= weights.absolute_from).astype(jnp.float32)
    named = jnp.asarray(groups)
    labelled = batch["labels_valid"] & (jnp.sum(named, axis=1) > 0)[None]
    averaged = jnp.einsum("kj,bjc->bkc", named, joints_mm)
    averaged_px = losses.project_px(averaged, intrinsics)
    return {
        "relative": losses.mean_relative_loss(joints_mm, true_mm, valid),
        "projected": weights.projected * losses.pixel_loss(px, true_px, visible, metres_per_px),
        "absolute": weights.absolute * late * losses.absolute_loss(joints_mm, true_mm, valid),
        "labels_2d": weights.labels_2d
        * losses.pixel_loss(averaged_px, batch["labels_px"], labelled, metres_per_px),
    }


def _prefixed(prefix: str, terms: Terms) -> Terms:
    return {f"{prefix}_{name}": value for name, value in terms.items()}


def _agreement(
    a_mm: Float[Array, "b j 3"], b_mm: Float[Array, "b j 3"], batch: Batch, weights: Weights
) -> Float[Array, ""]:
    """Mean L1 distance of two predictions, examples with 2D labels counting less."""
    is_3d = jnp.any(batch["valid"], axis=1)
    return losses.agreement_loss(a_mm, b_mm, is_3d) + weights.labels_2d * losses.agreement_loss(
        a_mm, b_mm, ~is_3d
    )


def separate(joint_count: int) -> Variant:
    """One output point per joint, nothing that ties them together (stage 1, and the baseline of stage 3)."""
    return Variant(
        points=joint_count,
        joints=lambda points: points,
        cost=lambda points, batch, pose, step, weights: pose(points),
    )


def regularised(maps: autoencoder.Matrices) -> Variant:
    """Output regularisation: joints must pass the frozen autoencoder unchanged."""

    def cost(points: Array, batch: Batch, pose: PoseLoss, step: Array, weights: Weights) -> Terms:
        again = autoencoder.reconstruct(maps, points)
        agreement = weights.consistency * _agreement(points, again, batch, weights)
        return {**pose(points), "consistency": agreement}

    return Variant(points=maps.decode.shape[0], joints=lambda points: points, cost=cost)


def latent(maps: autoencoder.Matrices) -> Variant:
    """Direct latent prediction: the head predicts the latent points, joints are decoded from them."""

    def joints(points: Array) -> Array:
        return autoencoder.to_joints(maps, points)

    return Variant(
        points=maps.decode.shape[1],
        joints=joints,
        cost=lambda points, batch, pose, step, weights: pose(joints(points)),
    )


def hybrid(maps: autoencoder.Matrices) -> Variant:
    """Student and teacher: joints with output regularisation teach the latent points, which are what is used."""
    count = maps.decode.shape[0]

    def joints(points: Array) -> Array:
        return autoencoder.to_joints(maps, points[:, count:])

    def cost(points: Array, batch: Batch, pose: PoseLoss, step: Array, weights: Weights) -> Terms:
        teacher, student = points[:, :count], joints(points)
        again = autoencoder.reconstruct(maps, teacher)
        late = (step >= weights.teacher_from).astype(jnp.float32)
        taught = _agreement(jax.lax.stop_gradient(teacher), student, batch, weights)
        return {
            **pose(student),
            **_prefixed("teacher", pose(teacher)),
            **_prefixed("again", pose(again)),
            "consistency": weights.consistency * _agreement(teacher, again, batch, weights),
            "teacher": weights.teacher * late * taught,
        }

    return Variant(points=count + maps.decode.shape[1], joints=joints, cost=cost)
