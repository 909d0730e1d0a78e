"""Training losses of 3D pose, as masked means in metres.

Every loss is a sum over the labelled joints, divided by their number. So padding, missing joints
and the split over devices never change its value. Poses are absolute joints in camera space, in
millimetres; losses are in metres (Sárándi et al. 2021, MeTRAbs; Sárándi et al. 2023, section 3).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from acae_jax.geometry import alignment, heatmaps

NEAR_MM = 300.0
"""Depths below this are too close to the camera plane for a useful projection."""


def masked_mean(values: Float[Array, "..."], mask: Bool[Array, "..."]) -> Float[Array, ""]:
    """The mean of the values that the mask marks; 0 if it marks none."""
    total = jnp.sum(jnp.where(mask, values, 0.0))
    return total / jnp.maximum(jnp.sum(mask.astype(values.dtype)), 1.0)


def example_means(values: Float[Array, "b p c"], mask: Bool[Array, "b p"]) -> Float[Array, " b"]:
    """The mean of each example over coordinates and valid points; 0 if it has no valid point."""
    total = jnp.sum(jnp.where(mask, jnp.mean(values, axis=-1), 0.0), axis=1)
    return total / jnp.maximum(jnp.sum(mask, axis=1), 1)


def mean_relative_loss(
    predicted_mm: Float[Array, "b j 3"], true_mm: Float[Array, "b j 3"], valid: Bool[Array, "b j"]
) -> Float[Array, ""]:
    """L1 distance in metres, after the mean of the labelled joints is subtracted from each pose."""
    error = alignment.mean_relative(predicted_mm, valid) - alignment.mean_relative(true_mm, valid)
    return masked_mean(jnp.mean(jnp.abs(error), axis=-1), valid) / 1000.0


def absolute_loss(
    predicted_mm: Float[Array, "b j 3"], true_mm: Float[Array, "b j 3"], valid: Bool[Array, "b j"]
) -> Float[Array, ""]:
    """L1 distance in metres; the depth of joints beyond 10 m has a smaller weight (MeTRAbs)."""
    error = jnp.abs(predicted_mm - true_mm)
    far = jnp.minimum(1.0, 10_000.0 / jnp.maximum(jnp.abs(true_mm[..., 2]), NEAR_MM))
    per_joint = (error[..., 0] + error[..., 1] + error[..., 2] * far) / 3.0
    return masked_mean(per_joint, valid) / 1000.0


def pixel_loss(
    predicted_px: Float[Array, "b j 2"],
    true_px: Float[Array, "b j 2"],
    valid: Bool[Array, "b j"],
    metres_per_px: float,
) -> Float[Array, ""]:
    """L1 distance in the image, converted to metres by `metres_per_px`: the side of a person's box
    in metres by the side of the crop in pixels.
    """
    return masked_mean(jnp.mean(jnp.abs(predicted_px - true_px), axis=-1), valid) * metres_per_px


def heatmap_loss(
    marginals: Sequence[Float[Array, "b j _"]],
    true01: Float[Array, "b j d"],
    valid: Bool[Array, "b j"],
) -> Float[Array, ""]:
    """Cross-entropy of heat maps against the true coordinates, in nats, summed over the axes.

    `marginals` are the heat maps' distributions over the cells of each axis; `true01` are soft-
    argmax coordinates. A soft-argmax gives the same coordinate for two half peaks as for one peak
    midway between them; this loss asks for one peak at the true place (the "H + I" training of Sun
    et al. 2018, Integral Human Pose).
    """
    nats = jnp.zeros(valid.shape)
    for axis, shares in enumerate(marginals):
        true_shares = heatmaps.shares(true01[..., axis], shares.shape[-1])
        nats -= jnp.sum(true_shares * jnp.log(shares + 1e-12), axis=-1)
    return masked_mean(nats, valid)


def agreement_loss(
    points_mm: Float[Array, "b j 3"],
    reference_mm: Float[Array, "b j 3"],
    example_mask: Bool[Array, " b"],
) -> Float[Array, ""]:
    """Mean L1 distance in metres between two versions of the poses, where `example_mask` holds."""
    error = jnp.mean(jnp.abs(points_mm - reference_mm), axis=(1, 2))
    return masked_mean(error, example_mask) / 1000.0


def project_px(
    points_mm: Float[Array, "b j 3"], intrinsics: Float[Array, "b 3 3"]
) -> Float[Array, "b j 2"]:
    """Pinhole projection; value and gradient stay finite for points beside or behind the camera."""
    depth = jnp.maximum(points_mm[..., 2:], NEAR_MM / 3.0)
    homogeneous = jnp.concatenate([points_mm[..., :2] / depth, jnp.ones_like(depth)], axis=-1)
    return jnp.einsum(
        "bjc,bkc->bjk", homogeneous, intrinsics[:, :2], precision=jax.lax.Precision.HIGHEST
    )
