"""The loss of a batch: the pose loss on 3D and 2D labels, and the variants of training.

A batch holds 3D-labelled and 2D-labelled examples side by side; every term masks what it needs. The
loss weights are the published ones (Sárándi et al. 2023): 0.2 for terms of 2D-labelled examples,
0.1 for the absolute term.

A variant combines the head's points in the image and in the metric box by the same affine weights.
The absolute pose is solved for after that.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from acae_jax import losses
from acae_jax.estimation.model import autoencoder
from acae_jax.estimation.model.network import Geometry, Output, Points
from acae_jax.geometry import absolute, alignment, heatmaps

Batch = dict[str, Array]
Terms = dict[str, Float[Array, ""]]
Judge = Callable[[Points], tuple[Float[Array, "b j 3"], Terms]]


NEAR_VIEW_STRIDES = -20.0
"""True joints count in the image within this border; as it is negative, it is outside the crop."""


class LossWeights(NamedTuple):
    """The factors of the loss terms. The absolute term and the teacher count from a step on."""

    projected: float = 1.0
    absolute: float = 0.1
    absolute_from: int = 5000
    labels_2d: float = 0.2
    heatmap: float = 0.0  # for heads that predict the joints themselves
    consistency: float = 1.0
    teacher: float = 1.0
    teacher_from: int = 5000


class Variant(NamedTuple):
    """A variant of training: the points that the head predicts, how they give joints, and the loss.

    `of_joints` has a row for each point of the head: the weights by which the joints give the
    point. `joints` turns the head's points into joints. `cost` gets the head's points, a judge (the
    function from joints to their absolute positions and loss terms), the batch, the step and the
    weights; it returns the terms of the loss.
    """

    of_joints: Float[Array | np.ndarray, "p j"]
    joints: Callable[[Points], Points]
    cost: Callable[[Points, Judge, Batch, Array, LossWeights], Terms]

    @property
    def points(self) -> int:
        """The number of points that the head predicts."""
        return len(self.of_joints)


def pose_loss(
    joints: Points,
    joints_mm: Float[Array, "b j 3"],
    batch: Batch,
    groups: Float[np.ndarray, "k j"],
    step: Array,
    geometry: Geometry,
    weights: LossWeights,
) -> Terms:
    """L_pose: mean-relative, projected and absolute terms of 3D labels, and a projected term of 2D
    labels.

    `joints_mm` are the absolute joints that follow from the head's `joints`. `groups` averages all
    joints that a 2D label names (a row is zero if no joint has that name).

    A soft-argmax cannot reach beyond the crop, and is inexact near its border. So the losses in the
    image count only predicted points in view, by the border that `absolute.reconstruct` uses, and
    only 2D labels in view by the same border. As published, true joints count up to 20 strides
    outside of the crop: they pull predictions that are too far inside towards the border.
    """
    true_mm, valid, intrinsics = batch["joints_mm"], batch["valid"], batch["intrinsics"]
    metres_per_px = geometry.box_mm / 1000.0 / geometry.side_px
    true_px = losses.project_px(true_mm, intrinsics)
    near_px = NEAR_VIEW_STRIDES * geometry.stride
    visible = _visible(true_mm, true_px, valid, geometry.side_px, near_px)
    visible &= _in_view(joints.px, geometry)
    late = (step >= weights.absolute_from).astype(jnp.float32)
    named = jnp.asarray(groups)
    labelled = _labelled(batch, groups, geometry)
    label_px = (
        jnp.einsum("kj,bjc->bkc", named, joints.px),
        losses.project_px(jnp.einsum("kj,bjc->bkc", named, joints_mm), intrinsics),
    )
    label_losses = jnp.stack(
        [
            losses.pixel_loss(
                px, batch["labels_px"], labelled & _in_view(px, geometry), metres_per_px
            )
            for px in label_px
        ]
    )
    return {
        "relative": losses.mean_relative_loss(joints_mm, true_mm, valid),
        "projected": weights.projected
        * losses.pixel_loss(joints.px, true_px, visible, metres_per_px),
        "absolute": weights.absolute * late * losses.absolute_loss(joints_mm, true_mm, valid),
        "labels_2d": weights.labels_2d * jnp.mean(label_losses),
    }


def heatmap_cost(output: Output, batch: Batch, geometry: Geometry) -> Float[Array, ""]:
    """Cross-entropy of the joints' heat maps and volumes, on the 3D labels within crop and box.

    A volume has no translation, so the true pose is moved to the mean of the predicted one.
    """
    side_px, stride, centred, box_mm = geometry
    true_mm, valid = batch["joints_mm"], batch["valid"]
    true_px = losses.project_px(true_mm, batch["intrinsics"])
    in_image = heatmaps.px_to_heatmap(true_px, side_px, stride, centred)
    visible = _visible(true_mm, true_px, valid, side_px, 0.0)
    relative_mm = output.points.relative_mm
    mean_mm = relative_mm - alignment.mean_relative(relative_mm, valid)  # for every joint
    placed_mm = alignment.mean_relative(true_mm, valid) + jax.lax.stop_gradient(mean_mm)
    in_box = heatmaps.mm_to_volume(placed_mm, side_px, stride, box_mm, centred)
    return losses.heatmap_loss(output.image, in_image, visible) + losses.heatmap_loss(
        output.box, in_box, valid
    )


def dataset_losses(
    joints: Points,
    joints_mm: Float[Array, "b j 3"],
    batch: Batch,
    groups: Float[np.ndarray, "k j"],
    geometry: Geometry,
    datasets: tuple[str, ...],
) -> Terms:
    """The mean error of each dataset's examples in metres, for the log.

    It is the mean-relative L1 distance of examples with 3D labels; for others, that of the 2D
    labels in the image, as in `pose_loss`.
    """
    valid, labelled = batch["valid"], _labelled(batch, groups, geometry)
    relative = [alignment.mean_relative(p, valid) for p in (joints_mm, batch["joints_mm"])]
    in_space = losses.example_means(jnp.abs(relative[0] - relative[1]), valid) / 1000.0
    label_px = jnp.einsum("kj,bjc->bkc", jnp.asarray(groups), joints.px)
    in_image = losses.example_means(jnp.abs(label_px - batch["labels_px"]), labelled)
    metres_per_px = geometry.box_mm / 1000.0 / geometry.side_px
    error = jnp.where(jnp.any(valid, axis=1), in_space, in_image * metres_per_px)
    belongs = batch["dataset"][:, None] == jnp.arange(len(datasets))[None]
    both = jnp.stack([error, jnp.ones_like(error)])  # one array, so there is one sum over devices
    totals, counts = jnp.sum(belongs[None] * both[:, :, None], axis=1)
    means = totals / jnp.maximum(counts, 1)
    return {f"dataset/{name}": means[index] for index, name in enumerate(datasets)}


def _in_view(points_px: Float[Array, "b p 2"], geometry: Geometry) -> Bool[Array, "b p"]:
    """Which points lie in the crop and not near its border."""
    border_px = absolute.BORDER_STRIDES * geometry.stride
    return absolute.in_view(points_px, geometry.side_px, border_px)


def _labelled(
    batch: Batch, groups: Float[np.ndarray, "k j"], geometry: Geometry
) -> Bool[Array, "b k"]:
    """Which 2D labels count: those that are valid, in view, and have a joint of that name."""
    has_joint = jnp.asarray(groups.sum(axis=1) > 0)[None]
    return batch["labels_valid"] & has_joint & _in_view(batch["labels_px"], geometry)


def _visible(
    true_mm: Float[Array, "b j 3"],
    true_px: Float[Array, "b j 2"],
    valid: Bool[Array, "b j"],
    side_px: int,
    border_px: float,
) -> Bool[Array, "b j"]:
    inside = absolute.in_view(true_px, side_px, border_px)
    return valid & inside & (true_mm[..., 2] > losses.NEAR_MM)


def _prefixed(prefix: str, terms: Terms) -> Terms:
    return {f"{prefix}_{name}": value for name, value in terms.items()}


def _agreement(
    a_mm: Float[Array, "b j 3"], b_mm: Float[Array, "b j 3"], batch: Batch, weights: LossWeights
) -> Float[Array, ""]:
    """Mean L1 distance of two predictions, with a smaller weight for examples with 2D labels."""
    is_3d = jnp.any(batch["valid"], axis=1)
    return losses.agreement_loss(a_mm, b_mm, is_3d) + weights.labels_2d * losses.agreement_loss(
        a_mm, b_mm, ~is_3d
    )


def _identity(joint_count: int) -> Float[np.ndarray, "j j"]:
    """`of_joints` for points that are the joints."""
    return np.eye(joint_count, dtype=np.float32)


def _unchanged(points: Points) -> Points:
    return points


def _combined(matrix: Array | np.ndarray, points: Points) -> Points:
    """Points combined by the rows of a matrix, which sum to 1."""
    return Points(*(autoencoder.combine(matrix, values) for values in points))


def separate(joint_count: int) -> Variant:
    """One output point for each joint, without any coupling (stage 1; control of stage 3)."""

    def cost(
        points: Points, judge: Judge, batch: Batch, step: Array, weights: LossWeights
    ) -> Terms:
        return judge(points)[1]

    return Variant(_identity(joint_count), _unchanged, cost)


def regularised(maps: autoencoder.Matrices) -> Variant:
    """Output regularisation: the frozen autoencoder should reproduce the joints."""

    def cost(
        points: Points, judge: Judge, batch: Batch, step: Array, weights: LossWeights
    ) -> Terms:
        joints_mm, terms = judge(points)
        again_mm = autoencoder.reconstruct(maps, joints_mm)
        agreement = weights.consistency * _agreement(joints_mm, again_mm, batch, weights)
        return {**terms, "consistency": agreement}

    return Variant(_identity(len(maps.decode)), _unchanged, cost)


def latent(maps: autoencoder.Matrices) -> Variant:
    """Latent prediction: the head predicts latent points, from which the joints are decoded."""

    def joints(points: Points) -> Points:
        return _combined(maps.decode, points)

    def cost(
        points: Points, judge: Judge, batch: Batch, step: Array, weights: LossWeights
    ) -> Terms:
        return judge(joints(points))[1]

    return Variant(maps.encode, joints, cost)


def hybrid(maps: autoencoder.Matrices) -> Variant:
    """Student and teacher: regularised joints teach the latent points, which give the result."""
    count = len(maps.decode)

    def joints(points: Points) -> Points:
        return _combined(maps.decode, Points(*(values[:, count:] for values in points)))

    def cost(
        points: Points, judge: Judge, batch: Batch, step: Array, weights: LossWeights
    ) -> Terms:
        direct = Points(*(values[:, :count] for values in points))
        teacher_mm, teacher_terms = judge(direct)
        student_mm, student_terms = judge(joints(points))
        reproduced = _combined(maps.decode, _combined(maps.encode, direct))
        again_mm = autoencoder.reconstruct(maps, teacher_mm)
        late = (step >= weights.teacher_from).astype(jnp.float32)
        distance = _agreement(jax.lax.stop_gradient(teacher_mm), student_mm, batch, weights)
        return {
            **student_terms,
            **_prefixed("teacher", teacher_terms),
            **_prefixed("again", judge(reproduced)[1]),
            "consistency": weights.consistency * _agreement(teacher_mm, again_mm, batch, weights),
            "teacher": weights.teacher * late * distance,
        }

    return Variant(np.concatenate([_identity(count), maps.encode]), joints, cost)
