"""A small recording for tests: stick figures that walk past a camera, in two skeletons."""

import numpy as np

from acae_jax.bundles.facts import Selection
from acae_jax.geometry import cameras
from acae_jax.recordings.results import Sequence

# Millimetres from the pelvis, y down, of a person who walks along x.
BODY = {
    "pelv": (0, 0, 0), "neck": (0, -500, 0), "head": (50, -700, 0),
    "lsho": (0, -450, -200), "lwri": (100, 0, -250), "lkne": (50, 450, -100),
    "lank": (0, 900, -100), "rsho": (0, -450, 200), "rwri": (100, 0, 250),
    "rkne": (50, 450, 100), "rank": (0, 900, 100),
}  # fmt: skip
NAMES = tuple(BODY)
BONES = (
    "head neck", "neck pelv", "neck lsho", "neck rsho", "lsho lwri", "rsho rwri", "pelv lkne",
    "pelv rkne", "lkne lank", "rkne rank",
)  # fmt: skip
EDGES = tuple((NAMES.index(a), NAMES.index(b)) for a, b in map(str.split, BONES))
LEGS = Selection((6, 5, 0, 9, 10), ("l1", "l2", "middle", "r2", "r1"), ((0, 1), (1, 2), (2, 3)))
CAMERA = cameras.create(cameras.field_of_view(np.radians(60), 1280, 720))


def sequence(people: int = 2, frames: int = 40) -> Sequence:
    """People 0, 1, … from the left to the right, each a metre behind the one before."""
    rng = np.random.default_rng(0)
    frame, track = np.meshgrid(np.arange(frames), np.arange(people), indexing="ij")
    frame, track = frame.ravel().astype(np.int32), track.ravel().astype(np.int32)
    place = np.stack([-900 + 30 * frame, 100 + 0 * frame, 3200 + 1000 * track], -1)[:, None]
    body = np.array(list(BODY.values()))
    swing = 250 * np.sin(0.4 * frame[:, None] + track[:, None]) * np.sign(body[:, 2])
    poses = place + body + np.stack([swing, 0 * swing, 0 * swing], -1)
    poses = (poses + rng.normal(0, 3, poses.shape)).astype(np.float32)
    return Sequence(
        joint_names=NAMES,
        edges=EDGES,
        fps=25.0,
        frame_count=frames,
        frame=frame,
        time_s=frame / 25,
        track=track,
        boxes=np.zeros((len(frame), 5), np.float32),
        poses_mm=poses,
        poses_px=cameras.project(CAMERA, poses),
        uncertainty_mm=rng.uniform(10, 90, poses.shape[:2]).astype(np.float32),
        skeletons={
            "all": Selection(tuple(range(len(NAMES))), NAMES, EDGES),
            "legs": LEGS,
        },
    )


def chosen(given: Sequence, rows: np.ndarray) -> Sequence:
    """Only some of the entries."""
    names = ("frame", "time_s", "track", "boxes", "poses_mm", "poses_px", "uncertainty_mm")
    return given._replace(**{name: getattr(given, name)[rows] for name in names})


def pictures(count: int) -> list[np.ndarray]:
    """RGB images as large as the camera's, grey, each darker than the one before."""
    return [np.full((720, 1280, 3), 200 - 10 * i, np.uint8) for i in range(count)]
