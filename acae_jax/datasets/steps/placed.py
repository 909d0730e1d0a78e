"""Cameras that a release does not give, found from points whose place it gives in 3D and in pixels.

    3DPeople, SPEC-SYN    known intrinsics: `camera_at`
    SAIL-VOS              known centre of the image: `camera_of_unknown_focal_length`
    MuPoTS-3D             points in camera space: `intrinsics`

The sum of squared distances in pixels is least. Points without a label (NaN) do not count. What
cannot be solved is a ValueError of one line, by which a builder leaves the person out.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float
from scipy import optimize

from acae_jax.geometry import cameras

LEAST_POINTS = 6
NARROWEST, WIDEST = math.radians(25), math.radians(125)  # field of view along the longer side
_TRIED_ANGLES = 12  # before the best of them is refined
_EXACT = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 100, 1e-12)
_THINNEST = 1e-3  # of a set of points, as a share of its length


def camera_at(
    points_mm: Float[np.ndarray, "n 3"],
    points_px: Float[np.ndarray, "n 2"],
    intrinsics: Float[np.ndarray, "3 3"],
    distortion: Float[np.ndarray, "12"] | None = None,
) -> cameras.Camera:
    """The camera of these intrinsics that sees the points at these pixels, all in front of it.

    Raises ValueError if fewer than LEAST_POINTS have labels, if they lie on a line, or if no place
    of the camera has all of them in front.
    """
    points_mm, points_px = _labelled(points_mm, points_px)
    camera = _placed(points_mm, points_px, intrinsics.astype(np.float64), distortion)
    if camera is None:
        raise ValueError("no camera has all points in front of it and sees them at these pixels")
    return camera


def camera_of_unknown_focal_length(
    points_mm: Float[np.ndarray, "n 3"],
    points_px: Float[np.ndarray, "n 2"],
    width_px: int,
    height_px: int,
    centre_px: tuple[float, float],
) -> cameras.Camera:
    """The camera with square pixels and this principal point that sees the points best.

    Its field of view along the image's longer side is one from NARROWEST to WIDEST. Errors as
    `camera_at`; points that are all at one depth leave the focal length open, and what is found
    then is one of many.
    """
    points_mm, points_px = _labelled(points_mm, points_px)

    def camera_for(angle: float) -> cameras.Camera | None:
        k = cameras.field_of_view(angle, width_px, height_px).astype(np.float64)
        k[:2, 2] = centre_px
        return _placed(points_mm, points_px, k, None)

    def error_px2(angle: float) -> float:
        camera = camera_for(angle)
        return 1e12 if camera is None else _error_px2(camera, points_mm, points_px)

    angles = np.linspace(NARROWEST, WIDEST, _TRIED_ANGLES)
    best = angles[int(np.argmin([error_px2(angle) for angle in angles]))]
    step = angles[1] - angles[0]
    bounds = (max(best - step, NARROWEST), min(best + step, WIDEST))
    found = optimize.minimize_scalar(
        error_px2, bounds=bounds, method="bounded", options={"xatol": 1e-7}
    )
    camera = camera_for(found.x)  # pyright: ignore[reportAttributeAccessIssue]
    if camera is None:
        raise ValueError("no camera has all points in front of it and sees them at these pixels")
    return camera


def intrinsics(
    camera_points_mm: Float[np.ndarray, "n 3"], points_px: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "3 3"]:
    """Focal lengths and principal point of a camera from points in its own space.

    Raises ValueError if fewer than LEAST_POINTS have labels, or if they are seen on one row or
    column.
    """
    points_mm, points_px = _labelled(camera_points_mm, points_px)
    result = np.eye(3)
    for axis in (0, 1):
        slopes = points_mm[:, axis] / points_mm[:, 2]
        if np.ptp(slopes) < _THINNEST:
            raise ValueError("the points lie on one row or column: the focal length stays open")
        rows = np.stack([slopes, np.ones_like(slopes)], axis=1)
        focal, centre = np.linalg.lstsq(rows, points_px[:, axis])[0]
        result[axis, axis], result[axis, 2] = focal, centre
    return result


def _labelled(
    points_mm: Float[np.ndarray, "n 3"], points_px: Float[np.ndarray, "n 2"]
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 2"]]:
    has_both = np.isfinite(points_mm).all(-1) & np.isfinite(points_px).all(-1)
    if has_both.sum() < LEAST_POINTS:
        raise ValueError(
            f"{has_both.sum()} points have a place and a pixel; at least {LEAST_POINTS} are needed"
        )
    return points_mm[has_both].astype(np.float64), points_px[has_both].astype(np.float64)


def _placed(
    points_mm: Float[np.ndarray, "n 3"],
    points_px: Float[np.ndarray, "n 2"],
    intrinsics: Float[np.ndarray, "3 3"],
    distortion: Float[np.ndarray, "12"] | None,
) -> cameras.Camera | None:
    """The camera, or None if there is none with all points in front."""
    middle = points_mm.mean(0)
    centred = points_mm - middle  # worlds may be kilometres wide
    length, width = np.linalg.svd(centred, compute_uv=False)[:2]
    if not width > _THINNEST * length:
        raise ValueError("the points lie on one line: the camera's place stays open")
    scale = length / math.sqrt(len(centred))
    args = (centred / scale, points_px, intrinsics, distortion)
    solved, turn, shift = cv2.solvePnP(*args, flags=cv2.SOLVEPNP_SQPNP)
    if not solved:
        return None
    turn, shift = cv2.solvePnPRefineLM(*args, turn, shift, criteria=_EXACT)
    rotation = cv2.Rodrigues(turn)[0]
    position_mm = middle - scale * (rotation.T @ shift.ravel())
    camera = cameras.create(intrinsics, rotation, position_mm, distortion)
    depth_mm = cameras.world_to_camera(camera, points_mm)[:, 2]
    return camera if np.isfinite(depth_mm).all() and depth_mm.min() > 0 else None


def _error_px2(
    camera: cameras.Camera,
    points_mm: Float[np.ndarray, "n 3"],
    points_px: Float[np.ndarray, "n 2"],
) -> float:
    return float(((cameras.project(camera, points_mm) - points_px) ** 2).sum(-1).mean())
