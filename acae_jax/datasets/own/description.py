"""The description of a user's recordings: a YAML or JSON file beside them.

    name: mine                       # of the dataset
    skeleton: skeleton.json          # or a name of the catalogue
    cameras: cameras.json            # or a list of files; none for 2D labels only
    unit: mm                         # of 3D labels
    up: +z                           # the world's up
    clips:
      - name: [walk, run]            # or "*": all that there are
        video: "{name}/{camera}.mp4"
        camera: [left, right]
        annotations: "{name}/labels.csv"

Every key of a clip but `name` may stand at the top, for all clips. Paths begin at the description's
folder. Each name and each camera of an entry makes a clip; `{name}` and `{camera}` stand for them.

    name, version, skeleton, cameras, camera_unit, boxes, masks, max_error_px, clips   at the top
    CLIP_KEYS below                                                             of a clip
    ANNOTATION_KEYS below                                    of a file, or of a clip for all of its
"""

import glob
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from acae_jax import messages
from acae_jax.datasets import release
from acae_jax.datasets.own import camera_files
from acae_jax.datasets.own.camera_files import Known
from acae_jax.datasets.own.entry import Entry
from acae_jax.datasets.own.label_files.labels import Joints
from acae_jax.files import json_files
from acae_jax.inference import arguments
from acae_jax.skeletons import catalogue
from acae_jax.skeletons.skeleton import Skeleton

UPS = {
    "+x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "+y": release.Y_UP,
    "-y": release.Y_DOWN,
    "+z": release.Z_UP,
    "-z": (0.0, 0.0, -1.0),
}
UNITS = tuple(camera_files.MM)
BOXES = ("given", "joints", "detected")
SPLITS = ("train", "test")
ANNOTATION_KEYS = (
    "unit", "joints", "person", "first_frame", "labels_fps", "to_world", "subject", "action",
)  # fmt: skip
CLIP_KEYS = (
    "video", "images", "camera", "annotations", "split", "every", "moved_mm", "up", "video_fps",
    "triangulate",
    *ANNOTATION_KEYS,
)  # fmt: skip
TOP_KEYS = (
    "name",
    "version",
    "skeleton",
    "cameras",
    "camera_unit",
    "boxes",
    "masks",
    "max_error_px",
)
MAX_ERROR_PX = 5.0  # people who click on joints are a few px off


class Annotation(NamedTuple):
    """A file of labels, and what the file itself may not tell.

    unit         of its 3D labels; "" = as the file says
    joints       the file's names of the skeleton's joints; empty = the same names
    person       who it is, where the file does not tell
    first_frame  the label frame of the clip's first frame
    labels_fps   None = as the file says, or as the video
    to_world     rotation and translation in mm, from the labels' space to the cameras' world
    """

    path: Path
    unit: str
    joints: Joints
    person: str
    first_frame: float
    labels_fps: float | None
    to_world: tuple[np.ndarray, np.ndarray] | None
    subject: str
    action: str


class Clip(NamedTuple):
    """A video or some images of one camera.

    where      its place in the description, for messages
    view       the place of the camera in the entry's list, of which there are `views`
    moved_mm   people count again when a joint has moved so far; None = the usual
    up         the world's; None = nobody said, and y is down
    triangulate  whether 3D labels are made of the 2D labels of all cameras
    """

    where: str
    name: str
    video: str
    images: str
    camera: str
    view: int
    views: int
    annotations: tuple[Annotation, ...]
    split: str
    every: int
    moved_mm: float | None
    up: tuple[float, float, float] | None
    video_fps: float | None
    triangulate: bool


class Description(NamedTuple):
    """What a description says, checked."""

    path: Path
    name: str
    version: str
    skeleton: Skeleton
    skeleton_path: Path | None
    cameras: dict[str, Known]
    boxes: str
    masks: bool
    max_error_px: float
    clips: tuple[Clip, ...]


