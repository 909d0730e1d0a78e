"""What cannot be true of a clip's labels and camera, told before anything is built.

What nobody said is checked by what is usual: units by the size of people, up by how they stand.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.own import media
from acae_jax.datasets.own.camera_files import MM, Known
from acae_jax.datasets.own.description import Clip
from acae_jax.datasets.own.label_files import labels
from acae_jax.datasets.own.label_files.labels import Labels
from acae_jax.datasets.own.media import Media
from acae_jax.datasets.own.views import TOGETHER
from acae_jax.datasets.steps import upright
from acae_jax.geometry import cameras
from acae_jax.geometry.cameras import Camera
from acae_jax.skeletons import body_parts, skeleton

# The length of people from end to end, mm: bodies, and what else skeletons may be of.
BODY_MM, ANYTHING_MM = (300.0, 5000.0), (20.0, 5000.0)
USUAL_MM, MOSTLY = 1500.0, 0.9
BODY_PARTS = {"ankle", "elbow", "head", "hip", "knee", "neck", "shoulder", "wrist"}
TOPS = ("head top", "head", "neck", "nose", "thorax", "shoulder")
BOTTOMS = ("ankle", "knee", "hip", "pelvis")
MOST_BEHIND = 0.5
MOST_POSES = 200  # of a clip, that tell which way is up
ALONG = 0.8  # cosine of the angle between people and an axis that must be up


class Scene(NamedTuple):
    """A clip's camera, the size of its images if known, and what is labelled in 3D and 2D there."""

    camera: Camera
    size_px: tuple[int, int] | None
    joints_mm: Float[np.ndarray, "n j 3"]
    joints_px: Float[np.ndarray, "n j 2"]


def check(
    clip: Clip, found: Labels, pictures: Media, known: Known | None, max_error_px: float
) -> None:
    """Raise ValueError, in one line, if labels, pictures and camera of a clip do not fit."""
    if not found.moments:
        raise ValueError("none of its frames has a label; check the frames' numbers, first_frame")
    _check_frames(found, pictures)
    media.check_upright(pictures)
    size_px = media.size_px(pictures)
    if known is not None and size_px is not None:
        _check_lens(known, size_px)
    in_3d = labels.is_3d(found)
    if not in_3d.any():
        return
    joints_mm, joints_px = found.joints[in_3d], found.joints_px[in_3d]
    _check_size(joints_mm, found.joint_names, clip.triangulate)
    if known is None:
        raise ValueError(f"{clip.where} has 3D labels, which need a 'camera'")
    scene = Scene(known.camera, size_px, joints_mm, joints_px)
    _check_view(scene)
    _check_projection(scene, found.joint_names, max_error_px)


def _check_frames(found: Labels, pictures: Media) -> None:
    last, count = max(int(moment) for moment in found.moments), media.count(pictures)
    if last < count:
        return
    count = media.true_count(pictures)  # headers may be wrong
    if last >= count:
        what = "the clip" if pictures.video is None else str(pictures.video)
        raise ValueError(
            f"frame {last} has labels, but {what} has {count} frames (0 to {count - 1}); if labels "
            "begin with another number, say it by 'first_frame'"
        )


def _check_lens(known: Known, size_px: tuple[int, int]) -> None:
    width, height = size_px
    if known.size_px is not None and known.size_px != size_px:
        raise ValueError(
            f"{known.path} is for images of {known.size_px[0]} x {known.size_px[1]} px, but these "
            f"have {width} x {height}; scale the first two rows of intrinsic_matrix with them"
        )
    x, y = known.camera.intrinsics[:2, 2].tolist()
    is_inside = -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
    if known.size_px is None and not is_inside:
        raise ValueError(
            f"{known.path} has the principal point at ({x:.1f}, {y:.1f}), outside of the "
            f"{width} x {height} image; scale the first two rows of intrinsic_matrix if images "
            f"were resized, or say 'image_size': [{width}, {height}] there if it is right"
        )


def _check_size(
    joints_mm: Float[np.ndarray, "n j 3"], names: tuple[str, ...], is_triangulated: bool
) -> None:
    """Raise ValueError if people are of another size than any: the unit is wrong."""
    several = np.isfinite(joints_mm).all(-1).sum(-1) > 1
    if not several.any():
        return
    some_mm = joints_mm[several]
    diagonals_mm = np.linalg.norm(np.nanmax(some_mm, 1) - np.nanmin(some_mm, 1), axis=-1)
    length_mm = float(np.quantile(diagonals_mm, MOSTLY))  # of others only some joints have labels
    is_labelled = np.asarray(np.isfinite(joints_mm).all(-1).any(0))
    parts = body_parts.of([n for n, has in zip(names, is_labelled, strict=True) if has])
    is_body = len({part.name for part in parts} & BODY_PARTS) > 3
    least_mm, most_mm = BODY_MM if is_body else ANYTHING_MM
    if least_mm <= length_mm <= most_mm:
        return
    told = f"people are {length_mm:.3g} mm long, not {least_mm:g} to {most_mm:g}"
    if is_triangulated:
        raise ValueError(f"{told}: the cameras that 'triangulate' uses disagree; {TOGETHER}")
    factors = [a / b for a in MM.values() for b in MM.values()]
    factor = min(factors, key=lambda f: abs(np.log(f * max(length_mm, 1e-9) / USUAL_MM)))
    raise ValueError(
        f"{told}: 3D labels are in another unit; they should be {factor:g} times as large (mind "
        "'unit')"
    )


