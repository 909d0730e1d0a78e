"""Evaluation metrics of 3D pose, in millimetres and percent, on host arrays.

Every metric is a mean over all labelled joints of all poses (never a mean of means), unless it says
otherwise. `valid` marks the labelled joints. PCK uses the strict inequality, as the official
protocols of the benchmarks do.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from acae_jax.geometry import alignment
from acae_jax.skeletons import body_parts
from acae_jax.skeletons.body_parts import BodyPart

PCK_MM = 150.0
HIGHER_IS_BETTER = ("pck150", "auc150")  # all others are errors


def root_weights(joint_names: Sequence[str]) -> Float[np.ndarray, " j"]:
    """Weights of the joints whose combination is the root: the pelvis, else the middle of the hips,
    else the mean.
    """
    weights = np.zeros(len(joint_names), np.float32)
    parts, hips = body_parts.of(joint_names), (BodyPart("hip", "l"), BodyPart("hip", "r"))
    pelvis = body_parts.pelvis(joint_names)
    if pelvis is not None:
        weights[pelvis] = 1.0
    elif all(hip in parts for hip in hips):
        weights[[parts.index(hip) for hip in hips]] = 0.5
    else:
        weights[:] = 1.0 / len(parts)
    return weights


def root_relative(
    poses_mm: Float[np.ndarray, "n j 3"], weights: Float[np.ndarray, " j"]
) -> Float[np.ndarray, "n j 3"]:
    """Poses minus their root, the combination of joints by `weights`."""
    return poses_mm - np.einsum("njc,j->nc", poses_mm, weights)[:, None]


def joint_errors(
    predicted_mm: Float[np.ndarray, "n j 3"], true_mm: Float[np.ndarray, "n j 3"]
) -> Float[np.ndarray, "n j"]:
    """Euclidean distance of each joint."""
    return np.linalg.norm(predicted_mm - true_mm, axis=-1)


def pose_metrics(
    predicted_mm: Float[np.ndarray, "n j 3"],
    true_mm: Float[np.ndarray, "n j 3"],
    valid: Bool[np.ndarray, "n j"],
    root: Float[np.ndarray, " j"],
) -> dict[str, float]:
    """MPJPE, PA-MPJPE (similarity), absolute MPJPE, root-relative PCK and AUC at 150 mm."""
    relative = joint_errors(root_relative(predicted_mm, root), root_relative(true_mm, root))[valid]
    aligned = alignment.procrustes(predicted_mm, true_mm, valid)
    return {
        "mpjpe_mm": float(relative.mean()),
        "pa_mpjpe_mm": float(joint_errors(np.asarray(aligned), true_mm)[valid].mean()),
        "absolute_mpjpe_mm": float(joint_errors(predicted_mm, true_mm)[valid].mean()),
        "pck150": float(100.0 * np.mean(relative < PCK_MM)),
        "auc150": float(100.0 * np.mean(np.maximum(0.0, 1.0 - relative / PCK_MM))),
    }


def neighbour_pairs(
    true_mm: Float[np.ndarray, "n j 3"], members: Mapping[str, Sequence[int]], within_mm: float
) -> Int[np.ndarray, "p 2"]:
    """Pairs of joints of different formats whose mean distance over the poses is at most
    `within_mm`.
    """
    owner = np.full(true_mm.shape[1], -1)
    for number, indices in enumerate(members.values()):
        owner[list(indices)] = number
    distance = np.zeros((true_mm.shape[1],) * 2)
    for pose in true_mm:
        distance += np.linalg.norm(pose[:, None] - pose[None], axis=-1)
    near = distance / max(len(true_mm), 1) <= within_mm
    near &= owner[:, None] < owner[None]
    return np.argwhere(near)


def disagreement(
    predicted_mm: Float[np.ndarray, "n j 3"],
    true_mm: Float[np.ndarray, "n j 3"],
    pairs: Int[np.ndarray, "p 2"],
) -> dict[str, float]:
    """Cross-format disagreement: mean |(P_a − P_b) − (G_a − G_b)| over `pairs`, in depth and in the
    image plane.
    """
    if not len(pairs):
        raise ValueError("disagreement needs at least one pair of joints of different formats.")
    a, b = pairs.T
    error = (predicted_mm[:, a] - predicted_mm[:, b]) - (true_mm[:, a] - true_mm[:, b])
    return {
        "disagreement_depth_mm": float(np.abs(error[..., 2]).mean()),
        "disagreement_plane_mm": float(np.linalg.norm(error[..., :2], axis=-1).mean()),
    }
