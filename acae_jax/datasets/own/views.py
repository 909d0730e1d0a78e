"""3D labels from 2D labels of several cameras that see one moment."""

from collections.abc import Sequence

import numpy as np

from acae_jax.datasets.own.label_files import labels
from acae_jax.datasets.own.label_files.labels import Labels, Moment
from acae_jax.geometry import cameras, triangulation
from acae_jax.geometry.cameras import Camera

TOGETHER = (
    "check the cameras, left and right, 'person', and that frames of one number are of one moment "
    "(first_frame)"
)


def triangulated(views: Sequence[Labels], known: Sequence[Camera], max_error_px: float) -> Labels:
    """The labels of the first view with 3D labels in mm, of joints that several views show.

    Frames and people of the views are the same if their numbers and names are. ValueError, in one
    line, if there are 3D labels already, if no joint is seen from two directions, or if the views
    miss the joints by more than `max_error_px` in the median.
    """
    if any(labels.is_3d(view).any() for view in views):
        raise ValueError("it has 3D labels already; leave 'triangulate' out")
    first = views[0]
    rows: dict[tuple[Moment, str], int] = {
        pair: row for row, pair in enumerate(zip(first.moments, first.people, strict=True))
    }
    seen_px = np.full((len(views), *first.joints_px.shape), np.nan)
    for number, view in enumerate(views):
        pairs = zip(view.moments, view.people, strict=True)
        found = [(rows[pair], row) for row, pair in enumerate(pairs) if pair in rows]
        ours, theirs = np.array(found, int).reshape(-1, 2).T
        seen_px[number, ours] = view.joints_px[theirs]
    together = Camera(*(np.stack(parts) for parts in zip(*known, strict=True)))
    points_px = seen_px.reshape(len(views), -1, 2)
    joints_mm = triangulation.triangulate(together, points_px)
    if np.isnan(joints_mm).all():
        raise ValueError(
            "no joint has labels of two cameras from different directions in one frame, which "
            "'triangulate' needs: cameras are those of one 'name', people need one 'person'"
        )
    in_views = np.broadcast_to(joints_mm, (len(views), *joints_mm.shape))
    error_px = np.nanmedian(
        np.linalg.norm(cameras.project(together, in_views) - points_px, axis=-1)
    )
    if error_px > max_error_px:
        raise ValueError(
            f"its cameras disagree by {error_px:.1f} px in the median about the same joints, more "
            f"than max_error_px: {max_error_px:g}; {TOGETHER}"
        )
    return first._replace(joints=joints_mm.reshape(first.joints.shape))
