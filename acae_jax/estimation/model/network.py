"""The pose network: backbone and metric-scale heatmap head (MeTRAbs, Sárándi et al. 2021).

One 1×1 convolution gives, for each of P points, a 2D heatmap in image space and a `depth_bins` deep
volume in a metric box around the person. Their soft-argmaxes are the pixel and the relative
position of the point; `locate` combines them to absolute positions. The points are joints, or
latent points of the autoencoder: nothing here knows which.
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
    """What relates heatmap cells to pixels and millimetres."""

    side_px: int = 256
    stride: int = 32
    centred: bool = True
    box_mm: float = heatmaps.BOX_MM


class Points(NamedTuple):
    """What the head says of each point: its pixel, and its position in the metric box (without
    translation).
    """

    px: Float[Array, "b p 2"]
    relative_mm: Float[Array, "b p 3"]


class Output(NamedTuple):
    """What the head gives: points, and the distributions whose expected coordinates they are."""

    points: Points
    image: list[Float[Array, "b p _"]]  # over the cells along x and y of the 2D heat maps
    box: list[Float[Array, "b p _"]]  # over the cells along x, y and z of the volumes


class Head(nn.Module):
    """A 1 × 1 convolution to the logits of heat maps and volumes, as one kernel of 1 + D blocks.

    The two are computed apart: cutting one large result in two costs more time than it saves.
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
    """Images to `Output`; the head computes in the backbone's type, the soft-argmax in float32."""

    backbone: nn.Module
    points: int
    geometry: Geometry
    depth_bins: int = 8
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "b s s 3"], train: bool) -> Output:
        """Pixels in [0, 1] to points; with `train`, normalised by the statistics of the ghost
        batches.
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
    """Stored pixels to [0, 1]."""
    return images.astype(jnp.float32) / 255.0


def locate(
    points: Points,
    intrinsics: Float[Array, "b 3 3"],
    mix: Float[Array, " b"] | float,
    geometry: Geometry,
    weak: Bool[Array, ""] | bool = False,
) -> Float[Array, "b p 3"]:
    """Absolute camera-space positions in mm; `mix` is the share of the back-projected pixel inside
    the view.

    With `weak`, the translation comes from the weak-perspective solution, which is stable in the
    first steps.
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
    """Absolute joints in mm as at test time: running statistics, equal mix.

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
    """Mean of the poses of an image and of its mirror image, mirrored back.

    The principal point must be the centre of the crop, as `images.crops` places it.
    """
    plain = predict(network, readout, variables, images, intrinsics)
    flipped = predict(network, readout, variables, images[:, :, ::-1], intrinsics)
    back = flipped[:, mirror] * jnp.array([[[-1.0, 1.0, 1.0]]])
    return (plain + back) / 2.0
