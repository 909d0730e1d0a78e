"""The landmark network as a crop model: 33 landmarks, and joints that are combinations of them.

Its landmarks in the image and in metres are what `geometry.absolute` needs to place the person. Two
more points, the middle and the top of the person's region, come out as joints, because the next
look is cropped there (`bundles.facts.Looks`).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float, UInt8

from acae_jax.estimation.model import network as networks
from acae_jax.estimation.packing.program import READOUT, CropModel
from acae_jax.geometry import absolute, cameras
from acae_jax.models.blazepose import SIDE_PX, BlazePose

FORMAT = "mediapipe_33"
NETWORK = "landmark network"
"""What a bundle's facts call the variant of the network, in `about`."""
LANDMARKS = 33
REGION = (33, 34)
"""The points that span the region: its middle and its top."""
POINTS = LANDMARKS + len(REGION)
CORNER_PX = 0.5
"""The network counts px from the corner of the crop, and we from the centre of its first pixel."""
CERTAIN_MM, UNCERTAIN_MM = 20.0, 200.0
"""Spread of landmarks that are surely visible, and of those that are not, before calibration."""


def weights(
    variables: dict[str, Any], readout: Float[np.ndarray, "k p"] | None = None
) -> dict[str, np.ndarray]:
    """The network's parameters by path, and what makes all joints of its points.

    `readout` has a row for each joint that is to follow the points.
    """
    flat = flatten_dict(variables["params"], sep="/")
    named = {name: np.asarray(values, np.float32) for name, values in flat.items()}
    of_points = np.eye(POINTS, dtype=np.float32)
    rows = of_points if readout is None else np.concatenate([of_points, readout])
    return {**named, READOUT: rows.astype(np.float32)}


def crop_model(network: BlazePose) -> CropModel:
    """The function (weights, images, intrinsics) → (joints in mm, spread in mm)."""

    def model(
        arrays: dict[str, Any], images: UInt8[Array, "b s s 3"], intrinsics: Float[Array, "b 3 3"]
    ) -> tuple[Float[Array, "b j 3"], Float[Array, "b j"]]:
        readout = arrays[READOUT]
        params = {name: values for name, values in arrays.items() if name != READOUT}
        variables = {"params": unflatten_dict(params, sep="/")}
        person: Any = network.apply(variables, networks.as_float(images))
        points_px = person.landmarks_px[:, :POINTS, :2] - CORNER_PX
        relative_mm = 1000.0 * person.world_m[:, :POINTS]
        points_mm = _placed(points_px, relative_mm, intrinsics)
        visible = jax.nn.sigmoid(person.visibility_logits[:, :POINTS])
        present = jax.nn.sigmoid(person.presence_logits[:, :POINTS])
        sure = visible * present * person.probability[:, None]
        spread_mm = UNCERTAIN_MM + (CERTAIN_MM - UNCERTAIN_MM) * sure
        # The region is as sure as the landmarks are on average.
        mean_mm = spread_mm[:, :LANDMARKS].mean(axis=1, keepdims=True)
        spread_mm = spread_mm.at[:, LANDMARKS:].set(mean_mm)
        joints_mm = jnp.einsum("jp,bpc->bjc", readout, points_mm, precision="highest")
        return joints_mm, jnp.sqrt(jnp.square(spread_mm) @ jnp.square(readout).T)

    return model


def _placed(
    points_px: Float[Array, "b p 2"],
    relative_mm: Float[Array, "b p 3"],
    intrinsics: Float[Array, "b 3 3"],
) -> Float[Array, "b p 3"]:
    """Landmarks in camera space; the points of the region exactly where they are in the image."""
    count = LANDMARKS
    landmarks_mm = absolute.reconstruct(
        points_px[:, :count], relative_mm[:, :count], intrinsics, SIDE_PX, stride=0, mix=0.5
    )
    depth = landmarks_mm[:, :, 2].mean(axis=1)[:, None, None]
    plane = cameras.to_plane(intrinsics, points_px[:, count:])
    region = jnp.concatenate([plane, jnp.ones_like(plane[..., :1])], axis=-1) * depth
    return jnp.concatenate([landmarks_mm, region], axis=1)
