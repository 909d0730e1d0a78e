"""Labels in NumPy's .npz files: arrays with these names, or those of VideoPose3D.

    joints_mm    (frames, joints, 3) or (frames, people, joints, 3); or joints_cm, or joints_m
    joints_px    (frames, joints, 2) or (frames, people, joints, 2)
    boxes        (frames, 4) or (frames, people, 4): x, y, w, h
    frames       (frames,) whole numbers; without it 0, 1, 2, …
    people       (people,) texts
    joint_names  (joints,) texts; without it the joints are those of the skeleton, in its order

NaN is missing. At least one of the first three is there.

VideoPose3D's files hold `positions_2d` or `positions_3d`: a dict of subjects, each a dict of
actions, each an array (frames, joints, 3) in m, or a list of the cameras' arrays
(frames, joints, 2). They are pickled, and read as data only. Keypoints of detectors may have their
confidence beside them, and lie in px.
"""

import functools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from acae_jax import messages
from acae_jax.datasets.own.label_files import labels
from acae_jax.datasets.own.label_files.labels import Labels
from acae_jax.datasets.readers import pickled_tables
from acae_jax.files import numpy_files
from acae_jax.media import inputs

LIMIT_BYTES = 4 << 30
JOINTS = {"joints_mm": "mm", "joints_cm": "cm", "joints_m": "m"}
NAMES = (*JOINTS, "joints_px", "boxes", "frames", "people", "joint_names")
VIDEOPOSE = ("positions_2d", "positions_3d")
ABSENT = np.empty(0)


