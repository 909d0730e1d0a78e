"""Records of people of known bones: a posture of the 25 joints of h36m, turned and moved."""

from collections.abc import Callable, Sequence

import cv2
import miniature
import numpy as np

from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets import release
from acae_jax.datasets.checking.looked_at import Dataset
from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.release import Release
from acae_jax.datasets.steps import person_boxes
from acae_jax.images import masks

# x to the left, y up, z forwards, mm; the right side is the mirror image.
MIDDLE = {
    "pelv": (0, 900, 0), "spin": (0, 1150, 0), "neck": (0, 1400, 0), "head": (0, 1500, 50),
    "htop": (0, 1650, 0),
}  # fmt: skip
LEFT = {
    "hip": (100, 900, 0), "kne": (100, 500, 150), "ank": (100, 100, 0), "foo": (100, 40, 100),
    "toe": (100, 30, 160), "sho": (180, 1400, 0), "elb": (180, 1120, 0), "wri": (180, 880, 50),
    "thu": (150, 800, 60), "fin": (200, 780, 60),
}  # fmt: skip
THIGH_MM, UPPER_ARM_MM, HEIGHT_M = 427.2, 280.0, 1.676
CAMERAS = dict(zip(("left", "right"), miniature.ring(2, up="y", lens=(0, 0, 0, 0)), strict=True))
RELEASE = Release(
    name="known",
    title="Known <people>",
    version="1.0.0",
    url="https://known.example",
    access="free",
    size="1 MB",
    layout=("*",),
    format="h36m",
    quota=1,
    boxes=person_boxes.given,
)
NAMES = release.joint_names(RELEASE)


def posture_mm() -> np.ndarray:
    """The joints of a person of HEIGHT_M."""
    sided = {
        side + part: np.array(place) * (sign, 1, 1)
        for part, place in LEFT.items()
        for side, sign in (("l", 1), ("r", -1))
    }
    places = {**MIDDLE, **sided}
    return np.array([places[name] for name in NAMES], float)


def people_mm(count: int, scale: float, seed: int) -> np.ndarray:
    """A person's joints in some frames: turned about the vertical, and moved."""
    rng = np.random.default_rng(seed)
    found = []
    for angle in rng.uniform(0, 2 * np.pi, count):
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        found.append(scale * posture_mm() @ turn.T + rng.uniform(-200, 200, 3) * (1, 0, 1))
    return np.array(found)


def record(
    joints_mm: np.ndarray, person: str, camera: str, index: int, has_mask: bool = True
) -> CropRecord:
    """A record whose image has a green mark at joint 0."""
    seen_by = CAMERAS[camera]
    picture = miniature.picture(seen_by, [joints_mm])
    _, encoded = cv2.imencode(".jpg", picture[..., ::-1])
    shown = masks.encode(miniature.mask(seen_by, joints_mm)) if has_mask else np.zeros(0)
    return CropRecord(
        image=encoded.tobytes(),
        intrinsics=seen_by.intrinsics.astype(np.float32),
        rotation=seen_by.rotation.astype(np.float32),
        position_mm=seen_by.position_mm.astype(np.float32),
        joints_mm=joints_mm.astype(np.float32),
        joints_px=np.zeros((0, 2), np.float32),
        box=miniature.box(seen_by, joints_mm, 1.05).astype(np.float32),
        mask_rle=shown.astype(np.uint32),
        format="h36m",
        key=f"known/{person}/{camera}/{index:06d}",
        clip=f"{person}/walk",
        frame=index,
        person=person,
        camera=camera,
    )


def records(scales: dict[str, float], count: int = 8, mask_every: int = 1) -> list[CropRecord]:
    """`count` records of each person, seen by both cameras in turn."""
    found = []
    for seed, (person, scale) in enumerate(scales.items()):
        for index, joints_mm in enumerate(people_mm(count, scale, seed)):
            camera = list(CAMERAS)[index % 2]
            found.append(record(joints_mm, person, camera, index, index % mask_every == 0))
    return found


def dataset(splits: dict[str, Sequence[CropRecord]], folder, **changes) -> Dataset:
    """A dataset of records in memory, of one unit for each split; `changes` are of its report."""
    units = [
        {
            "unit": f"unit of {split}",
            "split": split,
            "records": len(some),
            "broken": [],
            "reprojection_error_px": 0.25,
        }
        for split, some in splits.items()
    ]
    total = {
        "frames": 50,
        "records": sum(map(len, splits.values())),
        "left_out": {},
        "worst_reprojection_px": 0.25,
    }
    report = {"total": total, "units": units, **changes}
    return Dataset(RELEASE, folder, report, dict(splits))


def changed(
    some: Sequence[CropRecord], change: Callable[[np.ndarray], np.ndarray]
) -> list[CropRecord]:
    """The records with other 3D labels, as a builder would give them that reads them wrong."""
    return [one._replace(joints_mm=change(one.joints_mm).astype(np.float32)) for one in some]


def in_2d(one: CropRecord) -> CropRecord:
    """The record as that of a 2D dataset."""
    points_px = projected_px(CAMERAS[one.camera], one.joints_mm)
    return one._replace(
        joints_mm=np.zeros((0, 3), np.float32), joints_px=points_px.astype(np.float32)
    )
