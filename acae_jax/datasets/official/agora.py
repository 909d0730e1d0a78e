"""AGORA: 5 to 15 scanned people in rendered scenes (Patel et al., CVPR 2021).

The joints of both body models are in the release's tables, in the camera's space; no body model is
needed. A person's colour in the picture of labels is found as the one that fills its amodal mask
best, all people of an image at once. People who are hidden by more than half need a detection, by
more than three quarters they are left out. The mask of a record shows all people of the image.

Unpack the archives of images in images/, those of masks in masks/. Training and validation images
together are the split "train"; the labels of the test images are not public. The release's pixels
count from the corner of the image.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float, UInt8
from scipy.spatial.transform import Rotation

from acae_jax.datasets import release
from acae_jax.datasets.readers import images, pickled_tables
from acae_jax.datasets.readers.body_model import SMPLX_LABELLED
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes
from acae_jax.geometry import cameras

RELEASE = Release(
    name="agora",
    title="AGORA",
    version="1.0.0",
    url="https://agora.is.tue.mpg.de",
    access="MPI's licence for non-commercial research; register there",
    size="17 thousand images of 3840 x 2160 px",
    layout=(
        "SMPL/train_*_withjv.pkl",
        "SMPL/validation_*_withjv.pkl",
        "images/**/*_trainset_*_[0-9][0-9][0-9][0-9][0-9].png",
        "images/**/*_validationset_*_[0-9][0-9][0-9][0-9][0-9].png",
        "masks/**/*_trainset_*_mask_*_00000.png",
        "masks/**/*_validationset_*_mask_*_00000.png",
    ),
    format="agora",
    quota=3,
    boxes=partial(
        person_boxes.large_enough,
        rule=partial(person_boxes.given_or_detected, least_iou=0.5),
        least_side_px=100.0,
    ),
)
MOST_HIDDEN, HIDDEN = 75, 50  # percent
SIZE_PX, SENSOR_MM = (3840, 2160), 36.0
# Focal length in mm, place in cm, yaw and pitch in degrees, by a part of the image's name.
FIXED_CAMERAS = {
    "hdri": (50, (0, 0, 170), 0, 0),
    "cam00": (18, (400, -275, 265), 135, 30),
    "cam01": (18, (400, 225, 265), -135, 30),
    "cam02": (18, (-490, 170, 265), -45, 30),
    "cam03": (18, (-490, -275, 265), 45, 30),
    "ag2": (28, (0, 0, 170), 0, 15),
}
OTHERS_FOCAL_MM, OTHERS_HEIGHT_CM = 28, 170
BACKGROUND, NEAR = (255, 0, 0), 10  # RGB of the masks, and how far a colour may be off
MM = 1000.0
STEP_PX = 4  # of the overlap of colours and masks
LEAST_INSIDE = 0.9  # of a person's colour, in its amodal mask

Table = dict[str, Any]
Picture = UInt8[np.ndarray, "h w 3"]
Region = Bool[np.ndarray, "h w"]


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each pair of tables, of SMPL and of SMPL-X."""
    found = []
    for path in sorted((raw / "SMPL").glob("*_withjv.pkl")):
        if path.name.startswith(("train_", "validation_")):
            if not _of_smplx(path).exists():
                raise ValueError(f"agora: no {_of_smplx(path)}; unpack the joints of SMPL-X, too")
            found.append(Unit(path.name.removesuffix("_withjv.pkl"), "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The images of a pair of tables in which somebody can be seen."""
    path = raw / "SMPL" / f"{unit.name}_withjv.pkl"
    smpl: Table = pickled_tables.read(path)
    smplx: Table = pickled_tables.read(_of_smplx(path))
    if list(smpl["imgPath"]) != list(smplx["imgPath"]):
        raise ValueError(f"{path} and {_of_smplx(path)} are not of the same images")
    files = {file.name: file for file in (raw / "images").glob("**/*.png")}
    masks = {file.name: file for file in (raw / "masks").glob("**/*.png")}
    for row, name in enumerate(map(str, smpl["imgPath"])):
        clip, _, number = name.removesuffix(".png").rpartition("_")
        hidden = np.array(smpl["occlusion"][row], float)
        is_kept = np.array(smpl["isValid"][row], bool) & (hidden <= MOST_HIDDEN)
        if not is_kept.any():
            continue
        place_cm = [float(smpl[axis][row]) for axis in ("camX", "camY", "camZ")]
        camera = camera_of(name, place_cm, float(smpl["camYaw"][row]))
        try:
            boxes, shown = _boxes_and_mask(masks, name, len(is_kept))
        except (ValueError, OSError) as error:
            yield release.broken(error, clip, int(number))
            continue
        people = []
        for person in np.flatnonzero(is_kept).tolist():
            in_camera = MM * _joints(smpl, smplx, "gt_joints_3d", row, person)
            joints_mm = cameras.camera_to_world(camera, in_camera)
            joints_px = _joints(smpl, smplx, "gt_joints_2d", row, person) - 0.5
            is_hidden = bool(hidden[person] > HIDDEN)
            one = Person(str(person), joints_mm, joints_px, boxes[person], shown)
            people.append(one._replace(is_hidden=is_hidden))
        read = partial(images.read, files.get(name, raw / "images" / name))
        yield Frame(read, camera, tuple(people), clip, int(number), "", release.Y_DOWN)


def camera_of(name: str, place_cm: Sequence[float], yaw: float) -> cameras.Camera:
    """The camera of an image: that of its scene, or the one that the tables describe."""
    focal_mm, pitch, height_cm = OTHERS_FOCAL_MM, 0, OTHERS_HEIGHT_CM
    for part, fixed in FIXED_CAMERAS.items():
        if part in name:
            focal_mm, place_cm, yaw, pitch = fixed
            height_cm = 0
            break
    width, height = SIZE_PX
    focal = focal_mm / SENSOR_MM * width
    k = [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]
    rotation = Rotation.from_euler("yx", [-yaw, pitch], degrees=True).as_matrix()
    x, y, z = place_cm  # forwards, to the right, upwards
    return cameras.create(np.array(k), rotation, 10.0 * np.array([y, -z - height_cm, x]))


def _of_smplx(path: Path) -> Path:
    return path.parent.parent / "SMPLX" / path.name


def _joints(
    smpl: Table, smplx: Table, column: str, row: int, person: int
) -> Float[np.ndarray, "66 c"]:
    """A person's joints of both models."""
    one = np.asarray(smpl[column][row][person], float)[:24]
    return np.concatenate(
        [one, np.asarray(smplx[column][row][person], float)[list(SMPLX_LABELLED)]]
    )


def _boxes_and_mask(
    masks: Mapping[str, Path], name: str, count: int
) -> tuple[list[np.ndarray | None], Region]:
    """The box of what can be seen of each person of an image, and where anybody is."""
    labels, *amodal = (images.read(_mask_file(masks, name, number)) for number in range(count + 1))
    regions = [_differs(picture, BACKGROUND) for picture in amodal]
    visible = visible_parts(labels, regions)
    boxes = [None if region is None else person_boxes.of_mask(region) for region in visible]
    return boxes, _differs(labels, BACKGROUND)


def _mask_file(masks: Mapping[str, Path], name: str, number: int) -> Path:
    """The file of a person's amodal mask, from 1, or of everybody's labels, 0."""
    *words, frame = name.removesuffix(".png").split("_")
    if "archviz" in words:
        words.insert(-1, "mask")
    else:
        words.append("mask")
    mask_name = f"{'_'.join(words)}_{int(frame):06d}_{number:05d}.png"
    if mask_name not in masks:
        raise FileNotFoundError(f"no mask {mask_name}; unpack the archives of masks in masks/")
    return masks[mask_name]


def visible_parts(labels: Picture, amodal: Sequence[Region]) -> list[Region | None]:
    """What can be seen of each person: its colour in the labels; None if there is no such colour.

    `amodal` are the people's masks as if nobody stood before them.
    """
    small = labels[::STEP_PX, ::STEP_PX].astype(np.int32)
    colours, of_pixel = np.unique(small @ [1 << 16, 1 << 8, 1], return_inverse=True)
    rgb = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255], axis=-1).astype(np.uint8)
    of_pixel = of_pixel.reshape(small.shape[:2])
    total = np.bincount(of_pixel.ravel(), minlength=len(colours))
    inside = np.array([
        np.bincount(of_pixel[region[::STEP_PX, ::STEP_PX]], minlength=len(colours))
        for region in amodal
    ])  # fmt: skip
    overlap = inside / np.maximum(inside.sum(1, keepdims=True) + total - inside, 1)
    overlap[inside < LEAST_INSIDE * total] = 0
    overlap[:, ~_differs(rgb[None], BACKGROUND)[0]] = 0
    found: list[Region | None] = [None] * len(amodal)
    for person, colour in zip(*scipy.optimize.linear_sum_assignment(-overlap), strict=True):
        if overlap[person, colour] > 0:
            found[person] = amodal[person] & ~_differs(labels, rgb[colour])
    return found


def _differs(
    picture: Picture, colour: Sequence[int] | UInt8[np.ndarray, "3"]
) -> Bool[np.ndarray, "_h _w"]:
    """Where a picture has another colour."""
    wanted = np.asarray(colour, np.int16)
    return np.asarray(cv2.inRange(picture, wanted - NEAR, wanted + NEAR) == 0)
