"""A recording as one HTML page that shows its skeletons in 3D and needs no other file or network.

The page is `assets/`: a template, its style, and plain JavaScript that is put into it. The
recording stands in the page as JSON. Names come from outside, so nothing of them is ever markup:
in JSON `<`, `>` and `&` are escapes, the scripts write text only, and the page's content security
policy runs no script but its own, known by its hash, and loads nothing.

Arrays are whole numbers of a step, at most half a step wrong. Entries are ordered by track
and frame; a column holds the changes from entry to entry, which are small; its lowest bytes stand
before the higher ones; deflate takes that to about a third.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, Int16, Int32, UInt8

from acae_jax.geometry import cameras
from acae_jax.recordings.results import Sequence
from acae_jax.skeletons import skeleton

SCRIPTS = ("data", "space", "scene", "picture", "joints", "page", "gestures")
STEP_MM, STEP_ERROR_MM = 0.5, 1.0  # in which places and expected errors are stored
STEP_PX = 0.25  # at least; larger for images of over 4,096 px
FARTHEST_MM = 1e9
LARGEST, MISSING = 32767, -32768
PICTURES_BYTES = 16_000_000  # of all JPEGs of a page
DEFAULT_SIZE_PX = (640, 480)
MARGIN_MM = 500.0  # of ground around people
LOOKED_AT = 2000  # entries, at most, from which the size of the stage is taken
# Where nobody is: a room before the camera, (right, up, front) of its corners.
EMPTY_STAGE_MM = np.array([[-1000.0, -1000.0, 2000.0], [1000.0, 700.0, 4000.0]])


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
        axes=escape(_axes_told(held["camera"])),
        resolution=f"Places are stored in steps of {STEP_MM} mm.",
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
    middles, offsets = _places(sequence.poses_mm[order])
    has_uncertainty = bool(np.isfinite(sequence.uncertainty_mm).any())
    entries = order[np.isin(sequence.frame[order], list(thumbnails))]
    fps = float(sequence.fps)
    sizes = [(one.width_px, one.height_px) for one in thumbnails.values()] or [None]
    taking = _camera(camera, sizes[0], default_fov_degrees)
    # Twice the image to all sides has to fit.
    step_px = max([STEP_PX, *(2 * max(size) / LARGEST for size in sizes if size)])
    return {
        "fps": fps if np.isfinite(fps) and fps > 0 and not stills else 0,
        "frame_count": int(sequence.frame_count),
        "joint_names": list(sequence.joint_names),
        "sides": skeleton.sides(sequence.joint_names),
        "skeletons": _skeletons(sequence),
        "stage": _stage(sequence, stills, taking, np.array(up, np.float64)),
        "camera": taking,
        "frame": _packed(sequence.frame[order, None].astype(np.int32)),
        "track": _packed(sequence.track[order, None].astype(np.int32)),
        "step_mm": STEP_MM,
        "middle": _packed(middles),
        "offset": _packed(offsets),
        "step_error_mm": STEP_ERROR_MM,
        "uncertainty": (
            _packed(_in_steps(sequence.uncertainty_mm[order], STEP_ERROR_MM))
            if has_uncertainty
            else None
        ),
        "step_px": step_px,
        "points_px": _packed(_in_steps(sequence.poses_px[entries], step_px))
        if thumbnails
        else None,
        "pictures": [
            _picture(frame, one, camera, taking, default_fov_degrees)
            for frame, one in sorted(thumbnails.items())
        ],
    }


# ------------------------------------------------------------------------------------------ arrays


def _places(
    poses_mm: Float[np.ndarray, "n j 3"],
) -> tuple[Int32[np.ndarray, "n 3"], Int16[np.ndarray, "n k"]]:
    """Steps of the middle of each person from the origin, and of joints from there.

    So joints are stored equally finely wherever the person stands. A joint farther than 16 m from
    the person's middle, or 1,000 km from the origin, is MISSING.
    """
    in_range = np.all(np.abs(poses_mm) < FARTHEST_MM, axis=-1, keepdims=True)
    poses_mm = np.where(in_range, poses_mm, np.float32(np.nan))
    poses_mm[~np.any(in_range, axis=(1, 2))] = 0
    middles = np.round(np.nanmedian(poses_mm, axis=1) / STEP_MM).astype(np.int32)
    offsets = poses_mm - (middles * STEP_MM)[:, None].astype(np.float32)
    near = in_range & np.all(np.abs(offsets) < LARGEST * STEP_MM, axis=-1, keepdims=True)
    return middles, _in_steps(np.where(near, offsets, np.float32(np.nan)), STEP_MM)


def _in_steps(values: Float[np.ndarray, " n *s"], step: float) -> Int16[np.ndarray, "n k"]:
    """Values in whole steps, clipped to 16 bits, a row for each entry; MISSING if not finite."""
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    is_finite = np.isfinite(flat)
    steps = np.divide(flat, step, where=is_finite, out=np.zeros_like(flat))
    np.clip(np.round(steps, out=steps), -LARGEST, LARGEST, out=steps)
    return np.where(is_finite, steps, MISSING).astype(np.int16)


def _packed(values: Int[np.ndarray, "n k"]) -> dict[str, Any]:
    """Columns of whole numbers as text; the module says how, data.js reads it."""
    # Differences wrap around, as the sums in the page do.
    columns = np.concatenate([values[:1], np.diff(values, axis=0)]).T
    little = columns.astype(values.dtype.newbyteorder("<"), order="C")
    planes = little.reshape(-1, 1).view(np.uint8).T
    packed = base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()
    return {"rows": len(values), "base64": packed}


def _json(held: dict[str, Any]) -> str:
    """JSON that can stand in a script element whatever its texts are."""
    text = json.dumps(held, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hash(text: str) -> str:
    """A source of a content security policy: this text and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# ------------------------------------------------------------------------------- camera and stage