def members(path: Path) -> list[str]:
    """The names of the arrays in a file; ValueError, in one line, if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except zipfile.BadZipFile as error:
        raise ValueError(f"it is no .npz file of NumPy's: {error}") from None


def read(path: Path) -> Labels:
    """The labels in a file of the first form; ValueError, in one line, if it is none."""
    for name in members(path):
        if name not in NAMES:
            raise ValueError(f"unknown array '{name}'; {messages.near_misses(name, NAMES)}")
    arrays = numpy_files.arrays(path, NAMES, LIMIT_BYTES, dict.fromkeys(NAMES, ABSENT))
    given = {name: a for name, a in zip(NAMES, arrays, strict=True) if a is not ABSENT}
    units = [name for name in JOINTS if name in given]
    if len(units) > 1 or not (units or {"joints_px", "boxes"} & set(given)):
        raise ValueError(f"it must have one of {', '.join(JOINTS)}, or joints_px, or boxes")
    parts = {
        "joints": _stacked(given, units[0] if units else "", 2, 3),
        "joints_px": _stacked(given, "joints_px", 2, 2),
        "boxes": _stacked(given, "boxes", 1, 4),
    }
    sizes = {name: array.shape[:-1] for name, array in parts.items() if array is not None}
    (frames, people), joints = next((s[:2], s[2:]) for s in sizes.values())
    joints = next((s[2] for s in sizes.values() if len(s) == 3), 0)
    if any(s not in ((frames, people), (frames, people, joints)) for s in sizes.values()):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in given.items())
        raise ValueError(f"its arrays do not fit together: {shapes}")
    names = _texts(given, "joint_names", joints, labels.numbered(joints))
    ids = _texts(given, "people", people, ("",) if people == 1 else labels.numbered(people))
    found = Labels(
        tuple(f for f in _frames(given, frames) for _ in range(people)),
        ids * frames,
        names,
        _rows(parts["joints"], frames * people, joints, 3),
        _rows(parts["joints_px"], frames * people, joints, 2),
        _rows(parts["boxes"], frames * people, 0, 4),
        JOINTS[units[0]] if units else "",
    )
    return labels.check_distinct(found)


def _stacked(
    given: Mapping[str, np.ndarray], name: str, inner: int, size: int
) -> np.ndarray | None:
    """An array with an axis of people; ValueError if it has another shape."""
    array = given.get(name)
    if array is None:
        return None
    if array.ndim not in (inner + 1, inner + 2) or array.shape[-1] != size:
        axes = "joints, " if inner == 2 else ""
        raise ValueError(
            f"{name} has shape {array.shape}; give (frames, {axes}{size}) or "
            f"(frames, people, {axes}{size})"
        )
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} holds {array.dtype}, not numbers")
    if np.isinf(array).any():
        raise ValueError(f"{name} holds infinite numbers; write NaN where a joint is missing")
    array = array.astype(np.float64)
    return array if array.ndim == inner + 2 else array[:, None]


def _rows(array: np.ndarray | None, count: int, joints: int, size: int) -> np.ndarray:
    """An array with one axis of frames and people together; NaN if there is none."""
    shape = (count, joints, size) if size < 4 else (count, size)
    return np.full(shape, np.nan) if array is None else array.reshape(shape)


def _frames(given: Mapping[str, np.ndarray], count: int) -> list[int]:
    frames = given.get("frames", np.arange(count))
    if frames.shape != (count,) or frames.dtype.kind not in "iu" or frames.min(initial=0) < 0:
        raise ValueError(
            f"frames has shape {frames.shape} and type {frames.dtype}; give {count} whole numbers "
            "from 0, one for each frame of the other arrays"
        )
    return frames.tolist()


def _texts(
    given: Mapping[str, np.ndarray], name: str, count: int, default: tuple[str, ...]
) -> tuple[str, ...]:
    texts = given.get(name, np.array(default, dtype=str))
    if texts.shape != (count,) or (count and texts.dtype.kind != "U"):
        raise ValueError(f"{name} has shape {texts.shape}; give {count} texts")
    if len(set(texts.tolist())) < count:
        raise ValueError(f"{name} has a name twice; rename one")
    return tuple(texts.tolist())


# ------------------------------------------------------------------------------------ VideoPose3D


def read_videopose(path: Path, subject: str, action: str, view: int, views: int) -> Labels:
    """The labels of one action in a file of VideoPose3D's, in 2D those of camera `view` of `views`.

    Joints have numbers. Without subject or action, the file must have one only. ValueError, in one
    line, for all else.
    """
    held = members(path)
    name = next(name for name in VIDEOPOSE if name in held)
    subjects = _subjects(path, name, inputs.stamp(path))
    array = _chosen(_chosen(subjects, "subject", subject), "action", action)
    if isinstance(array, list):
        if len(array) != views:
            raise ValueError(
                f"{name} has {len(array)} cameras for this action, but 'camera' lists {views}; "
                "list all of them, in this order"
            )
        array = array[view]
    sizes = (3,) if name == "positions_3d" else (2, 3)
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[-1] not in sizes:
        raise ValueError(
            f"{name} of subject {subject!r}, action {action!r}, must be an array (frames, joints, "
            f"{sizes[0]})"
        )
    if array.dtype.kind not in "iuf" or np.isinf(array).any():
        raise ValueError(f"{name} holds something other than finite numbers and NaN")
    frames, joints, _ = array.shape
    absent = np.full((frames, joints, 3), np.nan)
    is_3d = name == "positions_3d"
    return Labels(
        tuple(range(frames)),
        ("",) * frames,
        labels.numbered(joints),
        array.astype(np.float64) if is_3d else absent,
        absent[..., :2] if is_3d else array[..., :2].astype(np.float64),
        np.full((frames, 4), np.nan),
        is_motion=True,
    )


@functools.lru_cache(maxsize=2)
def _subjects(path: Path, name: str, stamp: str) -> Any:
    """A file's content, which many clips share; the stamp tells of changes."""
    return pickled_tables.member(path, name, LIMIT_BYTES)


def _chosen(content: Any, what: str, name: str) -> Any:
    """The value of a key; of the only one if no key is given."""
    if not isinstance(content, dict) or not content:
        raise ValueError("it must be a dict of subjects, and each of them a dict of actions")
    if not name and len(content) == 1:
        return next(iter(content.values()))
    if not name:
        some = ", ".join(list(map(str, content))[:8])
        raise ValueError(f"it has {len(content)} {what}s ({some}); choose one by '{what}'")
    if name not in content:
        hint = messages.near_misses(name, map(str, content))
        raise ValueError(f"it has no {what} {name!r}; {hint}")
    return content[name]
