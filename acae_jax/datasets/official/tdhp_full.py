"""MPI-INF-3DHP: one person among 14 cameras in a green studio (Mehta et al., 3DV 2017).

The test set, six sequences of one camera each, has 17 of the 28 joints. Two of them were taken
outdoors; their light is not corrected. Where each test camera stands is in the release's files.
Its intrinsics are those by which the release's own 3D labels project onto its 2D labels: for TS2
they are 6 px from the ones in the file, and for TS5 and TS6 the public code has a wrong centre.
TS5's and TS6's 2D labels leave out the lens, so they check nothing here.

The public code leaves left and right swapped in a part of S4/Seq2 (`readers.mpi_inf_3dhp`).
"""

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import images, mat, mpi_inf_3dhp, videos
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, placed, sampling
from acae_jax.datasets.steps.stored_crop import Cropping, Light
from acae_jax.geometry import cameras

RELEASE = Release(
    name="tdhp_full",
    title="MPI-INF-3DHP",
    version="1.0.0",
    url="https://vcai.mpi-inf.mpg.de/3dhp-dataset",
    access="non-commercial research; public, by get_dataset.sh and get_testset.sh",
    size="about 300 GB of videos for 14 cameras",
    layout=(
        "S*/Seq*/imageSequence/video_*.avi",
        "S*/Seq*/annot.mat",
        "S*/Seq*/camera.calibration",
    ),
    format="tdhp_full",
    quota=3,
    boxes=partial(person_boxes.joined_with_detection, factor=1.05, least_iou=0.5, by_score=True),
    cropping=Cropping(light=Light(gamma=0.67, grey_a=110.0, grey_b=145.0)),
)
LEAST_JOINTS = 9  # in the image
LEAST_RED = 32  # of a person in masks of the foreground
SHORT = {"S6/Seq2/2": 3911}  # frames of a video that ends early
OUTDOORS = ("TS5", "TS6")
TEST_JOINTS = (
    "htop", "neck", "rsho", "relb", "rwri", "lsho", "lelb", "lwri", "rhip", "rkne", "rank",
    "lhip", "lkne", "lank", "pelv", "spin", "head",
)  # fmt: skip


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video, and for each test sequence if they are there."""
    found = []
    for video in sorted(raw.glob("S[1-8]/Seq[12]/imageSequence/video_*.avi")):
        folder = video.parent.parent
        if not (folder / "annot.mat").exists():
            raise ValueError(f"tdhp_full: no {folder / 'annot.mat'}; get the sequence anew")
        sequence, number = str(folder.relative_to(raw)), video.stem.removeprefix("video_")
        if int(number) not in mpi_inf_3dhp.read_cameras(folder / "camera.calibration"):
            raise ValueError(f"tdhp_full: {folder / 'camera.calibration'} has no camera {number}")
        found.append(Unit(f"{sequence}/{number}", "train"))
    for path in sorted(_test_set(raw).glob("TS[1-6]/annot_data.mat")):
        read_test_camera(_calibration(_test_set(raw), path.parent.name))
        found.append(Unit(path.parent.name, "test"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video in which the person has moved and is seen; all valid ones of a test."""
    return _of_test(_test_set(raw), unit) if unit.split == "test" else _of_training(raw, unit)


def _of_training(raw: Path, unit: Unit) -> Iterator[Frame]:
    sequence, number = unit.name.rsplit("/", 1)
    camera, size_px = mpi_inf_3dhp.read_cameras(raw / sequence / "camera.calibration")[int(number)]
    in_camera_mm, labels_px = (
        next(mpi_inf_3dhp.labels(raw, sequence, variable, [int(number)]))
        for variable in ("annot3", "annot2")
    )
    joints_mm = cameras.camera_to_world(camera, in_camera_mm)[: SHORT.get(unit.name)]
    is_seen = ((labels_px >= 0) & (labels_px < size_px)).all(axis=-1).sum(axis=1) >= LEAST_JOINTS
    is_chosen = sampling.sample(sampling.PLAIN, joints_mm) & is_seen[: len(joints_mm)]
    chosen = np.flatnonzero(is_chosen).tolist()
    path = raw / sequence / "imageSequence" / f"video_{number}.avi"
    shown = _masks(raw / sequence / "FGmasks" / path.name, chosen)
    person, _ = sequence.split("/")
    for (index, image), mask in zip(videos.chosen(path, chosen), shown, strict=True):
        if mask is not None:
            mask = person_boxes.part_of_mask(mask, person_boxes.joints_box(labels_px[index]))
        people = (Person(person, joints_mm[index], labels_px[index], mask=mask),)
        yield Frame(image, camera, people, sequence, index, number, release.Y_UP)


