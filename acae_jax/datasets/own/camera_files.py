"""Files of cameras: JSON of this project, OpenCV's FileStorage, and COLMAP's text files.

    {"left": {"intrinsic_matrix": [[1145, 0, 959.5], [0, 1145, 539.5], [0, 0, 1]],
              "distortion_coeffs": [-0.2, 0.1, 0, 0, 0],
              "extrinsic_matrix": [[…4], […4], […4]], "image_size": [1920, 1080]},
     "right": …}

The values are the estimator's arguments: px whose centres lie at integers, OpenCV's coefficients,
from world to camera. Without `extrinsic_matrix`, the world is the camera's space. `image_size`
(width, height) is optional and compared with the images.

* A file of one camera has these keys itself; the camera is called after the file.
* OpenCV's YAML and XML have the same keys, or those of its own programs (KEYS below); `R` (a matrix
  or a rotation vector) and `T` are from world to camera, too.
* COLMAP's folder has cameras.txt and images.txt; a camera is called after its image, less ".jpg".
"""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from acae_jax import messages
from acae_jax.datasets.readers import opencv_file
from acae_jax.files import json_files
from acae_jax.geometry import cameras
from acae_jax.geometry.cameras import Camera
from acae_jax.inference import arguments

MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
INTRINSICS, LENS, EXTRINSICS = "intrinsic_matrix", "distortion_coeffs", "extrinsic_matrix"
SIZE = "image_size"
KEYS = {
    INTRINSICS: ("camera_matrix", "cameraMatrix", "K"),
    LENS: ("distortion_coefficients", "dist_coeffs", "distCoeffs", "D"),
    EXTRINSICS: (),
}
# Where each model of COLMAP has the focal lengths, the principal point, and OpenCV's coefficients.
COLMAP = {
    "SIMPLE_PINHOLE": (0, 0, 1, ()),
    "PINHOLE": (0, 1, 2, ()),
    "SIMPLE_RADIAL": (0, 0, 1, (3,)),
    "RADIAL": (0, 0, 1, (3, 4)),
    "OPENCV": (0, 1, 2, (4, 5, 6, 7)),
    "FULL_OPENCV": (0, 1, 2, (4, 5, 6, 7, 8, 9, 10, 11)),
}


class Known(NamedTuple):
    """A camera of a file, and the width and height of its images where the file tells."""

    camera: Camera
    size_px: tuple[int, int] | None
    path: Path


