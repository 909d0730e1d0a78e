"""The weights by which a model's joints give those of a new skeleton, learned from a few examples.

Each new joint k is an affine combination of the model's joints p_j. The examples i have both the
model's joints and the annotated ones y_ik, in the camera's space. The weights solve one convex
problem:

    min  mean_i,k ‖Σ_j w_kj p_ij − (y_ik + τ_i r_i)‖  +  locality · mean_k Σ_j d_kj |w_kj|
    with Σ_j w_kj = 1, and w equal for mirror images: w_kj = w_mirror(k) mirror(j)

* The distances are not squared. So a wrong annotation pulls no harder than a right one, and for
  poses without noise a small `locality` leaves the weights exact.
* d_kj is the mean distance of p_j from y_k in mm. So weights of far joints cost more, which makes
  the weights sparse and local. `locality` has no unit, so its values suit any noise. With 50
  examples each of two formats that the network never saw, the errors were 127.2 and 129.2 mm
  (`launch/held_out_skeleton.py`). Other methods, each with the strength that was best on the test
  set: latent points of the autoencoder 127.7 and 130.5 mm, squared weights priced by distance 131.1
  and 129.6 mm, squared weights with equal prices 132.3 and 131.6 mm, the nearest joints 139.4 and
  130.7 mm.
* τ_i moves an annotated pose along the ray r_i to the person, because a single image says little
  about a person's distance. There is no other motion: with a free translation, nothing would
  determine where on the body the whole skeleton lies.

The solver is iteratively reweighted least squares. It replaces each absolute value by its square
over its value one iteration before. That value is smoothed, less in each iteration.
"""

from typing import NamedTuple

import numpy as np
import tqdm
from jaxtyping import Bool, Float, Int

from acae_jax.skeletons import skeleton

ITERATIONS = 30
SHRINK = 0.6  # the factor of both smoothings at each iteration
RESIDUAL_MM, SMALLEST_MM = 100.0, 1e-4  # smoothing of distances: first and smallest
WEIGHT, SMALLEST = 0.1, 1e-8  # smoothing of weights: first and smallest
CHOICES_AT = (0, 8)  # iterations that choose candidates: again when poses are aligned better
CANDIDATES = 48  # the nearest joints; all 138 are no better and 4 times slower
LEAST_MM = 1.0  # smallest price of a candidate
NEGLIGIBLE, DROP_FROM = 0.02, 20  # smaller weights become 0, from this iteration on
LOCALITIES = (0.003, 0.01, 0.03, 0.1, 0.3)
FOLDS_TO_CHOOSE, FOLDS_TO_REPORT = 5, 50


class Examples(NamedTuple):
    """Predicted and annotated poses, in the camera's space (its centre is the origin).

    Missing annotated joints are NaN. Examples of one `moment`, such as its views, are not
    independent, so they are left out together.
    """

    predicted_mm: Float[np.ndarray, "n j 3"]
    annotated_mm: Float[np.ndarray, "n k 3"]
    moment: Int[np.ndarray, " n"]


class Mirrors(NamedTuple):
    """The index of each joint's mirror image."""

    model: Int[np.ndarray, " j"]
    new: Int[np.ndarray, " k"]


class Fitted(NamedTuple):
    """The weights, and the result for examples that were left out."""

    weights: Float[np.ndarray, "k j"]
    locality: float
    left_out_poses_mm: Float[np.ndarray, "n k 3"]
    left_out_mm: Float[np.ndarray, "n k"]  # their `distances_mm`; NaN where not annotated


def mirrors(joint_names: tuple[str, ...], new_joint_names: tuple[str, ...]) -> Mirrors:
    """The mirror images by name; ValueError if a left or right joint has none."""
    return Mirrors(skeleton.mirror_map(joint_names), skeleton.mirror_map(new_joint_names))


def fit(examples: Examples, sides: Mirrors, bar: bool = False) -> Fitted:
    """Learn the weights, with the locality that predicts left-out examples best.

    Errors are measured by leaving out one moment at a time, or a fiftieth of them if there are more
    than 50. Raises ValueError if the examples do not determine the weights.
    """
    if not in_front(examples.predicted_mm).all():
        raise ValueError("predicted poses must be finite and in front of the camera")
    count = len(np.unique(examples.moment))
    folds = min(count, FOLDS_TO_REPORT)
    total = min(count, FOLDS_TO_CHOOSE) * len(LOCALITIES) + folds
    with tqdm.tqdm(total=total, unit="fits", disable=not bar) as progress:
        locality = chosen_locality(examples, sides, progress)
        poses = left_out_poses(examples, sides, locality, folds, progress)
    weights = solve(examples, sides, locality)
    if not np.isfinite(weights).all():
        raise ValueError(
            "the examples do not determine all weights; annotate every joint, or its mirror image"
        )
    return Fitted(weights, locality, poses, distances_mm(examples, poses))


