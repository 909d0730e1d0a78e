"""The pose network: backbone and metric-scale heatmap head (MeTRAbs, Sárándi et al. 2021).

A 1 × 1 convolution gives a 2D heat map in image space for each of P points, and a volume of depth
`depth_bins` in a metric box around the person. Their soft-argmaxes are the pixel of the point and
its relative position; `locate` combines both to the absolute position. The points are joints or
latent points of the autoencoder; the network does not depend on which.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Inexact, Int, UInt8

from acae_jax.geometry import absolute, heatmaps


class Geometry(NamedTuple):
    """The sizes by which heat map cells become pixels and millimetres."""

    side_px: int = 256
    stride: int = 32
    centred: bool = True
    box_mm: float = heatmaps.BOX_MM


class Points(NamedTuple):
    """The head's result for each point: its pixel, and its position in the metric box (without the
    translation of the box).
    """

    px: Float[Array, "b p 2"]
    relative_mm: Float[Array, "b p 3"]


class Output(NamedTuple):
    """The head's output: points, and the distributions whose expectations they are."""

    points: Points
    image: list[Float[Array, "b p _"]]  # over the cells along x and y of the 2D heat maps
    box: list[Float[Array, "b p _"]]  # over the cells along x, y and z of the volumes


class Head(nn.Module):
    """A 1 × 1 convolution to the logits of heat maps and volumes, with one kernel of 1 + D blocks.

    The two results are computed separately, because cutting one large result takes longer.
    """

    points: int
    depth_bins: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, features: Inexact[Array, "b h w c"]
    ) -> tuple[Float[Array, "b h w p"], Float[Array, "b h w d p"]]:
        """Logits in float32."""
        p, b, h, w, c = self.points, *features.shape
        channels = p * (1 + self.depth_bins)
        normal, zeros = nn.initializers.normal(0.01), nn.initializers.zeros_init()
        kernel = self.param("kernel", normal, (1, 1, c, channels), jnp.float32)[0, 0]
        bias = self.param("bias", zeros, (channels,), jnp.float32)[None]
        cells = features.reshape(-1, c).astype(self.dtype)
        kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
        flat = (cells @ kernel[:, :p] + bias[:, :p]).astype(jnp.float32)
        deep = (cells @ kernel[:, p:] + bias[:, p:]).astype(jnp.float32)
        return flat.reshape(b, h, w, p), deep.reshape(b, h, w, self.depth_bins, p)


class PoseNetwork(nn.Module):
    """From images to `Output`; the head computes in the backbone's type, soft-argmax in float32."""

    backbone: nn.Module
    points: int
    geometry: Geometry
    depth_bins: int = 8
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "b s s 3"], train: bool) -> Output:
        """From pixels in [0, 1] to points; with `train`, ghost groups are normalised by their own
        statistics.
        """
        features = self.backbone(images, train)
        flat, deep = Head(self.points, self.depth_bins, self.dtype, name="head")(features)
        geometry = self.geometry
        image = heatmaps.marginals(flat, (2, 1))
        box = heatmaps.marginals(deep, (2, 1, 3))
        at, inside = heatmaps.expectation(image), heatmaps.expectation(box)
        side_px, stride, centred, box_mm = geometry
        points = Points(
            heatmaps.heatmap_to_px(at, side_px, stride, centred),
            heatmaps.volume_to_mm(inside, side_px, stride, box_mm, centred),
        )
        return Output(points, image, box)


def as_float(images: UInt8[Array, "b s s 3"]) -> Float[Array, "b s s 3"]:
    """Stored pixels as numbers in [0, 1]."""
    return images.astype(jnp.float32) / 255.0


def locate(
    points: Points,
    intrinsics: Float[Array, "b 3 3"],
    mix: Float[Array, " b"] | float,
    geometry: Geometry,
    weak: Bool[Array, ""] | bool = False,
) -> Float[Array, "b p 3"]:
    """Absolute camera-space positions in mm.

    For points in view, `mix` is the share of the back-projected pixel in the result. With `weak`,
    the translation is the weak-perspective solution, which is stable in the first steps.
    """
    return absolute.reconstruct(
        points.px,
        points.relative_mm,
        intrinsics,
        geometry.side_px,
        geometry.stride,
        mix,
        weak,
    )


Readout = Callable[[Points], Points]


def predict(
    network: PoseNetwork,
    readout: Readout,
    variables: dict,
    images: UInt8[Array, "b s s 3"],
    intrinsics: Float[Array, "b 3 3"],
) -> Float[Array, "b j 3"]:
    """Absolute joints in mm at test time, with running statistics and a mix of one half.

    `readout` turns the head's points into joints, as a variant's `joints` does.
    """
    output: Any = network.apply(variables, as_float(images), train=False)
    return locate(readout(output.points), intrinsics, 0.5, network.geometry)


def predict_mirrored_mean(
    network: PoseNetwork,
    readout: Readout,
    variables: dict,
    images: UInt8[Array, "b s s 3"],
    intrinsics: Float[Array, "b 3 3"],
    mirror: Int[Array | np.ndarray, " j"],
) -> Float[Array, "b j 3"]:
    """The mean of an image's pose and the pose of its mirror image, mirrored back.

    The principal point must be the centre of the crop, as `images.crops` places it.
    """
    plain = predict(network, readout, variables, images, intrinsics)
    flipped = predict(network, readout, variables, images[:, :, ::-1], intrinsics)
    back = flipped[:, mirror] * jnp.array([[[-1.0, 1.0, 1.0]]])
    return (plain + back) / 2.0
