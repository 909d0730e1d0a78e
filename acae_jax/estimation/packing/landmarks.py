"""The landmark network as a crop model: its landmarks, with heads or without, and joints that are
combinations of them.

Points in the image and relative positions are what `geometry.absolute` needs to place the person.
Two more points, the middle and the top of the person's region, come out as joints, because the next
look is cropped there (`bundles.facts.Looks`).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float, UInt8

from acae_jax.estimation.model import landmark_heads
from acae_jax.estimation.model import network as networks
from acae_jax.estimation.model.landmark_heads import GEOMETRY, LANDMARKS, LandmarkHeads, Look
from acae_jax.estimation.model.network import Points
from acae_jax.estimation.packing import program
from acae_jax.estimation.packing.program import READOUT, CropModel
from acae_jax.geometry import absolute, cameras
from acae_jax.models.blazepose import SIDE_PX, BlazePose, Person

NETWORK = "landmark network"
"""What a bundle's facts call the variant of the network, in `about`."""
HEADS = "heads/"
"""What the names of the heads' weights begin with."""
REGION_POINTS = 2
CORNER_PX = 0.5
"""The network counts px from the corner of the crop, and we from the centre of its first pixel."""
CERTAIN_MM, UNCERTAIN_MM = 20.0, 200.0
"""Spread of landmarks that are surely visible, and of those that are not, before calibration."""


def points(heads: LandmarkHeads | None) -> int:
    """How many points there are, without those of the region."""
    return LANDMARKS if heads is None else landmark_heads.POINTS


def weights(
    variables: dict[str, Any],
    readout: Float[np.ndarray, "k p"],
    heads: dict[str, Any] | None = None,
) -> dict[str, np.ndarray]:
    """The parameters of the network and of its heads by path, and what makes joints of the points.

    `readout` has a row for each joint but the region's points, which come last.
    """
    flat = flatten_dict(variables["params"], sep="/")
    if heads is not None:
        of_heads = flatten_dict(heads, sep="/").items()
        flat |= {f"{HEADS}{name}": values for name, values in of_heads}
    named = {name: np.asarray(values, np.float32) for name, values in flat.items()}
    joints, inputs = readout.shape
    rows = np.zeros((joints + REGION_POINTS, inputs + REGION_POINTS), np.float32)
    rows[:joints, :inputs] = readout
    rows[joints:, inputs:] = np.eye(REGION_POINTS)
    return {**named, READOUT: rows}


def look(person: Person, intrinsics: Float[Array, "b 3 3"]) -> Look:
    """What the heads need of the network's outputs."""
    logits = jnp.stack([person.visibility_logits, person.presence_logits], axis=-1)
    return Look(
        person.features,
        person.landmarks_px[:, :LANDMARKS, :2] - CORNER_PX,
        1000.0 * person.world_m[:, :LANDMARKS],
        jax.nn.sigmoid(logits[:, :LANDMARKS]),
        intrinsics,
    )


def before(seen: Look) -> Points:
    """The heads' points before they are refined."""
    begin = jnp.asarray(landmark_heads.start())
    return Points(
        jnp.einsum("pl,blc->bpc", begin, seen.points_px),
        jnp.einsum("pl,blc->bpc", begin, seen.relative_mm),
    )


def located(points: Points, intrinsics: Float[Array, "b 3 3"]) -> Float[Array, "b p 3"]:
    """The points in the space of the crop's camera, in mm."""
    return absolute.reconstruct(
        points.px, points.relative_mm, intrinsics, SIDE_PX, stride=0, mix=0.5
    )


def crop_model(network: BlazePose, heads: LandmarkHeads | None = None) -> CropModel:
    """The function (weights, images, intrinsics) → (joints in mm, spread in mm)."""

    def model(
        arrays: dict[str, Any], images: UInt8[Array, "b s s 3"], intrinsics: Float[Array, "b 3 3"]
    ) -> tuple[Float[Array, "b j 3"], Float[Array, "b j"]]:
        readout = arrays[READOUT]
        params, of_heads = _split(arrays)
        person: Any = network.apply({"params": params}, networks.as_float(images))
        seen = look(person, intrinsics)
        sure = seen.sure[..., 0] * seen.sure[..., 1] * person.probability[:, None]
        spread_mm = UNCERTAIN_MM + (CERTAIN_MM - UNCERTAIN_MM) * sure
        # The region is as sure as the landmarks are on average.
        of_region_mm = jnp.tile(spread_mm.mean(axis=1, keepdims=True), (1, REGION_POINTS))
        if heads is None:
            refined, variance = Points(seen.points_px, seen.relative_mm), jnp.square(spread_mm)
        else:
            result: Any = heads.apply({"params": of_heads}, seen, train=False)
            refined = result.points
            shares = jnp.abs(jnp.asarray(landmark_heads.start()))
            shares = shares / shares.sum(axis=1, keepdims=True)
            variance = jnp.square(spread_mm) @ shares.T
            variance = variance + program.spread_variance(result.box, GEOMETRY)
        points_mm = located(refined, intrinsics)
        region_px = person.landmarks_px[:, LANDMARKS : LANDMARKS + REGION_POINTS, :2] - CORNER_PX
        plane = cameras.to_plane(intrinsics, region_px)
        depth_mm = points_mm[:, :LANDMARKS, 2].mean(axis=1)[:, None, None]
        region_mm = jnp.concatenate([plane, jnp.ones_like(plane[..., :1])], axis=-1) * depth_mm
        all_mm = jnp.concatenate([points_mm, region_mm], axis=1)
        variance = jnp.concatenate([variance, jnp.square(of_region_mm)], axis=1)
        joints_mm = jnp.einsum("jp,bpc->bjc", readout, all_mm, precision="highest")
        return joints_mm, jnp.sqrt(variance @ jnp.square(readout).T)

    return model


def _split(arrays: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of the network and of the heads."""
    own, of_heads = {}, {}
    for name, values in arrays.items():
        if name.startswith(HEADS):
            of_heads[name.removeprefix(HEADS)] = values
        elif name != READOUT:
            own[name] = values
    return unflatten_dict(own, sep="/"), unflatten_dict(of_heads, sep="/")
