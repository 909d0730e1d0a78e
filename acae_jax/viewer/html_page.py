"""A recording as one HTML page that shows its skeletons in 3D and needs no other file or network.

The page consists of a template, its style and plain JavaScript, all in `assets/`. The recording is
JSON in the page. Names come from outside, so they must never act as markup: in JSON `<`, `>` and
`&` are escaped, the scripts write only text, and the page's content security policy allows only
its own script, by its hash, and loads nothing.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from acae_jax.geometry import cameras
from acae_jax.recordings.results import Sequence
from acae_jax.skeletons import skeleton
from acae_jax.viewer import arrays, stage

SCRIPTS = ("data", "space", "scene", "picture", "joints", "page", "gestures")
PICTURES_BYTES = 16_000_000  # of all JPEGs of a page


class Thumbnail(NamedTuple):
    """A small JPEG of an input image, and the size of that image, which 2D poses refer to."""

    jpeg: bytes
    width_px: int
    height_px: int
    name: str = ""


def thumbnail(image: UInt8[np.ndarray, "h w 3"], name: str = "", side_px: int = 384) -> Thumbnail:
    """The RGB image, made small if its longer side is over `side_px`; `name` is its caption."""
    height, width = image.shape[:2]
    scale = min(1.0, side_px / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
    return Thumbnail(jpeg.tobytes(), width, height, name)


def write(
    path: str | Path,
    sequence: Sequence,
    *,
    title: str = "Skeletons",
    thumbnails: Mapping[int, Thumbnail] | None = None,
    stills: bool = False,
    camera: cameras.Camera | None = None,
    default_fov_degrees: float = 55.0,
    up: tuple[float, float, float] = (0.0, -1.0, 0.0),
) -> None:
    """Write the page; `thumbnails` by frame, `up` is the world's.

    `stills`: the frames are images that do not follow each other, with a ground each and no time.
    Without a camera, the people are taken to have been seen from the world's origin, with
    `default_fov_degrees` along an image's longer side. Of thumbnails that together have over 16 MB,
    every second, fourth, … is kept. A ValueError names what cannot be shown.
    """
    _check(sequence, thumbnails or {})
    held = content(sequence, _thinned(thumbnails or {}), stills, camera, default_fov_degrees, up)
    # Names of files may hold bytes that are no UTF-8, which become question marks.
    Path(path).write_text(page(title, held), encoding="utf-8", errors="replace")


def page(title: str, held: dict[str, Any]) -> str:
    """The whole page of a `content`."""
    folder = resources.files("acae_jax.viewer").joinpath("assets")
    text = {name: folder.joinpath(name).read_text("utf-8") for name in ("page.html", "page.css")}
    script = "\n".join(folder.joinpath(f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    return Template(text["page.html"]).substitute(
        title=escape(title),
        style=text["page.css"],
        style_hash=_hash(text["page.css"]),
        script=script,
        script_hash=_hash(script),
        axes=escape(stage.axes_in_words(held["camera"])),
        resolution=f"Places are stored in steps of {arrays.STEP_MM} mm.",
        data=_json(held),
    )


def content(
    sequence: Sequence,
    thumbnails: Mapping[int, Thumbnail],
    stills: bool,
    camera: cameras.Camera | None,
    default_fov_degrees: float,
    up: tuple[float, float, float],
) -> dict[str, Any]:
    """The page's data in JSON's types; arguments as in `write`, with all thumbnails in memory."""
    order = np.lexsort((sequence.frame, sequence.track))
    middles, offsets = arrays.places(sequence.poses_mm[order])
    has_uncertainty = bool(np.isfinite(sequence.uncertainty_mm).any())
    entries = order[np.isin(sequence.frame[order], list(thumbnails))]
    fps = float(sequence.fps)
    sizes = [(one.width_px, one.height_px) for one in thumbnails.values()] or [None]
    taking = stage.camera_of(camera, sizes[0], default_fov_degrees)
    # Twice the image to all sides has to fit.
    step_px = max([arrays.STEP_PX, *(2 * max(size) / arrays.LARGEST for size in sizes if size)])
    return {
        "fps": fps if np.isfinite(fps) and fps > 0 and not stills else 0,
        "frame_count": int(sequence.frame_count),
        "joint_names": list(sequence.joint_names),
        "sides": skeleton.sides(sequence.joint_names),
        "skeletons": _skeletons(sequence),
        "stage": stage.around(sequence, stills, taking, np.array(up, np.float64)),
        "camera": taking,
        "frame": arrays.pack(sequence.frame[order, None].astype(np.int32)),
        "track": arrays.pack(sequence.track[order, None].astype(np.int32)),
        "step_mm": arrays.STEP_MM,
        "middle": arrays.pack(middles),
        "offset": arrays.pack(offsets),
        "step_error_mm": arrays.STEP_ERROR_MM,
        "uncertainty": (
            arrays.pack(arrays.in_steps(sequence.uncertainty_mm[order], arrays.STEP_ERROR_MM))
            if has_uncertainty
            else None
        ),
        "step_px": step_px,
        "points_px": arrays.pack(arrays.in_steps(sequence.poses_px[entries], step_px))
        if thumbnails
        else None,
        "pictures": [
            _picture(frame, one, camera, taking, default_fov_degrees)
            for frame, one in sorted(thumbnails.items())
        ],
    }


def _json(held: dict[str, Any]) -> str:
    """JSON that can stand in a script element whatever its texts are."""
    text = json.dumps(held, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hash(text: str) -> str:
    """A source of a content security policy: this text and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _skeletons(sequence: Sequence) -> list[dict[str, Any]]:
    """The skeletons to switch between; all joints are one if there is no other."""
    if not sequence.skeletons:
        everything = list(range(len(sequence.joint_names)))
        names, edges = list(sequence.joint_names), [list(edge) for edge in sequence.edges]
        return [{"name": "all joints", "indices": everything, "joint_names": names, "edges": edges}]
    return [
        {
            "name": name,
            "indices": [int(index) for index in one.indices],
            "joint_names": list(one.joint_names),
            "edges": [[int(a), int(b)] for a, b in one.edges],
        }
        for name, one in sequence.skeletons.items()
    ]


