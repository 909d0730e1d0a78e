"""Human3.6M: one person among four cameras in a studio (Ionescu et al., TPAMI 2014).

The lens is that of `readers.imar`, not quite OpenCV's.

In three activities of S9 all labels are 200 mm off along x. They are moved back, with the box; the
common evaluation, which is relative to the root, is the same with and without.

Training frames are every 5th whose pose has moved by 100 mm; test frames every 64th.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import cdf, imar, mat, videos
from acae_jax.datasets.release import Frame, Person, Published, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import boxes, cameras

RELEASE = Release(
    name="h36m",
    title="Human3.6M",
    version="1.0.0",
    url="http://vision.imar.ro/human3.6m",
    access="academic use; register there for a login",
    size="about 100 GB of videos",
    layout=(
        "S*/Videos/*.mp4",
        "S*/**/ground_truth_bb/*.mat",
        "S*/MyPoseFeatures/D3_Positions/*.cdf",
        "Release-v1.2/metadata.xml",
    ),
    format="h36m",
    quota=4,
    boxes=person_boxes.given,
    published=Published(173_252, ("train", "test")),
)
SPLITS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
STEPS = {"train": 5, "test": 64}
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
JOINTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 17, 18, 19, 21, 22, 25, 26, 27, 29, 30, 0)
SHIFTED = {"S9": ("SittingDown 1", "Waiting 1", "Greeting")}
SHIFT_MM = np.array([200.0, 0, 0])
METADATA = "Release-v1.2/metadata.xml"


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video of an activity."""
    read_cameras(raw / METADATA)
    found = []
    for split, subjects in SPLITS.items():
        for subject in subjects:
            for video in sorted((raw / f"S{subject}" / "Videos").glob("*.mp4")):
                if "_" not in video.stem:  # all activities in one, a second time
                    found.append(Unit(f"S{subject}/{video.stem}", split))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video."""
    subject, stem = unit.name.split("/")
    activity, camera_name = stem.rsplit(".", 1)
    camera = read_cameras(raw / METADATA)[camera_name, int(subject[1:])]
    features = raw / subject / "MyPoseFeatures"
    joints_mm = _joints(features / "D3_Positions" / f"{activity}.cdf", 3)
    labels_px = None
    if (path := features / "D2_Positions" / f"{stem}.cdf").exists():
        labels_px = _joints(path, 2)
    chosen = np.arange(0, len(joints_mm), STEPS[unit.split])
    if unit.split == "train":
        chosen = chosen[sampling.sample(sampling.PLAIN, joints_mm[chosen])]
    is_shifted = activity in SHIFTED.get(subject, ())
    masks = _box_masks(raw / subject, stem, chosen.tolist())
    for (index, image), mask in zip(
        videos.chosen(raw / subject / "Videos" / f"{stem}.mp4", chosen.tolist()), masks, strict=True
    ):
        person = Person(
            subject,
            joints_mm[index],
            None if labels_px is None else labels_px[index],
            person_boxes.of_mask(mask),
        )
        if is_shifted:
            person = _moved_back(person, camera)
        clip = f"{subject}/{activity}"
        yield Frame(image, camera, (person,), clip, index, camera_name, release.Z_UP)


def read_cameras(path: Path) -> dict[tuple[str, int], cameras.Camera]:
    """The cameras by name and subject; ValueError if the file is not that of version 1.2."""
    text = path.read_text(encoding="utf-8")
    match = re.search(r"<w0>\s*\[([^\]]*)\]", text)
    numbers = [] if match is None else [float(word) for word in match[1].split()]
    if len(numbers) != 300:
        raise ValueError(
            f"{path} has {len(numbers)} numbers in w0, not 300; it must be the one of code-v1.2.zip"
        )
    placed = np.array(numbers[:264]).reshape(4, 11, 6)
    lenses = np.array(numbers[264:]).reshape(4, 9)
    return {
        (name, subject + 1): _camera(lenses[index], *np.split(placed[index, subject], 2))
        for index, name in enumerate(CAMERAS)
        for subject in range(11)
    }


def _camera(
    lens: Float[np.ndarray, "9"],
    angles: Float[np.ndarray, "3"],
    position_mm: Float[np.ndarray, "3"],
) -> cameras.Camera:
    fx, fy, cx, cy = lens[:4]
    (sx, sy, sz), (cosx, cosy, cosz) = np.sin(angles), np.cos(angles)
    about_x = np.array([[1, 0, 0], [0, cosx, -sx], [0, sx, cosx]])
    about_y = np.array([[cosy, 0, sy], [0, 1, 0], [-sy, 0, cosy]])
    about_z = np.array([[cosz, -sz, 0], [sz, cosz, 0], [0, 0, 1]])
    return cameras.create(
        np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
        about_x @ about_y @ about_z,
        position_mm,
        imar.distortion(lens[4:7], lens[7:]),
    )


def _joints(path: Path, axes: int) -> Float[np.ndarray, "f 25 d"]:
    values = cdf.variable(path, "Pose")
    return values.reshape(-1, 32, axes)[:, list(JOINTS)].astype(np.float64)


def _box_masks(folder: Path, stem: str, chosen: Iterable[int]) -> Iterator[np.ndarray]:
    """Images of the box of some frames."""
    path = next(folder.glob(f"**/ground_truth_bb/{stem}.mat"), None)
    if path is None:
        raise ValueError(f"{folder} has no ground_truth_bb/{stem}.mat")
    yield from mat.cells(path, "Masks", indices=chosen)


def _moved_back(person: Person, camera: cameras.Camera) -> Person:
    """A person whose labels are SHIFT_MM off, where it is. The 2D labels are as wrong: none."""
    right_mm = person.joints_mm - SHIFT_MM
    box = person.box
    if box is not None:
        wrong, right = (
            boxes.of_points(cameras.project(camera, mm)) for mm in (person.joints_mm, right_mm)
        )
        centre = boxes.centre(box) + boxes.centre(right) - boxes.centre(wrong)
        box = boxes.of_centre(centre, box[2:])
    return person._replace(joints_mm=right_mm, joints_px=None, box=box)