def chosen_locality(examples: Examples, sides: Mirrors, progress: tqdm.tqdm | None = None) -> float:
    """The value of LOCALITIES whose weights predict left-out fifths of the examples best."""
    folds = min(len(np.unique(examples.moment)), FOLDS_TO_CHOOSE)
    errors = [
        np.nanmean(
            distances_mm(examples, left_out_poses(examples, sides, locality, folds, progress))
        )
        for locality in LOCALITIES
    ]
    return LOCALITIES[int(np.argmin(errors))]


def left_out_poses(
    examples: Examples,
    sides: Mirrors,
    locality: float,
    folds: int,
    progress: tqdm.tqdm | None = None,
) -> Float[np.ndarray, "n k 3"]:
    """The new joints of each example, by weights that were learned without its fold.

    Examples of one moment are in one fold.
    """
    moments, number = np.unique(examples.moment, return_inverse=True)
    if folds < 2:
        raise ValueError(f"leaving examples out needs at least 2 of them, got {len(moments)}")
    poses = np.full(examples.annotated_mm.shape, np.nan)
    for fold in range(folds):
        out = number % folds == fold
        others = Examples(*(values[~out] for values in examples))
        poses[out] = solve(others, sides, locality) @ examples.predicted_mm[out]
        if progress is not None:
            progress.update()
    return poses


def distances_mm(
    examples: Examples, poses_mm: Float[np.ndarray, "n k 3"]
) -> Float[np.ndarray, "n k"]:
    """The distances of joints from the annotated ones, which are `moved` first; NaN if missing."""
    return np.linalg.norm(poses_mm - moved(examples, poses_mm), axis=-1)


def moved(examples: Examples, poses_mm: Float[np.ndarray, "n k 3"]) -> Float[np.ndarray, "n k 3"]:
    """The annotated poses, moved along their rays until they are nearest to `poses_mm`."""
    valid = known(examples.annotated_mm) & known(poses_mm)
    share = valid.astype(np.float64)
    annotated, poses = (
        np.where(valid[..., None], points, 0.0) for points in (examples.annotated_mm, poses_mm)
    )
    shifted = _moved(annotated, poses, rays(examples.predicted_mm), share)
    return np.where(valid[..., None], shifted, np.nan)


def known(points: Float[np.ndarray, "*b c"]) -> Bool[np.ndarray, "*b"]:
    """Which points are known: those without NaN."""
    return np.asarray(np.isfinite(points).all(axis=-1))


def bones_mm(
    examples: Examples, weights: Float[np.ndarray, "k j"], edges: tuple[tuple[int, int], ...]
) -> Float[np.ndarray, " e"]:
    """Mean lengths of the edges in the annotated poses, or in the learned ones if the edge was
    never annotated.
    """
    annotated, learned = (
        skeleton.bone_lengths(poses, edges)
        for poses in (examples.annotated_mm, weights @ examples.predicted_mm)
    )
    count = np.isfinite(annotated).sum(axis=0)
    total = np.nansum(annotated, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), learned.mean(axis=0))


def beside_mm(examples: Examples) -> Float[np.ndarray, " n"]:
    """How far the middles of annotated and predicted joints are apart, across the ray to them."""
    predicted = examples.predicted_mm.mean(axis=1)
    apart = np.nanmean(examples.annotated_mm, axis=1) - predicted
    ray = rays(examples.predicted_mm)
    along = np.einsum("nc,nc->n", apart, ray)
    return np.linalg.norm(apart - along[:, None] * ray, axis=-1)


def in_front(predicted_mm: Float[np.ndarray, "n j 3"]) -> Bool[np.ndarray, " n"]:
    """Which poses are finite and have their middle in front of the camera."""
    finite = np.isfinite(predicted_mm).all(axis=(1, 2))
    return finite & (predicted_mm[..., 2].mean(axis=1) > 0)


def rays(predicted_mm: Float[np.ndarray, "n j 3"]) -> Float[np.ndarray, "n 3"]:
    """Unit vectors from the camera to the middle of each pose."""
    middle = predicted_mm.mean(axis=1)
    return middle / np.linalg.norm(middle, axis=-1, keepdims=True)


