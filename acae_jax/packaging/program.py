"""The network of a run as a program of its own: crops in, joints in mm and their spread out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from acae_jax.estimation import network as networks
from acae_jax.estimation.network import Geometry, Points, PoseNetwork, Readout
from acae_jax.geometry import heatmaps
from acae_jax.models import folding, platform

PLATFORMS = ("cpu", "cuda", "tpu")
REFERENCE_CROPS = 2

Weights = dict[str, Array]
CropModel = Callable[[Weights, Array, Array], tuple[Array, Array]]


def fold(network: PoseNetwork, variables: dict[str, Any]) -> dict[str, np.ndarray]:
    """The weights of a trained network with its norms folded."""
    side_px = network.geometry.side_px
    images = jax.ShapeDtypeStruct((1, side_px, side_px, 3), jnp.float32)
    with platform.compiling_for("cpu"):
        folded = folding.fold(network, variables, images)
    return {name: np.asarray(values, np.float32) for name, values in folded.items()}


def crop_model(network: PoseNetwork, readout: Readout) -> CropModel:
    """The function (weights, images, intrinsics) → (joints in mm, spread in mm) to be exported.

    `weights` are those of `fold`; `readout` turns the head's points into joints, as a variant's
    `joints` does.
    """
    weights_of_points = _weights(readout, network.points)

    def model(
        weights: Weights, images: UInt8[Array, "b s s 3"], intrinsics: Float[Array, "b 3 3"]
    ) -> tuple[Float[Array, "b j 3"], Float[Array, "b j"]]:
        output = folding.apply(network, weights, networks.as_float(images))
        points = readout(output.points)
        poses_mm = networks.locate(points, intrinsics, 0.5, network.geometry)
        variance = spread_variance(output.box, network.geometry)
        if weights_of_points is not None:  # as if the points' errors had nothing in common
            variance = variance @ np.square(weights_of_points).T
        return poses_mm, jnp.sqrt(variance)

    return model


def export(model: CropModel, weights: dict[str, np.ndarray], side_px: int) -> bytes:
    """Serialised StableHLO of a crop model for all PLATFORMS and any batch size."""
    (batch,) = jax.export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, side_px, side_px, 3), jnp.uint8)
    intrinsics = jax.ShapeDtypeStruct((batch, 3, 3), jnp.float32)
    shapes = {n: jax.ShapeDtypeStruct(w.shape, jnp.float32) for n, w in weights.items()}
    with platform.compiling_for("cpu"):
        exported = jax.export.export(jax.jit(model), platforms=PLATFORMS)(
            shapes, images, intrinsics
        )
    return bytes(exported.serialize())


def reference(
    model: CropModel, weights: dict[str, np.ndarray], side_px: int
) -> dict[str, np.ndarray]:
    """An input of coloured clouds, which is nobody's photograph, and what comes out for it."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (REFERENCE_CROPS, 8, 8, 3))
    shape = (REFERENCE_CROPS, side_px, side_px, 3)
    images = np.asarray(jax.image.resize(coarse, shape, "linear")).astype(np.uint8)
    middle, focal = (side_px - 1) / 2, 2.0 * side_px
    camera = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]], np.float32)
    intrinsics = np.tile(camera, (REFERENCE_CROPS, 1, 1))
    with platform.compiling_for("cpu"):
        poses_mm, spread_mm = jax.jit(model)(weights, images, intrinsics)
    return {
        "images": images,
        "intrinsics": intrinsics,
        "poses_mm": np.asarray(poses_mm),
        "spread_mm": np.asarray(spread_mm),
    }


def spread_variance(box: list[Float[Array, "b p _"]], geometry: Geometry) -> Float[Array, "b p"]:
    """Variance in mm² of each point's volume: that of its marginals along x, y and z, summed."""
    side_px, stride, centred, box_mm = geometry
    at = heatmaps.expectation(box)
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], np.float32)
    low, high = heatmaps.volume_to_mm(corners, side_px, stride, box_mm, centred)
    total = jnp.zeros(at.shape[:-1], jnp.float32)
    for axis, (found, extent_mm) in enumerate(zip(box, high - low, strict=True)):
        grid = np.linspace(0, 1, found.shape[-1], dtype=np.float32).reshape(1, 1, -1)
        from_mean = grid - at[..., axis, None]
        total = total + jnp.sum(found * jnp.square(from_mean), axis=-1) * float(extent_mm) ** 2
    return total


def _weights(readout: Readout, points: int) -> Float[np.ndarray, "j p"] | None:
    """By what weights the readout makes each joint of the points; None if joints are the points.

    Asked of it by reading out each point alone.
    """
    alone = jnp.eye(points)[..., None]
    seen = readout(Points(jnp.tile(alone, (1, 1, 2)), jnp.tile(alone, (1, 1, 3))))
    weights = np.asarray(seen.px[..., 0]).T
    return None if np.array_equal(weights, np.eye(points)) else weights