def _masks(path: Path, chosen: list[int]) -> Iterator[Bool[np.ndarray, "h w"] | None]:
    """Which pixels are not green, by frame; None without the video of masks."""
    if not path.exists():
        yield from repeat(None, len(chosen))
        return
    for _, image in videos.chosen(path, chosen):
        yield image[..., 0] > LEAST_RED


def _of_test(folder: Path, unit: Unit) -> Iterator[Frame]:
    labels = mat.read(folder / unit.name / "annot_data.mat")
    in_camera_mm = labels["annot3"].T.reshape(-1, 17, 3).astype(np.float64)
    labels_px = labels["annot2"].T.reshape(-1, 17, 2).astype(np.float64)
    chosen = np.flatnonzero(labels["valid_frame"])
    fitted = placed.intrinsics(
        in_camera_mm[chosen].reshape(-1, 3), labels_px[chosen].reshape(-1, 2)
    )
    camera = read_test_camera(_calibration(folder, unit.name))._replace(intrinsics=fitted)
    is_outdoors = unit.name in OUTDOORS
    for index in chosen.tolist():
        path = folder / unit.name / "imageSequence" / f"img_{index + 1:06d}.jpg"
        joints_mm = _of_28(cameras.camera_to_world(camera, in_camera_mm[index]))
        person = Person(unit.name, joints_mm, None if is_outdoors else _of_28(labels_px[index]))
        cropping = Cropping() if is_outdoors else None
        yield Frame(
            partial(images.read, path), camera, (person,), unit.name, index, "", release.Y_UP,
            cropping,
        )  # fmt: skip


def _calibration(folder: Path, sequence: str) -> Path:
    name = "ts5-6cameras.calib" if sequence in OUTDOORS else "ts1-4cameras.calib"
    path = folder / "test_util/camera_calibration" / name
    if not path.exists():
        raise ValueError(f"tdhp_full: no {path}; put test_util beside the test sequences")
    return path


def read_test_camera(path: Path) -> cameras.Camera:
    """Where the camera of a test sequence stands, and its lens; its intrinsics are not set."""
    lines = (line.split("#")[0].split() for line in path.read_text(encoding="utf-8").splitlines())
    values = {line[0]: line[1:] for line in lines if line}
    try:
        right, up, origin_mm, lens = (
            np.array(values[name], float) for name in ("right", "up", "origin", "distortion")
        )
        rotation = np.stack([right, -up, np.cross(right, -up)])
        return cameras.create(np.eye(3), rotation, origin_mm, lens)
    except (LookupError, ValueError) as error:
        raise ValueError(f"{path} is no calibration of a test camera: {error}") from None


def _of_28(values: Float[np.ndarray, "17 d"]) -> Float[np.ndarray, "28 d"]:
    """The values of the 17 joints of the test set among the 28; NaN for the others."""
    names = release.joint_names(RELEASE)
    result = np.full((len(names), values.shape[1]), np.nan)
    result[[names.index(name) for name in TEST_JOINTS]] = values
    return result


def _test_set(raw: Path) -> Path:
    """Where the test sequences are: in a folder of their own, as get_testset.sh leaves them, or
    beside the others."""
    own = raw / "mpi_inf_3dhp_test_set"
    return own if own.is_dir() else raw