def _picture(
    frame: int,
    one: Thumbnail,
    camera: cameras.Camera | None,
    taking: dict[str, Any],
    default_fov_degrees: float,
) -> dict[str, Any]:
    """A picture for the page; one of another size than the first has its own camera."""
    size_px = one.width_px, one.height_px
    same = taking["size_px"] == list(size_px)
    return {
        "frame": frame,
        "size_px": list(size_px),
        "camera": None if same else stage.camera_of(camera, size_px, default_fov_degrees),
        "name": one.name,
        "base64": base64.b64encode(one.jpeg).decode(),
    }


def _thinned(thumbnails: Mapping[int, Thumbnail]) -> dict[int, Thumbnail]:
    """All thumbnails, or every second, fourth, …, so that they do not exceed PICTURES_BYTES."""
    frames, every = sorted(thumbnails), 1
    while sum(len(thumbnails[frame].jpeg) for frame in frames[::every]) > PICTURES_BYTES:
        every *= 2
    return {frame: thumbnails[frame] for frame in frames[::every]}


def _check(sequence: Sequence, thumbnails: Mapping[int, Thumbnail]) -> None:
    """A ValueError with the fix for what the page could not show."""
    frames, count = sequence.frame, sequence.frame_count
    if len(frames) and not 0 <= frames.min() <= frames.max() < count:
        raise ValueError(
            f"frames go from {frames.min()} to {frames.max()}, but frame_count is {count}; "
            "it must be larger than the last frame"
        )
    for name, one in sequence.skeletons.items():
        joints = len(sequence.joint_names)
        if any(not 0 <= index < joints for index in one.indices):
            raise ValueError(f"skeleton '{name}' has joint indices that are not in 0…{joints - 1}")
        if any(not 0 <= end < len(one.indices) for edge in one.edges for end in edge):
            raise ValueError(f"skeleton '{name}' has edges between joints that it does not have")
    for frame, one in thumbnails.items():
        if not 0 <= frame < count:
            raise ValueError(f"there is a thumbnail of frame {frame}, but frame_count is {count}")
        if not one.jpeg.startswith(b"\xff\xd8\xff"):
            raise ValueError(f"the thumbnail of frame {frame} is no JPEG; make it with thumbnail()")
        if len(one.jpeg) > PICTURES_BYTES:
            raise ValueError(
                f"the thumbnail of frame {frame} has {len(one.jpeg):,} bytes; "
                f"a page holds {PICTURES_BYTES:,}, so make it with thumbnail()"
            )
