"""SPEC-SYN: rendered people before panoramas, from extreme cameras (Kocabas et al., ICCV 2021).

The release gives pose and shape of the neutral SMPL and where the joints are in the image, but not
where people stand. That follows from both, with the release's intrinsics: its 2D labels are of
SMPL's own joints. People who cannot be placed so are left out, by name.

A person may be larger or smaller than its SMPL. Its size is that of the release's other 3D joints;
of the twelve that PosePile compares, the hips are left out, which usually are not SMPL's in `S`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import body_model, images
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, placed
from acae_jax.datasets.steps.stored_crop import Cropping
from acae_jax.files import numpy_files
from acae_jax.geometry import cameras

RELEASE = Release(
    name="spec",
    title="SPEC-SYN",
    version="1.0.0",
    url="https://spec.is.tue.mpg.de",
    access="MPI's licence for non-commercial research; register there",
    size="some ten thousand images of 1920 x 1080 px",
    layout=("spec-syn/annotations/train.npz", "spec-syn/annotations/test.npz"),
    format="spec",
    quota=2,
    boxes=partial(
        person_boxes.large_enough,
        rule=partial(person_boxes.detected, factor=1.15, least_iou=0.3),
        least_side_px=100.0,
    ),
    cropping=Cropping(ends_with_image=False),
)
SPLITS = ("train", "test")
UNIT_IMAGES = 1000
# Neck, right and left arm, pelvis, right and left leg.
IN_SMPL = [12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7]
IN_OPENPOSE = list(range(1, 15))
# Right ankle and knee, left knee and ankle, right arm from the wrist, left arm from the shoulder.
SIZED_IN_SMPL = [8, 5, 4, 7, 21, 19, 17, 16, 18, 20]
SIZED_IN_LSP = [0, 1, 4, 5, *range(6, 12)]
LIMIT_BYTES = 4 << 30
MM = 1000.0
# Each person has at least so many numbers.
COLUMNS = {
    "pose": (72,), "shape": (10,), "openpose_gt": (25, 2), "cam_rotmat": (3, 3),
    "cam_int": (3, 3), "S": (12, 3),
}  # fmt: skip


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each UNIT_IMAGES images of a split."""
    body_model.find(raw / "body_models", "smpl", "neutral")
    found = []
    for split in SPLITS:
        names = np.unique(_people(raw, split)[0]).tolist()
        for first in (raw / "spec-syn" / name for name in names[:1]):
            if not first.exists():
                raise ValueError(f"spec: no {first}; unpack the images beside annotations/")
        parts = -(-len(names) // UNIT_IMAGES)
        found += [Unit(f"{split}/{part}", split) for part in range(parts)]
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The images of a part, by name."""
    split, part = unit.name.split("/")
    names, columns = _people(raw, split)
    model = body_model.read(body_model.find(raw / "body_models", "smpl", "neutral"))
    start = int(part) * UNIT_IMAGES
    for name in np.unique(names)[start : start + UNIT_IMAGES].tolist():
        clip = name.rpartition(".")[0]
        rows = np.flatnonzero(names == name)
        own = {column: values[rows].astype(float) for column, values in columns.items()}
        rotation = own["cam_rotmat"][0]
        camera = cameras.create(own["cam_int"][0], rotation)
        pose, origin = own["pose"].reshape(-1, 24, 3), np.zeros((1, 3))
        people = []
        for number, joints_m in enumerate(body_model.joints_m(model, pose, own["shape"], origin)):
            labels_px = _labels_px(own["openpose_gt"][number])
            try:
                in_camera = _in_camera(joints_m, labels_px, camera.intrinsics)
            except ValueError as error:
                yield release.broken(error, f"{clip}/{number}", 0)
                continue
            in_camera *= _radius(own["S"][number, SIZED_IN_LSP, :3])
            in_camera /= _radius(joints_m[SIZED_IN_SMPL])
            people.append(Person(str(number), in_camera @ rotation, labels_px))
        read = partial(images.read, raw / "spec-syn" / name)
        if people:
            yield Frame(read, camera, tuple(people), clip, 0, "", release.Y_DOWN)


def _people(raw: Path, split: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The image of each person of a split, and the other columns."""
    path = raw / "spec-syn/annotations" / f"{split}.npz"
    try:
        names, *values = numpy_files.arrays(path, ["imgname", *COLUMNS], LIMIT_BYTES)
    except ValueError as error:
        raise ValueError(f"spec: {path}: {error}") from error
    for (column, shape), found in zip(COLUMNS.items(), values, strict=True):
        if found.ndim != 1 + len(shape) or np.less(found.shape, (len(names), *shape)).any():
            raise ValueError(f"spec: {column} of {path} is of {found.shape[1:]}, not of {shape}")
    return names.astype(str), dict(zip(COLUMNS, values, strict=True))


def _labels_px(openpose: Float[np.ndarray, "25 _"]) -> Float[np.ndarray, "24 2"]:
    """The labels of SMPL's joints; NaN for those without, and where the score is 0."""
    found = np.full((24, 2), np.nan)
    points = openpose[IN_OPENPOSE]
    is_seen = (points[:, 2:] > 0).all(1, keepdims=True)
    found[IN_SMPL] = np.where(is_seen, points[:, :2], np.nan)
    return found


def _in_camera(
    joints_m: Float[np.ndarray, "24 3"],
    labels_px: Float[np.ndarray, "24 2"],
    intrinsics: Float[np.ndarray, "3 3"],
) -> Float[np.ndarray, "24 3"]:
    """The joints of a person where the labels see them, mm."""
    camera = placed.camera_at(MM * joints_m, labels_px, intrinsics)
    return cameras.world_to_camera(camera, MM * joints_m)


def _radius(points: Float[np.ndarray, "n 3"]) -> float:
    """How large a set of points is: the root of the mean squared distance from its middle."""
    return float(np.sqrt(((points - points.mean(0)) ** 2).sum(-1).mean()))