def _camera(
    camera: cameras.Camera | None, size_px: tuple[int, int] | None, default_fov_degrees: float
) -> dict[str, Any]:
    """The taking camera for the page, with the size of its image, which may be unknown."""
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


def _stage(
    sequence: Sequence, stills: bool, camera: dict[str, Any], up: Float[np.ndarray, "3"]
) -> dict[str, Any]:
    """The level axes right, up and front of the camera in the world, and boxes around people.

    There is one box, or one for each of `stills`.
    """
    if not np.isfinite(up).all() or np.linalg.norm(up) < 1e-6:
        raise ValueError(f"up is {tuple(up.tolist())}; give the direction that points up, not zero")
    up = up / np.linalg.norm(up)
    _, down, forward = np.array(camera["rotation"])
    steep = float(forward @ up)
    # A camera that looks straight down sees ahead at the top of its image.
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
    """The lowest and highest coordinates on the stage around people, or `empty` around nobody.

    Its floor is where the lowest joints of most entries are; the few outliers do not count.
    """
    chosen = poses_mm[:: -(-len(poses_mm) // LOOKED_AT) or 1].astype(np.float64)
    chosen[~np.isfinite(chosen)] = np.nan
    placed = chosen[~np.isnan(chosen).all((1, 2))] @ axes.T
    if not len(placed):
        return empty
    low = np.percentile(np.nanmin(placed, axis=1), 10, axis=0)
    high = np.percentile(np.nanmax(placed, axis=1), 90, axis=0)
    sideways = np.array([MARGIN_MM, 0, MARGIN_MM])
    return np.stack([low - sideways, high + sideways])


def _axes_told(camera: dict[str, Any]) -> str:
    """Where the world's axes point, in a sentence."""
    at_origin = not np.any(camera["position_mm"]) and np.allclose(camera["rotation"], np.eye(3))
    if at_origin:
        return "The camera stands at the origin: x points to its right, y down, z forward."
    x, y, z = (f"{value:.0f}" for value in camera["position_mm"])
    return f"The camera stands at x {x}, y {y}, z {z} mm; the small axes show how the world lies."


# --------------------------------------------------------------------------- skeletons and pictures


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
        "camera": None if same else _camera(camera, size_px, default_fov_degrees),
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