def read(path: Path) -> Description:
    """The description in a file, with its skeleton and its cameras.

    FileNotFoundError for missing files; ValueError, in one line with file and place, for the rest.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no description {path}")
    try:
        content = _content(path)
        top = Entry(content, "the file", path.parent)
        json_files.check_keys(content, "the file", (), (*TOP_KEYS, *CLIP_KEYS, "clips"))
        name = top.text("name")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise ValueError(f"name is {name!r}; give letters, digits, _ and -")
        version = top.text("version", "1.0.0")
        if not re.fullmatch(r"\d+\.\d+\.\d+", version):
            raise ValueError(f"version is {version!r}; give three numbers, such as 1.0.0")
        skeleton, skeleton_path = _skeleton(top)
        files = [top.path(text) for text in top.texts("cameras")]
        known = camera_files.read(files, top.text("camera_unit", "", UNITS))
        entries = content.get("clips")
        if not isinstance(entries, list) or not entries:
            raise ValueError("clips must be a list with at least one clip")
        defaults = {key: content[key] for key in CLIP_KEYS if key in content}
        clips = [
            clip
            for index, entry in enumerate(entries)
            for clip in _clips(entry, f"clips[{index}]", defaults, known, path.parent)
        ]
        _check_distinct(clips)
        return Description(
            path,
            name,
            version,
            skeleton,
            skeleton_path,
            known,
            top.text("boxes", "given", BOXES),
            top.flag("masks", True),
            top.number("max_error_px", above=0.0) or MAX_ERROR_PX,
            tuple(clips),
        )
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _content(path: Path) -> dict[str, Any]:
    if path.suffix == ".json":
        return json_files.read_object(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no YAML: {messages.one_line(error)}") from None
    if not isinstance(content, dict):
        raise ValueError("it must have lines such as name: mine")
    return content


def _skeleton(top: Entry) -> tuple[Skeleton, Path | None]:
    text = top.text("skeleton")
    path = top.path(text) if text.endswith(".json") else None
    found = catalogue.load(text if path is None else str(path))
    if path is not None and found.name in (*catalogue.names(), *catalogue.datasets()):
        known = (
            catalogue.load(found.name)
            if found.name in catalogue.names()
            else catalogue.dataset_skeleton(found.name)
        )
        if known.joint_names != found.joint_names:
            raise ValueError(
                f"{path}: another skeleton is called '{found.name}'; rename yours in its file"
            )
    return found, path


# ------------------------------------------------------------------------------------------ clips


def _clips(
    content: Any, where: str, defaults: Mapping[str, Any], known: Mapping[str, Known], folder: Path
) -> Iterator[Clip]:
    """The clips of an entry: one for each name and camera."""
    json_files.check_keys(content, where, (), ("name", *CLIP_KEYS))
    # What an entry says about its pictures takes the place of all that the top says about them.
    own = {"video", "images"} & set(content)
    above = {k: v for k, v in defaults.items() if not (own and k in ("video", "images"))}
    entry = Entry({**above, **content}, where, folder)
    video, images = entry.text("video", ""), entry.text("images", "")
    if bool(video) == bool(images):
        raise ValueError(f"{where} must have either 'video' or 'images'")
    views = entry.texts("camera") or [""]
    for camera in views:
        if camera not in known and camera:
            hint = messages.near_misses(camera, known) if known else "give a file by 'cameras'"
            raise ValueError(f"{where}.camera: no camera '{camera}'; {hint}")
    pattern = video or images
    if len(views) > 1 and "{camera}" not in pattern:
        raise ValueError(f"{where}: several cameras need '{{camera}}' in '{pattern}'")
    names = entry.texts("name")
    if names == ["*"]:
        names = _names_found(folder, pattern, views[0], where)
    if len(names) > 1 and "{name}" not in pattern:
        raise ValueError(f"{where}: several names need '{{name}}' in '{pattern}'")
    for name in names or [_default_name(pattern)]:
        for view, camera in enumerate(views):
            fill = {"{name}": name, "{camera}": camera}
            yield Clip(
                where,
                name,
                _filled(video, fill),
                _filled(images, fill),
                camera,
                view,
                len(views),
                tuple(_annotations(entry, fill)),
                entry.text("split", "train", SPLITS),
                entry.whole("every", 1),
                entry.number("moved_mm", least=0.0),
                None if "up" not in entry.content else UPS[entry.text("up", "", tuple(UPS))],
                entry.number("video_fps", above=0.0),
                entry.flag("triangulate", False),
            )


def _default_name(pattern: str) -> str:
    """What a clip is called by its pictures: "walk/{camera}.mp4" is "walk"."""
    path = re.sub(r"(/?[^/]*\*[^/]*)+$|\.\w+$", "", pattern)  # less "/*.jpg", or ".mp4"
    return re.sub(r"[_ .-]*(/|$)", r"\1", path.replace("{camera}", "")).strip("/._- ") or "clip"


def _names_found(folder: Path, pattern: str, camera: str, where: str) -> list[str]:
    """What may stand for {name} in a pattern, by the files that there are."""
    if "{name}" not in pattern:
        raise ValueError(f"{where}: name '*' needs '{{name}}' in '{pattern}'")
    pattern = pattern.replace("{camera}", camera)
    expression, seen = "", False
    for part in re.split(r"(\{name\}|\*+)", pattern):
        if part == "{name}":
            expression += "(?P=name)" if seen else "(?P<name>[^/]+)"
            seen = True
        else:
            expression += "[^/]*" if part.startswith("*") else re.escape(part)
    wanted = glob.glob(  # noqa: PTH207 - absolute ones, too
        pattern.replace("{name}", "*"), root_dir=folder
    )
    matches = (re.fullmatch(expression, path.replace("\\", "/")) for path in wanted)
    names = sorted({match["name"] for match in matches if match})
    if not names:
        raise FileNotFoundError(f"{where}: nothing in {folder} fits '{pattern}'")
    return names


def _check_distinct(clips: Sequence[Clip]) -> None:
    seen: dict[tuple[str, str], Clip] = {}
    for clip in clips:
        before = seen.setdefault((clip.name, clip.camera), clip)
        if before is not clip:
            raise ValueError(
                f"{before.where} and {clip.where} are both called '{clip.name}'"
                f"{f' with camera {clip.camera!r}' if clip.camera else ''}; give one a 'name'"
            )


def _annotations(entry: Entry, fill: Mapping[str, str]) -> Iterator[Annotation]:
    """The files of labels of a clip, with what is said about them."""
    content = entry.content.get("annotations")
    files = content if isinstance(content, list) else [content]
    if not files or None in files:
        raise ValueError(f"{entry.where} lacks the key 'annotations'")
    defaults = {key: entry.content[key] for key in ANNOTATION_KEYS if key in entry.content}
    for index, one in enumerate(files):
        where = f"{entry.where}.annotations" + (f"[{index}]" if len(files) > 1 else "")
        one: Any = {"file": one} if isinstance(one, str) else one
        json_files.check_keys(one, where, ("file",), ANNOTATION_KEYS)
        file = Entry({**defaults, **one}, where, entry.folder)
        path = file.path(_filled(file.text("file"), fill))
        if not path.is_file():
            raise FileNotFoundError(f"{where}: there is no file {path}")
        yield Annotation(
            path,
            file.text("unit", "", UNITS),
            file.joints(),
            file.text("person", ""),
            file.number("first_frame") or 0.0,
            file.number("labels_fps", above=0.0),
            _to_world(file),
            file.text("subject", ""),
            _filled(file.text("action", ""), fill),
        )


def _to_world(file: Entry) -> tuple[np.ndarray, np.ndarray] | None:
    """A rotation and a translation."""
    if file.content.get("to_world") is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a few mm may be metres
            rotation, origin = arguments.check_extrinsics(file.content["to_world"])
    except ValueError as error:
        told = str(error).replace("extrinsic_matrix", "to_world")
        raise ValueError(f"{file.where}: {told}") from None
    return rotation, -rotation @ origin


def _filled(text: str, fill: Mapping[str, str]) -> str:
    for name, value in fill.items():
        text = text.replace(name, value)
    return text
