"""People from frame to frame of a video: where they are tells where they will be.

A network that tells where the person is (`bundles.facts.Looks`) needs no box in the next frame: it
looks at the region where the person was, as BlazePose does (Bazarevsky et al. 2020). So the
detector is needed only for new people, and once somebody is lost.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

from acae_jax.geometry import boxes as box_geometry

SURE_MM = 110.0
"""How unsure the network may be of somebody who is followed: of 9 in 10 real people it is surer."""
SAME_IOU = 0.3
"""The detected box that overlaps a followed person best, and more than this, is that person's."""
NEW_SHARE = 0.5
"""Of a region's new place in the next one: it trembles, and would make the next pose tremble."""


class Followed(NamedTuple):
    """People of a frame: boxes with scores, and their regions' middles and tops in camera space.

    The region is NaN of people of whom the network is unsure, and who cannot be followed.
    """

    boxes: Float32[np.ndarray, "n 5"]
    regions_mm: Float[np.ndarray, "n 2 3"]


NOBODY = Followed(np.zeros((0, 5), np.float32), np.zeros((0, 2, 3)))


def sure_ones(before: Followed) -> Followed:
    """Those who can be followed."""
    sure = np.isfinite(before.regions_mm).all((1, 2))
    return Followed(before.boxes[sure], before.regions_mm[sure])


def is_sure(doubts_mm: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Whether the network is sure enough of people to follow them."""
    return doubts_mm <= SURE_MM


def steadied(
    before_mm: Float[np.ndarray, "n 2 3"], now_mm: Float[np.ndarray, "n a 2 3"]
) -> Float[np.ndarray, "n a 2 3"]:
    """Regions between where they were and where they are."""
    return NEW_SHARE * now_mm + (1 - NEW_SHARE) * before_mm[:, None]


def around(
    poses_px: Float[np.ndarray, "n j 2"], scores: Float32[np.ndarray, " n"], height: int, width: int
) -> Float32[np.ndarray, "n 5"]:
    """The boxes around poses, cut at the image's edges; empty ones have no area."""
    whole = box_geometry.of_image(width, height).astype(np.float64)
    boxes = box_geometry.of_points(poses_px.astype(np.float64))
    inside = box_geometry.intersect(boxes, np.broadcast_to(whole, boxes.shape))
    return np.concatenate([inside, scores[:, None]], axis=1).astype(np.float32)


def parted(
    detected: Float32[np.ndarray, "n 5"], known: Float32[np.ndarray, "m 5"]
) -> tuple[Float32[np.ndarray, "k 5"], Float32[np.ndarray, " m"]]:
    """The detected boxes that are nobody's yet, and the known people's scores now."""
    scores, is_new = known[:, 4].copy(), np.ones(len(detected), bool)
    for person, box in enumerate(known):
        overlap = box_geometry.iou(np.broadcast_to(box[:4], (len(detected), 4)), detected[:, :4])
        if overlap.max(initial=0) > SAME_IOU:
            own = int(overlap.argmax())
            is_new[own], scores[person] = False, detected[own, 4]
    return detected[is_new], scores
