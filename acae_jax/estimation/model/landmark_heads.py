"""Heads that refine the landmarks of BlazePose, on its frozen map of stride 32.

The points are the 33 landmarks and six points of spine and head between them. There are two heads.
The first is a small network that sees landmarks only and corrects them. The second sees the map: it
gives volumes of each point in a metric box (MeTRAbs, Sárándi et al. 2021). The points' relative
positions are the mean of the landmarks and both heads; where they are in the image, only the first
head tells, because landmarks are exact there.

On photographs the first head is better for upright people and the second one for others, and the
landmarks saw photographs, which the heads did not; the mean is better than each.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Inexact

from acae_jax.estimation.model.network import Geometry, Head, Points
from acae_jax.geometry import heatmaps
from acae_jax.models.blazepose import SIDE_PX
from acae_jax.skeletons import catalogue

FORMAT = "mediapipe_33"
LANDMARKS = 33
GEOMETRY = Geometry(side_px=SIDE_PX, stride=32)
MAP_DROP, HIDDEN_DROP, NOISE = 0.1, 0.2, 0.02


class Look(NamedTuple):
    """What the landmark network says of a crop."""

    features: Inexact[Array, "b 8 8 c"]
    points_px: Float[Array, "b 33 2"]
    relative_mm: Float[Array, "b 33 3"]
    sure: Float[Array, "b 33 2"]  # probability that a landmark is visible, and in the crop
    intrinsics: Float[Array, "b 3 3"]


class Refined(NamedTuple):
    """The points of both heads, the result, and the volumes' distributions along x, y and z."""

    points: Points
    of_landmarks: Points
    of_map: Float[Array, "b p 3"]  # mm in the metric box
    box: list[Float[Array, "b p _"]]


SPINE = ("pelvis", "spine", "chest", "neck", "head", "htop")


def point_names() -> tuple[str, ...]:
    """The names of the points: the landmarks, then those of spine and head."""
    return (*catalogue.load(FORMAT).joint_names, *SPINE)


def start() -> Float32[np.ndarray, "p 33"]:
    """What the points are before they are refined, as affine combinations of the landmarks."""
    names = catalogue.load(FORMAT).joint_names
    unit = dict(zip(names, np.eye(LANDMARKS, dtype=np.float32), strict=True))
    hips, neck, head = ((unit[f"l{part}"] + unit[f"r{part}"]) / 2 for part in ("hip", "sho", "ear"))
    spine = [hips + share * (neck - hips) for share in (0.0, 1 / 3, 2 / 3, 1.0)]
    crown = head + 0.5 * (head - neck)
    return np.stack([*unit.values(), *spine, head, crown]).astype(np.float32)


POINTS = LANDMARKS + len(SPINE)


class LandmarkHeads(nn.Module):
    """From a look to refined points."""

    hidden: int = 512
    depth_bins: int = 8

    @nn.compact
    def __call__(self, look: Look, train: bool) -> Refined:
        """Refine the landmarks; with `train`, numbers are left out and noise is added at random."""
        of_landmarks = Lifter(self.hidden, name="lifter")(look, train)
        features = look.features.astype(jnp.float32)
        features = nn.Dropout(MAP_DROP, broadcast_dims=(1, 2), deterministic=not train)(features)
        _, deep = Head(POINTS, self.depth_bins, jnp.float32, name="volumes")(features)
        box = heatmaps.marginals(deep, (2, 1, 3))
        side_px, stride, centred, box_mm = GEOMETRY
        inside = heatmaps.expectation(box)
        of_map = heatmaps.volume_to_mm(inside, side_px, stride, box_mm, centred)
        begin_mm = jnp.einsum("pl,blc->bpc", jnp.asarray(start()), look.relative_mm)
        three_mm = (begin_mm, of_landmarks.relative_mm, of_map)
        mean_mm = sum(map(_centred, three_mm), start=jnp.zeros(())) / len(three_mm)
        return Refined(Points(of_landmarks.px, mean_mm), of_landmarks, of_map, box)


class Lifter(nn.Module):
    """Corrects landmarks: residuals of a network with two hidden layers."""

    hidden: int

    @nn.compact
    def __call__(self, look: Look, train: bool) -> Points:
        """Correct the points that `start` makes of the landmarks."""
        batch = look.points_px.shape[0]
        half = SIDE_PX / 2
        plane = (look.points_px - (SIDE_PX - 1) / 2) / half
        metres = _centred(look.relative_mm) / 1000.0
        focal = look.intrinsics[:, 0, 0, None] / SIDE_PX
        parts = (plane, 3 * metres, look.sure)
        x = jnp.concatenate([*(part.reshape(batch, -1) for part in parts), focal], axis=1)
        if train:
            x = x + NOISE * jax.random.normal(self.make_rng("dropout"), x.shape)
        x = nn.relu(nn.Dense(self.hidden, name="enter")(x))
        x = nn.Dropout(HIDDEN_DROP, deterministic=not train)(x)
        x = x + nn.relu(nn.Dense(self.hidden, name="between")(x))
        x = nn.Dropout(HIDDEN_DROP, deterministic=not train)(x)
        small = nn.initializers.normal(1e-3)
        change = nn.Dense(5 * POINTS, kernel_init=small, name="leave")(x).reshape(batch, POINTS, 5)
        begin = jnp.asarray(start())
        px = jnp.einsum("pl,blc->bpc", begin, look.points_px) + half * change[..., 3:]
        mm = 1000.0 * (jnp.einsum("pl,blc->bpc", begin, metres) + change[..., :3])
        return Points(px, mm)


def _centred(points_mm: Float[Array, "b p 3"]) -> Float[Array, "b p 3"]:
    return points_mm - points_mm.mean(axis=1, keepdims=True)
