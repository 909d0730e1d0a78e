"""The results of a finished workflow that a report shows, and choices that its tables and pictures
share.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax import losses, metrics
from acae_jax.estimation.evaluation.per_format import MEAN, LabelCount
from acae_jax.estimation.model import autoencoder
from acae_jax.estimation.reporting.relations import Table
from acae_jax.geometry import absolute
from acae_jax.skeletons.union import JointUnion

BASELINE, PROPOSED = "separate", "regularised"

# The rank, by error, of the test image that represents each part of the test set.
EXAMPLES = {
    "middle of the best quarter": 0.125,
    "median": 0.5,
    "middle of the worst quarter": 0.875,
}


class Run(NamedTuple):
    """The results of a finished workflow on the test set.

    Poses are in the space of the crop cameras, joints in the union's order. `images` has only those
    that `examples` selects, by number. `true_mm` is NaN for joints without a label. `counts` has
    the number of labelled poses of each format. `scores` maps variant and format ("mean": the
    average over formats) to metrics, `curves` maps stages to the rows of their logs, `relations`
    maps (from, to) to how well a format follows from another. `mean_pose_mpjpe_mm` is the error of
    always predicting the mean pose of training; None if a format has no mean pose.
    """

    union: JointUnion
    images: Mapping[int, UInt8[np.ndarray, "s s 3"]]
    intrinsics: Float[np.ndarray, "n 3 3"]
    true_mm: Float[np.ndarray, "n j 3"]
    counts: Mapping[str, LabelCount]
    predictions_mm: Mapping[str, Float[np.ndarray, "n j 3"]]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    curves: Mapping[str, Sequence[Mapping[str, float | int]]]
    maps: autoencoder.Matrices | None
    relations: Table | None
    mean_pose_mpjpe_mm: float | None
    seconds: float


def compared(run: Run) -> tuple[str, ...]:
    """The variants in the pictures: separate and regularised, or only the last one if one of these
    is missing.

    Raises ValueError if the run has no predictions.
    """
    if not run.predictions_mm:
        raise ValueError("a report needs the predictions of at least one variant; evaluate one")
    if {BASELINE, PROPOSED} <= set(run.predictions_mm):
        return (BASELINE, PROPOSED)
    return (list(run.predictions_mm)[-1],)


def change_percent(run: Run, metric: str) -> float | None:
    """The change of a metric from the separate to the regularised variant in percent; None if it
    has no value.
    """
    before, after = (run.scores[name][MEAN].get(metric) for name in (BASELINE, PROPOSED))
    return 100.0 * (after - before) / before if before and after is not None else None


def image_errors_mm(run: Run, variant: str) -> Float[np.ndarray, " n"]:
    """The MPJPE of each test image, averaged over formats; NaN if no format has a labelled root."""
    total, formats = np.zeros(len(run.true_mm)), np.zeros(len(run.true_mm))
    for indices in run.union.members.values():
        at = list(indices)
        root = metrics.root_weights([run.union.joint_names[i] for i in at])
        truth = run.true_mm[:, at]
        valid = np.all(np.isfinite(truth), axis=-1)
        errors = metrics.pose_errors(run.predictions_mm[variant][:, at], truth, valid, root)
        values, mask = errors["mpjpe_mm"]
        count = mask.sum(axis=1)
        total += np.where(mask, values, 0).sum(axis=1) / np.maximum(count, 1)
        formats += count > 0
    return np.where(formats > 0, total / np.maximum(formats, 1), np.nan)


def latents_outside(run: Run) -> Float[np.ndarray, " l"] | None:
    """The share of test images in which each latent point lies outside of the crop.

    A heat map cannot represent a point there, so a network that predicts latent points must put it
    on the border. Only images with all joints labelled count; None if there are none, or without
    an autoencoder.
    """
    complete = np.isfinite(run.true_mm).all(axis=(1, 2))
    if run.maps is None or not complete.any():
        return None
    latents_mm = autoencoder.to_latents(run.maps, jnp.asarray(run.true_mm[complete]))
    px = losses.project_px(latents_mm, jnp.asarray(run.intrinsics[complete]))
    inside = absolute.in_view(px, len(next(iter(run.images.values()))), 0.0)
    return 1.0 - np.asarray(inside).mean(axis=0)


def examples(run: Run) -> dict[str, int]:
    """The test images of the report: those at fixed ranks of the error, averaged over the compared
    variants.

    Images without an error do not count.
    """
    errors = np.mean([image_errors_mm(run, name) for name in compared(run)], axis=0)
    order = np.argsort(errors, kind="stable")[: np.isfinite(errors).sum()]
    last = len(order) - 1
    return {label: int(order[round(rank * last)]) for label, rank in EXAMPLES.items()}


def whole_poses_mm(run: Run) -> Float[np.ndarray, "n j 3"]:
    """The true poses with all joints, or the last compared variant's predictions if none has."""
    whole = np.all(np.isfinite(run.true_mm), axis=(1, 2))
    return run.true_mm[whole] if whole.any() else run.predictions_mm[compared(run)[-1]]