def solve(examples: Examples, sides: Mirrors, locality: float) -> Float[np.ndarray, "k j"]:
    """Solve the problem above; NaN for joints that no example annotates on either side."""
    predicted = examples.predicted_mm.astype(np.float64)
    valid = known(examples.annotated_mm)
    annotates = np.any(valid | valid[:, sides.new], axis=0)
    # Solve for one joint of each pair; a central joint is its own pair.
    first = np.flatnonzero((np.arange(len(sides.new)) <= sides.new) & annotates)
    second = sides.new[first]
    annotated = np.where(valid[..., None], examples.annotated_mm, 0.0).astype(np.float64)
    ray = rays(predicted)
    # The other joint of a pair, as a combination of mirrored joints, is one more observation of the
    # same weights. Space need not be mirrored, because affine combinations do not depend on it.
    both = np.concatenate([predicted, predicted[:, sides.model]])
    is_annotated = np.concatenate([valid[:, first], valid[:, second]])
    combined = np.broadcast_to(predicted.mean(1, keepdims=True), annotated.shape)
    share = valid.astype(np.float64)
    for iteration in range(ITERATIONS):
        moved = _moved(annotated, combined, ray, share)
        if iteration:
            smallest_mm = max(RESIDUAL_MM * SHRINK**iteration, SMALLEST_MM)
            distance = np.linalg.norm(combined - moved, axis=-1)
            share = valid / np.maximum(distance, smallest_mm)
        targets = np.concatenate([moved[:, first], moved[:, second]])
        if iteration in CHOICES_AT:
            candidates, price_mm = _candidates(both, targets, is_annotated)
            weights = np.full(candidates.shape, 1 / candidates.shape[1])
        shares = np.concatenate([share[:, first], share[:, second]])
        gram = _gram(both, targets, shares, is_annotated, candidates)
        smoothing = max(WEIGHT * SHRINK**iteration, SMALLEST)
        weights = _reweighted(gram, np.multiply(locality, price_mm), weights, smoothing)
        if iteration >= DROP_FROM:
            weights[np.abs(weights) < NEGLIGIBLE] = 0.0
        matrix = _matrix(weights, candidates, first, sides)
        combined = np.where(annotates[:, None], matrix @ predicted, 0.0)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _moved(
    annotated: Float[np.ndarray, "n k 3"],
    combined: Float[np.ndarray, "n k 3"],
    ray: Float[np.ndarray, "n 3"],
    share: Float[np.ndarray, "n k"],
) -> Float[np.ndarray, "n k 3"]:
    """The annotated poses, moved along their rays by the mean offset to `combined`, weighted by
    `share`.
    """
    offset = np.einsum("nkc,nc,nk->n", combined - annotated, ray, share)
    offset /= np.maximum(share.sum(axis=1), 1e-12)
    return annotated + (offset[:, None] * ray)[:, None]


def _candidates(
    joints: Float[np.ndarray, "m j 3"],
    targets: Float[np.ndarray, "m o 3"],
    is_annotated: Bool[np.ndarray, "m o"],
) -> tuple[Int[np.ndarray, "o c"], Float[np.ndarray, "o c"]]:
    """The joints nearest to each target, and their prices: their mean distances in mm."""
    distance = np.stack([
        np.linalg.norm(joints[rows] - targets[rows, o, None], axis=-1).mean(axis=0)
        for o, rows in enumerate(is_annotated.T)
    ])  # fmt: skip
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :CANDIDATES]
    # At distance 0 a weight would be free, and so undetermined.
    return nearest, np.maximum(np.take_along_axis(distance, nearest, axis=1), LEAST_MM)


def _gram(
    joints: Float[np.ndarray, "m j 3"],
    targets: Float[np.ndarray, "m o 3"],
    shares: Float[np.ndarray, "m o"],
    is_annotated: Bool[np.ndarray, "m o"],
    candidates: Int[np.ndarray, "o c"],
) -> Float[np.ndarray, "o c c"]:
    """Mean products of the vectors from a target to its candidates, weighted by `shares`.

    As the weights sum to 1, the vector from the target to a combination of candidates is the same
    combination of these vectors.
    """
    grams = np.empty((*candidates.shape, candidates.shape[1]))
    for o, columns in enumerate(candidates):
        vectors = (joints[:, columns] - targets[:, o, None]) * np.sqrt(shares[:, o])[:, None, None]
        flat = vectors.swapaxes(1, 2).reshape(-1, len(columns))
        grams[o] = flat.T @ flat / is_annotated[:, o].sum()
    return grams


def _reweighted(
    gram: Float[np.ndarray, "o c c"],
    price: Float[np.ndarray, "o c"],
    weights: Float[np.ndarray, "o c"],
    smoothing: float,
) -> Float[np.ndarray, "o c"]:
    """The weights with sum 1 that minimise w·gram·w + price·w²/(|weights| + smoothing)."""
    scale = np.sqrt(np.abs(weights) + smoothing)  # keeps the system well-conditioned
    system = gram * scale[:, :, None] * scale[:, None]
    places = np.arange(gram.shape[1])
    system[:, places, places] += price
    raw = np.linalg.solve(system, scale[..., None])[..., 0] * scale
    return raw / raw.sum(axis=1, keepdims=True)


def _matrix(
    weights: Float[np.ndarray, "o c"],
    candidates: Int[np.ndarray, "o c"],
    first: Int[np.ndarray, " o"],
    sides: Mirrors,
) -> Float[np.ndarray, "k j"]:
    """The weights of all joints, from those of one joint of each pair; NaN without annotation."""
    matrix = np.full((len(sides.new), len(sides.model)), np.nan)
    for k, columns, values in zip(first, candidates, weights, strict=True):
        row = np.zeros(len(sides.model))
        row[columns] = values
        mirrored = row[sides.model]
        is_central = sides.new[k] == k
        matrix[k] = (row + mirrored) / 2 if is_central else row
        matrix[sides.new[k]] = matrix[k] if is_central else mirrored
    return matrix