def read(paths: Iterable[Path], unit: str) -> dict[str, Known]:
    """The cameras of files by name; translations are in `unit`, "" if nobody said so.

    FileNotFoundError for a missing file; ValueError, in one line with the file, for all else that
    is wrong, for a name that occurs twice, and for translations that look like metres where nobody
    said what they are.
    """
    found: dict[str, Known] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"no camera file at {path}; give the path of one by 'cameras'")
        try:
            for name, content in _entries(path):
                if name in found:
                    raise ValueError(f"camera '{name}' is in {found[name].path} too; rename one")
                found[name] = _known(content, f"camera '{name}'", unit, path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return found


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The values of each camera of a file, by this project's keys."""
    if path.is_dir():
        yield from _of_colmap(path)
        return
    if path.suffix.lower() == ".json":
        content = json_files.read_object(path)
    elif path.suffix.lower() in (".yaml", ".yml", ".xml"):
        content = opencv_file.read(path)
    else:
        raise ValueError(
            "it must be .json, OpenCV's .yaml, .yml or .xml, or a folder with COLMAP's cameras.txt"
        )
    is_one = any(key in content for key in (INTRINSICS, *KEYS[INTRINSICS]))
    for name, one in {path.stem: content}.items() if is_one else content.items():
        if isinstance(one, dict):
            yield (
                name,
                one if path.suffix.lower() == ".json" else _of_opencv(one, f"camera '{name}'"),
            )
        elif path.suffix.lower() == ".json":
            raise ValueError(f"camera '{name}' must be an object with the key '{INTRINSICS}'")


def _of_opencv(content: dict[str, Any], where: str) -> dict[str, Any]:
    """The values that OpenCV's programs write under their names."""
    found = {}
    for ours, theirs in KEYS.items():
        name = next((name for name in (ours, *theirs) if name in content), None)
        if name is not None:
            value = _array(content[name], f"{where}.{name}")
            found[ours] = value.ravel() if ours == LENS else value
    if EXTRINSICS not in found and "R" in content and "T" in content:
        turn, shift = (_array(content[name], f"{where}.{name}") for name in "RT")
        if turn.size not in (3, 9) or shift.size != 3:
            raise ValueError(f"{where}: R must be 3 x 3 or a rotation vector, and T 3 numbers")
        turn = cv2.Rodrigues(turn.ravel())[0] if turn.size == 3 else turn.reshape(3, 3)
        found[EXTRINSICS] = np.c_[turn, shift.ravel()]
    if "image_width" in content and "image_height" in content:
        found[SIZE] = [content["image_width"], content["image_height"]]
    return found


def _array(content: Any, where: str) -> np.ndarray:
    try:
        return np.asarray(content, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{where} must be numbers") from None


def _of_colmap(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Cameras of the images of a reconstruction, whose pixels have their centres at halves."""
    lenses: dict[str, dict[str, Any]] = {}
    for line in _lines(folder / "cameras.txt"):
        number, model, *numbers = [*line.split(maxsplit=2), "", ""][:3]
        if model not in COLMAP:
            raise ValueError(f"unknown camera model {model}; {messages.near_misses(model, COLMAP)}")
        fx, fy, centre, coefficients = COLMAP[model]
        width, height, *p = _floats(numbers[0], line, 3 + centre + len(coefficients) + 1)
        k = [[p[fx], 0, p[centre] - 0.5], [0, p[fy], p[centre + 1] - 0.5], [0, 0, 1]]
        lens = [p[index] for index in coefficients]
        lens += [0.0] * (next(n for n in (0, 4, 5, 8) if n >= len(lens)) - len(lens))
        lenses[number] = {INTRINSICS: k, SIZE: [width, height], LENS: lens or None}
    for line in _lines(folder / "images.txt")[::2]:  # each is followed by one of its points
        if not line.strip():
            continue
        _, *numbers, number, name = [*line.split(maxsplit=9), *[""] * 10][:10]
        w, x, y, z, *translation = _floats(" ".join(numbers), line, 7)
        if number not in lenses:
            raise ValueError(f"images.txt: no camera {number!r} for image {name!r}")
        turn = cv2.Rodrigues(_rotation_vector(np.array([x, y, z]), w))[0]
        placed = np.c_[turn, translation]
        yield Path(name).with_suffix("").as_posix(), {**lenses[number], EXTRINSICS: placed}


def _floats(text: str, line: str, count: int) -> list[float]:
    """The numbers in a text; ValueError unless they are so many."""
    try:
        found = [float(word) for word in text.split()]
    except ValueError:
        found = []
    if len(found) != count:
        raise ValueError(f"{line[:80]!r} is no line of COLMAP's text files")
    return found


def _rotation_vector(imaginary: np.ndarray, real: float) -> np.ndarray:
    """The rotation vector of a quaternion."""
    length = float(np.linalg.norm(imaginary))
    return imaginary * (2 * np.arctan2(length, real) / length if length else 0.0)


def _lines(path: Path) -> list[str]:
    if not path.exists():
        raise ValueError(f"there is no {path.name}; export the model as text")
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    while lines and not lines[-1].strip():
        lines.pop()  # in the middle, an empty line is an image without points
    return lines


def _known(content: dict[str, Any], where: str, unit: str, path: Path) -> Known:
    json_files.check_keys(content, where, (INTRINSICS,), (LENS, EXTRINSICS, SIZE))
    try:
        intrinsics, lens = arguments.check_lens(content[INTRINSICS], content.get(LENS))
        rotation = position = None
        if path.is_dir() and not unit:
            raise ValueError(
                "say 'camera_unit' in the description: COLMAP's unit is that of the alignment"
            )
        if content.get(EXTRINSICS) is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of metres: they are an error below
                rotation, position = arguments.check_extrinsics(content[EXTRINSICS])
            position = position * MM[unit or "mm"]
            distance_mm = float(np.linalg.norm(position))
            if not unit and arguments.ROUNDING_MM < distance_mm < arguments.METRES_MM:
                raise ValueError(
                    f"extrinsic_matrix puts it {distance_mm:.3g} mm beside the world's origin; say "
                    "'camera_unit: m' in the description, or 'camera_unit: mm' if that is right"
                )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    size = content.get(SIZE)
    if size is not None:
        width, height = json_files.numbers(size, f"{where}.{SIZE}", (2,)).astype(int).tolist()
        size = (width, height)
    return Known(cameras.create(intrinsics, rotation, position, lens), size, path)
