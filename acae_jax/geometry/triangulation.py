"""Points seen by several calibrated cameras: from their pixels to the world.

Host arrays in float64. The linear solution (DLT) minimises errors that grow with the depth; steps
of Gauss-Newton from there minimise the squared distance in the image, in px of an image without
distortion.
"""

import numpy as np
from jaxtyping import Bool, Float

from acae_jax.geometry import cameras
from acae_jax.geometry.cameras import Camera

STEPS = 10
NEAREST_PLACES_MM = 1.0


def triangulate(views: Camera, points_px: Float[np.ndarray, "v j 2"]) -> Float[np.ndarray, "j 3"]:
    """World points in mm from pixels of a batch of v cameras.

    NaN marks what a camera does not see; a point that fewer than two see is NaN in the result, as
    is one that all cameras see from one place or in one direction.
    """
    rays = cameras.image_to_camera(views, points_px.astype(np.float64))
    plane = rays[..., :2]
    visible = np.asarray(np.isfinite(plane).all(axis=-1))
    plane = np.where(visible[..., None], plane, 0.0)
    solvable = (visible.sum(axis=0) >= 2) & _apart(views, rays, visible)
    # a·(point − centre) = depth · (what it projects to − what is seen), for each image axis.
    rotation = views.rotation.astype(np.float64)[:, None]
    rows = rotation[:, :, :2] - plane[..., None] * rotation[:, :, 2:]
    counts = visible & solvable
    points = _solve(rows, np.einsum("vjac,vc->vja", rows, views.position_mm), counts)
    focal = views.intrinsics.astype(np.float64)[:, None, :2, :2]
    for _ in range(STEPS):
        local = cameras.world_to_camera(views, np.broadcast_to(points, (*visible.shape, 3)))
        depth = np.where(np.abs(local[..., 2:]) < 1.0, 1.0, local[..., 2:])
        hit = local[..., :2] / depth
        slope = focal @ (
            (rotation[:, :, :2] - hit[..., None] * rotation[:, :, 2:]) / depth[..., None]
        )
        points = points + _solve(slope, (focal @ (plane - hit)[..., None])[..., 0], counts)
    return np.where(solvable[:, None], points, np.nan)


def _apart(
    views: Camera, rays: Float[np.ndarray, "v j 3"], visible: Bool[np.ndarray, "v j"]
) -> Bool[np.ndarray, " j"]:
    """Whether a point's rays meet somewhere: from two places, in directions half a degree apart."""
    world = np.einsum("vca,vjc->vja", views.rotation, np.where(visible[..., None], rays, 0.0))
    unit = world / np.maximum(np.linalg.norm(world, axis=-1, keepdims=True), 1e-12)
    cosine = np.einsum("vjc,wjc->vwj", unit, unit)
    baseline = np.linalg.norm(views.position_mm[:, None] - views.position_mm, axis=-1)
    pairs = visible[:, None] & visible[None] & (baseline > NEAREST_PLACES_MM)[..., None]
    return (pairs & (cosine < np.cos(np.deg2rad(0.5)))).any((0, 1))


def _solve(
    rows: Float[np.ndarray, "v j 2 3"],
    right: Float[np.ndarray, "v j 2"],
    counts: Bool[np.ndarray, "v j"],
) -> Float[np.ndarray, "j 3"]:
    """Least squares for each point over the cameras that count; zero where none does."""
    rows = np.where(counts[..., None, None], rows, 0.0)
    matrix = np.einsum("vjac,vjad->jcd", rows, rows)
    matrix = np.where(np.any(counts, axis=0)[:, None, None], matrix, np.eye(3))
    # Solvable even where steps led a point to no sense, as views that disagree may.
    matrix = matrix + 1e-12 * np.trace(matrix, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    return np.linalg.solve(matrix, np.einsum("vjac,vja->jc", rows, right)[..., None])[..., 0]
