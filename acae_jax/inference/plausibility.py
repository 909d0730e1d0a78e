"""Which of the detected poses to keep: the rules of MeTRAbs' multi-person estimator.

A detector finds lamps and the same person twice. A pose is kept if its bones can be bones, its
variants agree, and it is where its box is; and of poses that coincide in space, the one of the best
score is kept. Poses are in the camera space of the image, in mm, over all joints.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from acae_jax.geometry import boxes

# A bone is wrong if it is both relatively and absolutely far from its mean in the training poses.
BONE_RATIOS = (0.1, 3.0)
BONE_DIFFERENCE_MM = 300.0
VARIANTS_DEVIATION_MM = 200.0
# MeTRAbs asks for a half, of a strong network. The packaged one draws some people too small: a half
# lost 13 of 40 frames of a video, a third none, and on the embedded test set neither loses many.
BOX_SHARE = 1 / 3
SAME_POSE_MM = 300.0
SAME_POSE_SIMILARITY = 0.4
MAX_POSES = 150


def select(
    poses_mm: Float[np.ndarray, "n a j 3"],
    poses_px: Float[np.ndarray, "n j 2"],
    boxes_px: Float[np.ndarray, "n 5"],
    edges: tuple[tuple[int, int], ...],
    bones_mm: tuple[float, ...],
) -> Int[np.ndarray, " k"]:
    """Indices of the poses to keep, best score first; at most 150.

    poses_mm: `a` variants of each. poses_px: of their means. bones_mm: mean lengths of the edges;
    () leaves bones out of it.
    """
    means_mm = poses_mm.mean(1)
    plausible = (
        bones_fit(means_mm, edges, bones_mm)
        & variants_agree(poses_mm)
        & fills_box(poses_px, boxes_px[:, :4])
    )
    kept = np.flatnonzero(plausible)
    return kept[suppress(means_mm[kept], boxes_px[kept, 4])]


def bones_fit(
    poses_mm: Float[np.ndarray, "n j 3"],
    edges: tuple[tuple[int, int], ...],
    bones_mm: tuple[float, ...],
) -> Bool[np.ndarray, " n"]:
    """Whether no bone is 300 mm off its mean length and also below 0.1 or above 3 times it."""
    if not bones_mm:
        return np.ones(len(poses_mm), bool)
    first, second = np.array(edges).T
    lengths = np.linalg.norm(poses_mm[:, first] - poses_mm[:, second], axis=-1)
    mean = np.array(bones_mm)
    shortest, longest = BONE_RATIOS
    off = (lengths < shortest * mean) | (lengths > longest * mean)
    return ~(off & (np.abs(lengths - mean) > BONE_DIFFERENCE_MM)).any(1)


def variants_agree(poses_mm: Float[np.ndarray, "n a j 3"]) -> Bool[np.ndarray, " n"]:
    """Whether more than a quarter of the joints deviate by less than 200 mm between variants.

    Variants are brought to one scale first, about the camera, because distances are uncertain.
    """
    square = (poses_mm**2).mean((2, 3), keepdims=True)
    scaled = poses_mm * np.sqrt(square.mean(1, keepdims=True) / square)
    deviation = np.sqrt(scaled.var(1).sum(-1))
    return (deviation < VARIANTS_DEVIATION_MM).sum(-1) > poses_mm.shape[2] // 4


def fills_box(
    poses_px: Float[np.ndarray, "n j 2"], boxes_px: Float[np.ndarray, "n 4"]
) -> Bool[np.ndarray, " n"]:
    """Whether the box around the pose covers more than a third of the detector's box."""
    around = boxes.of_points(poses_px)
    common = boxes.area(boxes.intersect(around, boxes_px.astype(around.dtype)))
    return common > BOX_SHARE * boxes.area(boxes_px)


def suppress(
    poses_mm: Float[np.ndarray, "n j 3"], scores: Float[np.ndarray, " n"]
) -> Int[np.ndarray, " k"]:
    """Indices of the poses, best first, without those that are similar to a better one."""
    order = np.argsort(-scores, kind="stable")
    indices = []
    while order.size and len(indices) < MAX_POSES:
        best, order = order[0], order[1:]
        indices.append(best)
        order = order[similarity(poses_mm[best], poses_mm[order]) <= SAME_POSE_SIMILARITY]
    return np.array(indices, np.int64)


def similarity(
    pose_mm: Float[np.ndarray, "j 3"], others_mm: Float[np.ndarray, "n j 3"]
) -> Float[np.ndarray, " n"]:
    """From 0, no joint within 300 mm, to 1: by the quarter of the joints that are farthest apart.

    Two poses are brought to their common scale about the camera first.
    """
    square, squares = (pose_mm**2).mean(), (others_mm**2).mean((1, 2))
    common = (square + squares) / 2
    one = pose_mm * np.sqrt(common / square)[:, None, None]
    distances = np.linalg.norm(one - others_mm * np.sqrt(common / squares)[:, None, None], axis=-1)
    count = max(1, distances.shape[1] // 4)
    farthest = np.sort(distances, axis=1)[:, -count:]
    return np.maximum(0, 1 - farthest / SAME_POSE_MM).mean(1)
