"""The network as an independent program: from crops to joints in mm and their spread."""

from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from acae_jax.bundles.facts import Facts
from acae_jax.bundles.reference import TOLERANCE_MM
from acae_jax.estimation.model import network as networks
from acae_jax.estimation.model.network import Geometry, Points, PoseNetwork, Readout
from acae_jax.geometry import heatmaps
from acae_jax.models import folding, platform
from acae_jax.packaging import signature as signatures
from acae_jax.packaging.signature import Signature, Tensor

READOUT = "readout"
REFERENCE_CROPS = 2

Weights = dict[str, np.ndarray]
CropModel = Callable[[dict[str, Any], Any, Any], tuple[Array, Array]]


def fold(
    network: PoseNetwork, variables: dict[str, Any], readout: Readout = lambda points: points
) -> Weights:
    """The weights of a trained network, with its norms folded into them.

    `readout` turns the head's points into joints, as a variant's `joints` does. If the joints are
    not the points themselves, the weights include READOUT, the (J, P) matrix from points to joints.
    """
    side_px = network.geometry.side_px
    images = jax.ShapeDtypeStruct((1, side_px, side_px, 3), jnp.float32)
    with platform.compiling_for("cpu"):
        weights = folding.fold(network, variables, images)
    named = {name: np.asarray(values, np.float32) for name, values in weights.items()}
    matrix = _matrix(readout, network.points)
    is_plain = np.array_equal(matrix, np.eye(network.points))
    return named if is_plain else {**named, READOUT: matrix}


def crop_model(network: PoseNetwork) -> CropModel:
    """The function (weights of `fold`, images, intrinsics) → (joints in mm, spread in mm)."""

    def model(
        weights: dict[str, Any], images: UInt8[Array, "b s s 3"], intrinsics: Float[Array, "b 3 3"]
    ) -> tuple[Float[Array, "b j 3"], Float[Array, "b j"]]:
        trained = {name: values for name, values in weights.items() if name != READOUT}
        output = folding.apply(network, trained, networks.as_float(images))
        points, variance = output.points, spread_variance(output.box, network.geometry)
        if READOUT in weights:
            points = Points(*(_combine(weights[READOUT], values) for values in points))
            # This assumes that the errors of the points are independent.
            variance = variance @ jnp.square(weights[READOUT]).T
        poses_mm = networks.locate(points, intrinsics, 0.5, network.geometry)
        return poses_mm, jnp.sqrt(variance)

    return model


def inputs(side_px: int) -> tuple[Tensor, ...]:
    """The inputs of a crop model with this side."""
    principal_point = (side_px - 1) / 2
    return (
        Tensor(
            "images",
            ("b", side_px, side_px, 3),
            "uint8",
            "RGB crops, one person each, of any number b ≥ 1; no further normalisation",
        ),
        Tensor(
            "intrinsics",
            ("b", 3, 3),
            "float32",
            f"of the crops, in px: pixel centres at integers, principal point at "
            f"{principal_point:g}",
        ),
    )


def signature(facts: Facts, points: int | None = None) -> Signature:
    """Inputs and outputs of a model with these facts.

    `points` is the number of the network's own joints, if a matrix makes the named ones of them;
    then both come out.
    """
    poses_mm = Tensor(
        "poses_mm",
        ("b", len(facts.joint_names), 3),
        "float32",
        "joints in mm in the crop camera's space: x right, y down, z forward",
        TOLERANCE_MM,
    )
    spread_mm = Tensor(
        "spread_mm",
        ("b", points or len(facts.joint_names)),
        "float32",
        "width of each joint's heat map in mm: a measure of uncertainty, not yet an error",
        TOLERANCE_MM,
    )
    outputs = (poses_mm, spread_mm)
    if points is not None:
        of_spread = "those of spread_mm"
        meaning = f"the network's own joints in mm, {of_spread}; the others are combinations"
        outputs += (Tensor("points_mm", ("b", points, 3), "float32", meaning, TOLERANCE_MM),)
    return Signature(inputs(facts.side_px), outputs)


def export(model: CropModel, weights: Weights, side_px: int) -> bytes:
    """The serialised crop model for all platforms and any batch size."""
    with platform.compiling_for("cpu"):
        return signatures.stablehlo(model, weights, inputs(side_px))


def reference(model: CropModel, weights: Weights, side_px: int) -> dict[str, np.ndarray]:
    """Crops of random colours, which are nobody's photograph, and the model's outputs for them."""
    rng = np.random.default_rng(0)
    shape = (REFERENCE_CROPS, side_px, side_px, 3)
    clouds = jax.image.resize(rng.uniform(0, 255, (REFERENCE_CROPS, 8, 8, 3)), shape, "linear")
    middle, focal = (side_px - 1) / 2, 2.0 * side_px
    camera = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]], np.float32)
    images = np.asarray(clouds).astype(np.uint8)
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
    """Variance in mm² of each point's volume: the sum over its marginals along x, y and z."""
    side_px, stride, centred, box_mm = geometry
    at = heatmaps.expectation(box)
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], np.float32)
    low, high = heatmaps.volume_to_mm(corners, side_px, stride, box_mm, centred)
    total = jnp.zeros(at.shape[:-1], jnp.float32)
    for axis, (heat, extent_mm) in enumerate(zip(box, high - low, strict=True)):
        grid = np.linspace(0, 1, heat.shape[-1], dtype=np.float32).reshape(1, 1, -1)
        from_mean = grid - at[..., axis, None]
        total = total + jnp.sum(heat * jnp.square(from_mean), axis=-1) * float(extent_mm) ** 2
    return total


def _combine(matrix: Array, values: Float[Array, "b p c"]) -> Float[Array, "b j c"]:
    return jnp.einsum("jp,bpc->bjc", matrix, values, precision="highest")


def _matrix(readout: Readout, points: int) -> Float[np.ndarray, "j p"]:
    """The weights by which the readout makes joints of points: its result for unit vectors."""
    units = jnp.eye(points)[..., None]
    joints = readout(Points(jnp.tile(units, (1, 1, 2)), jnp.tile(units, (1, 1, 3))))
    return np.asarray(joints.px[..., 0]).T
