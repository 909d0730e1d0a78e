"""MuCo-3DHP: four people of MPI-INF-3DHP in one image (Mehta et al., 3DV 2018).

The composites are those that the release's MATLAB scripts make without augmentation; the scripts
leave the frames and masks of MPI-INF-3DHP as image files, which are needed, too. An image shows
its people front to back in the order in which the scripts pasted them: by universal depth.

The scripts take a row of labels for a file of the same number. Rows count from 0 and ffmpeg's files
from 1, so their own labels are a frame late; here each file has the row of its frame. If the files
count from 0, they are right as they are. The world is that of the cameras; the public code has a
wrong sign there. Crops turn to the person as in the other datasets, which they do not in that code.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from jaxtyping import Bool, Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import images, mat, mpi_inf_3dhp
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes
from acae_jax.geometry import boxes, cameras

RELEASE = Release(
    name="muco_3dhp",
    title="MuCo-3DHP",
    version="1.0.0",
    url="https://vcai.mpi-inf.mpg.de/projects/SingleShotMultiPerson",
    access="non-commercial research; MATLAB scripts that work on MPI-INF-3DHP, both public",
    size="about 100 GB of composites, and the frames of MPI-INF-3DHP",
    layout=(
        "unaugmented_set_001/*.jpg",
        "sampled_dataset_info.mat",
        "S*/Seq*/FGmasks/img_*.jpg",
        "S*/Seq*/ChairMasks/img_*.jpg",
        "S*/Seq*/annot.mat",
        "S*/Seq*/camera.calibration",
    ),
    format="muco_3dhp",
    quota=6,
    boxes=partial(person_boxes.detected, least_iou=0.1, most_area=2.0, from_given=True),
)
FOLDER, INFO = "unaugmented_set_001", "sampled_dataset_info.mat"
PEOPLE = 4
COMPOSITES = 1000  # of a unit, which reads all labels once
END = 200000  # of the composites that are taken
LEAST_RED = 100  # of a person in masks of the foreground; less is a chair in those of chairs
PELVIS = 14  # of the joints that sampled_dataset_info.mat has


class Origin(NamedTuple):
    """Where a person of a composite comes from; `number` is that of the files."""

    sequence: str
    camera: int
    number: int


def units(raw: Path) -> tuple[Unit, ...]:
    """One for some composites after another."""
    numbers = [int(path.stem) for path in (raw / FOLDER).glob("[0-9]*.jpg")]
    numbers = [number for number in numbers if number < END]
    for sequence in mpi_inf_3dhp.FRAME_COUNTS:
        for name in ("annot.mat", "camera.calibration"):
            if not (raw / sequence / name).exists():
                raise ValueError(f"muco_3dhp: no {raw / sequence / name}; it needs all of 3DHP")
    count = mat.cell_count(raw / INFO, "composite_info") // PEOPLE
    if max(numbers, default=0) > count:
        raise ValueError(
            f"muco_3dhp: {raw / INFO} knows {count} composites, not number {max(numbers)}; it is "
            "not the one that they were made with"
        )
    starts = sorted({(number - 1) // COMPOSITES * COMPOSITES + 1 for number in numbers})
    return tuple(Unit(f"{FOLDER}/{start:06d}", "train") for start in starts)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The composites of a unit."""
    start = int(unit.name.rsplit("/", 1)[1])
    numbers = [
        number
        for number in range(start, min(start + COMPOSITES, END))
        if (raw / FOLDER / f"{number:06d}.jpg").exists()
    ]
    composites = list(read_origins(raw / INFO, numbers))
    labels = _labels(raw, {origin for origins in composites for origin in origins})
    known = {
        sequence: mpi_inf_3dhp.read_cameras(raw / sequence / "camera.calibration")
        for sequence in {origins[0].sequence for origins in composites}
    }
    for number, origins in zip(numbers, composites, strict=True):
        camera, _ = known[origins[0].sequence][origins[0].camera]
        read = partial(images.read, raw / FOLDER / f"{number:06d}.jpg")
        try:
            people = _people(raw, camera, origins, labels)
        except (ValueError, OSError, LookupError) as error:
            people, read = (), partial(_fail, error)  # so that it is named and counted
        yield Frame(
            read, camera, people, FOLDER, number, str(origins[0].camera), release.Y_UP
        )  # fmt: skip


