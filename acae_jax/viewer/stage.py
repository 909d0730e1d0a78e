"""The camera that took the pictures, and the stage: the ground and the space around the people."""

from typing import Any

import numpy as np
from jaxtyping import Float

from acae_jax.geometry import cameras
from acae_jax.recordings.results import Sequence

DEFAULT_SIZE_PX = (640, 480)
MARGIN_MM = 500.0  # of ground around people
LOOKED_AT = 2000  # entries, at most, from which the size of the stage is taken
# The stage without people: a room in front of the camera, (right, up, front) of its corners.
EMPTY_STAGE_MM = np.array([[-1000.0, -1000.0, 2000.0], [1000.0, 700.0, 4000.0]])


def camera_of(
    camera: cameras.Camera | None, size_px: tuple[int, int] | None, default_fov_degrees: float
) -> dict[str, Any]:
    """The camera that took the pictures, as JSON for the page; its size may be unknown."""
    if camera is None:
        size_px = size_px or DEFAULT_SIZE_PX
        angle = np.radians(default_fov_degrees)
        camera = cameras.create(cameras.field_of_view(angle, *size_px))
    elif size_px is None:
        right, bottom = (round(2 * float(centre)) for centre in camera.intrinsics[:2, 2])
        size_px = right + 1, bottom + 1
    return {
        "size_px": list(size_px),
        "focal_px": float(np.sqrt(camera.intrinsics[0, 0] * camera.intrinsics[1, 1])),
        "principal_px": np.asarray(camera.intrinsics[:2, 2], np.float64).tolist(),
        "rotation": np.asarray(camera.rotation, np.float64).tolist(),
        "position_mm": np.asarray(camera.position_mm, np.float64).tolist(),
        "distorted": bool(np.any(np.asarray(camera.distortion))),
    }


def around(
    sequence: Sequence, stills: bool, camera: dict[str, Any], up: Float[np.ndarray, "3"]
) -> dict[str, Any]:
    """The stage around the people: its axes in the world (right, up and front, all level), and its
    box; with `stills`, a box for each image.
    """
    if not np.isfinite(up).all() or np.linalg.norm(up) < 1e-6:
        raise ValueError(f"up is {tuple(up.tolist())}; give the direction that points up, not zero")
    up = up / np.linalg.norm(up)
    _, down, forward = np.array(camera["rotation"])
    steep = float(forward @ up)
    # If the camera looks straight down, the top of its image is ahead.
    ahead = forward if abs(steep) < 0.999 else np.sign(steep) * down
    front = ahead - (ahead @ up) * up
    front /= np.linalg.norm(front)
    axes = np.stack([np.cross(-up, front), up, front])
    groups = [sequence.poses_mm]
    if stills:
        order = np.argsort(sequence.frame, kind="stable")
        starts = np.searchsorted(sequence.frame[order], np.arange(1, sequence.frame_count))
        groups = np.split(sequence.poses_mm[order], starts)
    empty = EMPTY_STAGE_MM + axes @ np.array(camera["position_mm"])
    boxes = [_box(poses_mm, axes, empty).tolist() for poses_mm in groups]
    return {"axes": axes.tolist(), "boxes": boxes}


def _box(
    poses_mm: Float[np.ndarray, "n j 3"],
    axes: Float[np.ndarray, "3 3"],
    empty: Float[np.ndarray, "2 3"],
) -> Float[np.ndarray, "2 3"]:
    """The lowest and highest coordinates on the stage; `empty` if there are no people.

    They are percentiles over the entries, so a few outliers do not count.
    """
    sample = poses_mm[:: -(-len(poses_mm) // LOOKED_AT) or 1].astype(np.float64)
    sample[~np.isfinite(sample)] = np.nan
    on_stage = sample[~np.isnan(sample).all((1, 2))] @ axes.T
    if not len(on_stage):
        return empty
    low = np.percentile(np.nanmin(on_stage, axis=1), 10, axis=0)
    high = np.percentile(np.nanmax(on_stage, axis=1), 90, axis=0)
    sideways = np.array([MARGIN_MM, 0, MARGIN_MM])
    return np.stack([low - sideways, high + sideways])


def axes_in_words(camera: dict[str, Any]) -> str:
    """A sentence about the camera and the axes of the world."""
    at_origin = not np.any(camera["position_mm"]) and np.allclose(camera["rotation"], np.eye(3))
    if at_origin:
        return "The camera stands at the origin: x points to its right, y down, z forward."
    x, y, z = (f"{value:.0f}" for value in camera["position_mm"])
    return (
        f"The camera stands at x {x}, y {y}, z {z} mm; the small axes show the world's directions."
    )
