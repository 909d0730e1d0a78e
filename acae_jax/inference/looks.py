"""Where to crop, for networks that tell it: the first look is at the box, the next at the region
that the person takes up according to the look before.

BlazePose (Bazarevsky et al. 2020) is such a network: the region is a circle around the middle of
the hips; crops are centred there and turned so that the head is up. A box leads to the region only
if it shows the whole person, not lying on the side. So several looks compete:

* If the image's edge cuts the box, the person may go on beyond it. Taller boxes are tried, too, and
  that one is kept whose region is nearest to the crop that it was found in.
* If the network is unsure, the person may lie or hang. Other turns are tried, and that one is kept
  of which the network is least unsure in the second look. It is less unsure of some people on their
  heads who are not, so this must be plain (`SURER`), except for lying in a box that is wide.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax.bundles.facts import Looks
from acae_jax.images.crops import View
from acae_jax.inference import framing
from acae_jax.inference.arguments import Scene
from acae_jax.inference.framing import Frame

HEIGHTS = (1.5, 2.2)
"""Of boxes that the image's edge cuts, as multiples of what is seen."""
TURNS = (math.pi / 2, -math.pi / 2, math.pi)
SURER = 0.4
"""How unsure the network may be at most after a turn, as a share of what it was without."""
EDGE = 0.015
"""A box that is this near to the image's edge, as a share of the image's height, ends there."""
RADII = (0.05, 1.5)
"""The smallest and largest radius of a region, as shares of the crop's side."""


class Seen(NamedTuple):
    """What a look tells: the region in px of the crop, and how unsure the network is, in mm."""

    region_px: Float[np.ndarray, "2 2"]
    spread_mm: float


Look = Callable[[Sequence[Frame]], Sequence[Seen]]


def settled(
    look: Look,
    looks: Looks,
    scene: Scene,
    boxes: Float[np.ndarray, "n 4"],
    side_px: int,
    up: Float[np.ndarray, "3"],
) -> list[Frame]:
    """For each box of a scene the frame of the last look, which is still to be taken.

    Most people get one look before, those of whom the network is unsure two more.
    """
    groups = [
        [
            framing.varied(framing.of_box(scene, one, side_px, up), View(zoom=1 / looks.margin))
            for one in whole_boxes(box, scene.image.shape[0])
        ]
        for box in boxes
    ]
    nearest = [
        min(group, key=lambda pair: departure(pair[1].region_px, side_px, looks.radii))
        for group in looked(look, groups)
    ]
    frames = [around(frame, seen, side_px, looks.radii) for frame, seen in nearest]
    unsure = [i for i, (_, seen) in enumerate(nearest) if seen.spread_mm > looks.doubt_mm]
    if not unsure:
        return frames
    turned = [[framing.varied(nearest[i][0], View(roll=turn)) for turn in TURNS] for i in unsure]
    candidates = [
        [frames[i], *(around(frame, seen, side_px, looks.radii) for frame, seen in group)]
        for i, group in zip(unsure, looked(look, turned), strict=True)
    ]
    for i, group in zip(unsure, looked(look, candidates), strict=True):
        is_wide = boxes[i][2] > boxes[i][3]
        handicaps = (1.0, *(1.0 if is_wide and turn != math.pi else 1 / SURER for turn in TURNS))
        costs = [
            seen.spread_mm * handicap for (_, seen), handicap in zip(group, handicaps, strict=True)
        ]
        frames[i] = around(*group[int(np.argmin(costs))], side_px, looks.radii)
    return frames


def looked(look: Look, groups: Sequence[Sequence[Frame]]) -> list[list[tuple[Frame, Seen]]]:
    """All frames of all groups with what the network sees in them."""
    seen = iter(look([frame for group in groups for frame in group]))
    return [[(frame, next(seen)) for frame in group] for group in groups]


def whole_boxes(box: Float[np.ndarray, "4"], height_px: int) -> list[Float[np.ndarray, "4"]]:
    """What a person's box may be whose visible part is `box`: itself, and taller ones if the
    image's lower or upper edge cuts it.
    """
    x, y, width, height = box.tolist()
    near = EDGE * height_px
    is_cut_above, is_cut_below = y < near, y + height > height_px - near
    if not (is_cut_above or is_cut_below):
        return [box]
    tops = [y if is_cut_below else y + height - factor * height for factor in HEIGHTS]
    taller = zip(tops, HEIGHTS, strict=True)
    return [box, *(np.array([x, top, width, factor * height]) for top, factor in taller)]


def departure(region_px: Float[np.ndarray, "2 2"], side_px: int, radii: float) -> float:
    """How far a region is from the crop that it was found in: its shift in radii and its growth."""
    radius = side_px / radii
    shift = np.linalg.norm(region_px[0] - (side_px - 1) / 2) / radius
    growth = math.log(max(float(np.linalg.norm(region_px[1] - region_px[0])), 1.0) / radius)
    return float(shift) + abs(growth)


def around(frame: Frame, seen: Seen, side_px: int, radii: float) -> Frame:
    """The frame around what a look saw, or the same one if that can be no person."""
    share = np.linalg.norm(seen.region_px[1] - seen.region_px[0]) / side_px
    if not RADII[0] <= share <= RADII[1]:  # also if it is not finite
        return frame
    return framing.of_region(frame, seen.region_px, side_px, radii)