def read_origins(path: Path, numbers: Sequence[int]) -> Iterator[list[Origin]]:
    """The people of composites, which are numbered from 1: the front one first."""
    count = mat.cell_count(path, "composite_info") // PEOPLE
    indices = [number - 1 + count * person for number in numbers for person in range(PEOPLE)]
    cells = mat.cells(path, "composite_info", indices=indices)
    for _ in numbers:
        found = []
        for _ in range(PEOPLE):
            (row, _, _, universal_mm, *_) = next(cells)
            subject, sequence, camera, number = (int(value) for value in row.ravel())
            origin = Origin(f"S{subject}/Seq{sequence}", camera, number)
            found.append((float(universal_mm[2, PELVIS]), origin))
        yield [origin for _, origin in sorted(found, key=lambda one: one[0])]


def _labels(
    raw: Path, origins: set[Origin]
) -> dict[Origin, tuple[Float[np.ndarray, "28 3"], Float[np.ndarray, "28 2"]]]:
    """The joints of people, mm of the camera and px; one sequence after another is read."""
    found = {}
    for sequence in sorted({origin.sequence for origin in origins}):
        wanted = [origin for origin in origins if origin.sequence == sequence]
        numbers = sorted({origin.camera for origin in wanted})
        both = zip(
            numbers,
            mpi_inf_3dhp.labels(raw, sequence, "annot3", numbers),
            mpi_inf_3dhp.labels(raw, sequence, "annot2", numbers),
            strict=True,
        )
        for number, in_camera_mm, labels_px in both:
            first = 0 if _file(raw, Origin(sequence, number, 0), "FGmasks").exists() else 1
            for origin in wanted:
                row = origin.number - first
                if origin.camera == number and 0 <= row < len(labels_px):
                    found[origin] = in_camera_mm[row].copy(), labels_px[row].copy()
    return found


def _people(
    raw: Path, camera: cameras.Camera, origins: Sequence[Origin], labels: dict
) -> tuple[Person, ...]:
    """The people of a composite; the mask of each is that of all people and chairs."""
    size: tuple[int, ...] = ()
    found, nearer = [], np.zeros((1, 1), bool)
    for number, origin in enumerate(origins):
        if origin not in labels:
            raise ValueError(f"{origin.sequence} has no labels of file {origin.number}")
        in_camera_mm, labels_px = labels[origin]
        foreground = images.read(_file(raw, origin, "FGmasks"))[..., 0] > LEAST_RED
        chairs = images.read(_file(raw, origin, "ChairMasks"))[..., 0] < LEAST_RED
        size = size or foreground.shape
        if foreground.shape != size or chairs.shape != size:
            raise ValueError(f"the masks of {origin.sequence} have another size than others")
        box = _visible_box(foreground, labels_px, nearer)
        joints_mm = cameras.camera_to_world(camera, in_camera_mm)
        found.append(Person(str(number), joints_mm, labels_px, box))
        nearer = nearer | foreground | chairs
    return tuple(person._replace(mask=nearer) for person in found)


def _visible_box(
    foreground: Bool[np.ndarray, "h w"],
    labels_px: Float[np.ndarray, "28 2"],
    nearer: Bool[np.ndarray, "_h _w"],
) -> Float[np.ndarray, "4"] | None:
    """The box of what others do not hide of a person; None if that is nothing."""
    part = person_boxes.part_of_mask(foreground, person_boxes.joints_box(labels_px))
    box = person_boxes.of_mask(part & ~nearer)
    if box is None:
        return None
    box = boxes.intersect(box, person_boxes.joints_box(labels_px, 1.3))
    _, top, _, height = person_boxes.joints_box(labels_px, 1.05)
    return boxes.intersect(box, np.array([box[0], top, box[2], height]))


def _file(raw: Path, origin: Origin, folder: str) -> Path:
    return raw / origin.sequence / folder / f"img_{origin.camera}_{origin.number:06d}.jpg"


def _fail(error: Exception) -> NoReturn:
    raise error