def _check_view(scene: Scene) -> None:
    """Raise ValueError if the camera looks away from people, or beside them."""
    points_mm = scene.joints_mm[np.isfinite(scene.joints_mm).all(-1)]
    is_behind = cameras.world_to_camera(scene.camera, points_mm)[:, 2] <= 0
    if is_behind.mean() > MOST_BEHIND:
        raise ValueError(
            f"{100 * is_behind.mean():.0f} % of the joints are behind the camera{_remedy(scene)}"
        )
    if not _in_image(scene.camera, scene, points_mm).any():
        raise ValueError(f"the camera sees none of the joints in its image{_remedy(scene)}")


def _in_image(
    camera: Camera, scene: Scene, points_mm: Float[np.ndarray, "n 3"]
) -> Bool[np.ndarray, " n"]:
    points_px = projected_px(camera, points_mm)
    if scene.size_px is None:
        return np.asarray(np.isfinite(points_px).all(-1))
    end_px = np.array(scene.size_px) - 0.5
    return np.asarray(((points_px >= -0.5) & (points_px <= end_px)).all(-1))


def _remedy(scene: Scene) -> str:
    """The end of a message about a camera that does not see people: what would make it see them."""
    camera = scene.camera
    points_mm = scene.joints_mm[np.isfinite(scene.joints_mm).all(-1)]
    rotation, position = camera.rotation, camera.position_mm
    others = {
        "its extrinsic_matrix is inverted: give the one from world to camera": camera._replace(
            rotation=rotation.T, position_mm=-rotation @ position
        ),
        "its extrinsic_matrix is in m: say 'camera_unit: m'": camera._replace(
            position_mm=1000 * position
        ),
        "its extrinsic_matrix is in cm: say 'camera_unit: cm'": camera._replace(
            position_mm=10 * position
        ),
    }
    for told, other in others.items():
        if _in_image(other, scene, points_mm).mean() > 0.5:
            return f"; {told}"
    return (
        "; extrinsic_matrix must go from world to camera, and 3D labels must be in the same world "
        "(see 'to_world')"
    )


def _check_projection(scene: Scene, names: tuple[str, ...], max_error_px: float) -> None:
    """Raise ValueError if 3D and 2D labels disagree."""
    errors_px = _errors_px(scene, scene.joints_mm)
    if np.isnan(errors_px).all() or np.nanmedian(errors_px) <= max_error_px:
        return
    has_any = np.isfinite(errors_px).any(0)
    by_joint = np.where(has_any, np.nanmedian(np.where(has_any, errors_px, 0), axis=0), 0)
    worst = int(by_joint.argmax())
    mirrored_px = _errors_px(scene, scene.joints_mm[:, skeleton.mirror_map(names)])
    if not np.isnan(mirrored_px).all() and np.nanmedian(mirrored_px) <= max_error_px:
        told = "left and right are swapped in one of them"
    else:
        told = "check the cameras, 'unit', 'first_frame', and which joint is which"
    raise ValueError(
        f"3D labels miss the 2D labels by {np.nanmedian(errors_px):.1f} px in the median, more "
        f"than max_error_px: {max_error_px:g} (most: '{names[worst]}', {by_joint[worst]:.1f} px); "
        f"{told}"
    )


def _errors_px(scene: Scene, joints_mm: Float[np.ndarray, "n j 3"]) -> Float[np.ndarray, "n j"]:
    points_px = projected_px(scene.camera, joints_mm.reshape(-1, 3))
    return np.linalg.norm(points_px.reshape(scene.joints_px.shape) - scene.joints_px, axis=-1)


# --------------------------------------------------------------------------------------------- up


def trunks(found: Labels) -> Float[np.ndarray, "n 3"]:
    """Directions from people's feet to their heads, as far as labels tell."""
    parts = [part.name for part in body_parts.of(found.joint_names)]
    ends = []
    for names in (TOPS, BOTTOMS):
        name = next((name for name in names if name in parts), None)
        if name is None:
            return np.zeros((0, 3))
        ends.append([place for place, part in enumerate(parts) if part == name])
    some = found.joints[labels.is_3d(found)]
    some = some[:: max(1, len(some) // MOST_POSES)]
    directions = some[:, ends[0]].mean(1) - some[:, ends[1]].mean(1)
    return directions[np.isfinite(directions).all(-1)]


def check_up(directions: Float[np.ndarray, "n 3"], usual: tuple[float, float, float]) -> None:
    """Raise ValueError if people stand along another axis than the one that is up unless told."""
    direction, axis = upright.direction(directions), upright.axis(directions)
    if direction is None or axis is None or direction @ axis < ALONG or tuple(axis) == usual:
        return
    name = f"{'+' if axis.sum() > 0 else '-'}{'xyz'[int(np.abs(axis).argmax())]}"
    raise ValueError(
        f"people stand along {name} in the world, but 'up' is -y unless the description says "
        f"another: say 'up: \"{name}\"', or 'up: \"-y\"' if they do not stand"
    )
