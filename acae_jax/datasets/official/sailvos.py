"""SAIL-VOS: scenes of a video game's plot, with the poses that its makers give on request (Hu et
al., CVPR 2019).

The release gives no cameras. Each frame's is solved from some hundred points of everybody in it, in
3D and 2D, with the field of view as one unknown and the middle of the image as its centre; PosePile
solves one for each person. The origin of a sequence is its first camera, because the game's world
is kilometres wide. 2D points count from the corner of the image.

Each person is sampled for itself; in PosePile all people of a sequence suppress each other. The
mask that is kept is that of everybody, as in the recipe.
"""

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import images
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, placed, sampling
from acae_jax.files import numpy_files
from acae_jax.geometry import cameras

RELEASE = Release(
    name="sailvos",
    title="SAIL-VOS (with poses)",
    version="1.0.0",
    url="https://sailvos.web.illinois.edu",
    access="research; images by the page's script, poses from the authors on request",
    size="201 sequences, about 110 000 images of 3 MB",
    layout=("*/images/*.bmp", "*/*_Ped_*/*_2d.txt", "*/*_Ped_*/*_3d.txt", "*/visible/*.npy"),
    format="sailvos",
    quota=5,
    boxes=partial(person_boxes.detected, least_iou=0.1, most_area=2.0, from_given=True),
)
# For each joint, the points of which it is the mean.
JOINTS = (
    *((341, 8), (61,), (216, 234), (171,), (164, 309), (255, 39), (330,), (108,), (45, 294)),
    *((215, 131, 253), (295,), (144, 315), (147, 342, 27), (85,), (152,), (206, 128, 102)),
    *((307, 312), (130,), (11,), (167, 188, 191, 310), (194, 193, 236, 78)),
    *((227, 304, 58, 229), (37, 260, 195), (47, 148, 232), (323,), (160,)),
)
WIDTH_PX, HEIGHT_PX = 1280, 800
CENTRE_PX = ((WIDTH_PX - 1) / 2, (HEIGHT_PX - 1) / 2)
MM = 1000.0  # in a m
LEAST_JOINTS = 6
LEAST_SIDE_PX = 50.0  # of a person's mask, the shorter one
MOST_HIDDEN = 0.75
SPREAD_MM = (100.0, 3000.0)  # root mean square, of joints about their middle


class Points(NamedTuple):
    """The points of a person; NaN where one is missing."""

    px: Float[np.ndarray, "n 2"]
    mm: Float[np.ndarray, "n 3"]


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each sequence that has poses."""
    found = []
    for folder in sorted(path.parent for path in raw.glob("*/images")):
        if not (folder / "visible").is_dir():
            raise ValueError(f"sailvos: no {folder / 'visible'}; unpack all of {folder.name}")
        if next(folder.glob("*_Ped_*/*_3d.txt"), None) is not None:
            found.append(Unit(folder.name, "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a sequence in which somebody has moved."""
    folder = raw / unit.name
    named = {int(path.name.split("_")[0]): path for path in folder.glob("*_Ped_*")}
    folders = {str(identity): named[identity] for identity in sorted(named)}
    kept: dict[str, sampling.Kept] = {}
    origin_mm = None
    for path in sorted((folder / "images").glob("*.bmp")):
        index = int(path.stem)
        try:
            found = _read_people(folders, path.stem)
            moved = _moved(kept, found)
            if not moved:
                continue
            camera = _camera(found.values())
            numbers = np.asarray(numpy_files.matrix(folder / "visible" / f"{path.stem}.npy"))
            everybody = np.isin(numbers, list(named))
            people = []
            for identity, points in found.items():
                amodal = images.read(folders[identity] / f"{path.stem}.png")[..., 0] > 0
                modal = np.asarray(numbers == int(identity))
                person = _person(identity, points, modal, amodal)._replace(mask=everybody)
                people.append(person._replace(is_kept=person.is_kept and identity in moved))
        except (ValueError, OSError) as error:
            yield release.broken(error, unit.name, index)
            continue
        origin_mm = camera.position_mm if origin_mm is None else origin_mm
        near = camera._replace(position_mm=camera.position_mm - origin_mm)
        shown = tuple(person._replace(joints_mm=person.joints_mm - origin_mm) for person in people)
        yield Frame(partial(images.read, path), near, shown, unit.name, index, up=release.Z_UP)


def joints_of(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "26 d"]:
    """Each joint as the mean of those of its points that are there; NaN without any."""
    found = np.full((len(JOINTS), points.shape[1]), np.nan)
    for joint, numbers in enumerate(JOINTS):
        of_joint = points[list(numbers)]
        is_there = np.isfinite(of_joint).all(axis=-1)
        if is_there.any():
            found[joint] = of_joint[is_there].mean(axis=0)
    return found


def _read_people(folders: dict[str, Path], stem: str) -> dict[str, Points]:
    """The points of everybody in a frame."""
    found = {}
    for identity, folder in folders.items():
        if (folder / f"{stem}_3d.txt").exists():
            px, mm = (np.loadtxt(folder / f"{stem}_{kind}.txt", ndmin=2) for kind in ("2d", "3d"))
            if px.shape != (len(mm), 2) or mm.shape[1] != 3 or len(mm) <= max(map(max, JOINTS)):
                raise ValueError(f"{folder}: {stem} has points of {px.shape} and {mm.shape}")
            px, mm = (
                np.where(points.any(axis=-1, keepdims=True), points, np.nan) for points in (px, mm)
            )
            found[identity] = Points(px - 0.5, mm * MM)
    return found


def _moved(kept: dict[str, sampling.Kept], found: dict[str, Points]) -> set[str]:
    """Who has moved since it was kept; `kept` is brought up to date."""
    moved = set()
    for identity, points in found.items():
        before, joints_mm = kept.get(identity), joints_of(points.mm)
        kept[identity], is_kept = sampling.step(sampling.COMMON, before, joints_mm)
        if is_kept:
            moved.add(identity)
    return moved


def _camera(people: Collection[Points]) -> cameras.Camera:
    return placed.camera_of_unknown_focal_length(
        np.concatenate([points.mm for points in people]),
        np.concatenate([points.px for points in people]),
        WIDTH_PX,
        HEIGHT_PX,
        CENTRE_PX,
    )


def _person(
    identity: str,
    points: Points,
    modal: Bool[np.ndarray, "h w"],
    amodal: Bool[np.ndarray, "h w"],
) -> Person:
    """A person with the box of its visible part; not kept if too little is seen or plausible."""
    joints_mm = joints_of(points.mm)
    labelled_mm = joints_mm[np.isfinite(joints_mm).all(axis=-1)]
    box = person_boxes.of_mask(modal)
    is_usable = (
        box is not None
        and box[2:].min() > LEAST_SIDE_PX
        and 1 - modal.sum() / max(amodal.sum(), 1) <= MOST_HIDDEN
        and len(labelled_mm) >= LEAST_JOINTS
        and SPREAD_MM[0] < np.sqrt(labelled_mm.var(axis=0).sum()) < SPREAD_MM[1]
    )
    return Person(identity, joints_mm, joints_of(points.px), box, is_kept=bool(is_usable))
