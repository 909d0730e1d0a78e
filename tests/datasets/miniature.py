"""What tests of builders make tiny official releases of: people, cameras, pictures, videos.

A test of a builder has three parts:

1.  `write_release(raw)` writes one: people from `people_mm` in the unit and axes of the dataset,
    cameras from `ring`, pictures by `picture` and `write_video` (or cv2.imwrite), and the files of
    labels in the official form. Keep it tiny: two or three units, a dozen frames, images of 320 ×
    240. Where the builder would refuse so small a release, `shrink(patch)` changes its numbers. The
    fixture `raw` does both.
2.  `frames(module, raw)` and compare: `assert_joints` (0.5 mm), `assert_same_camera` (0.1 px),
    which frames and people there are, boxes, splits, ids.
3.  `build(module, raw, out)` and look at the records: `assert_marked` finds the green mark, which
    `picture` draws at everybody's joint 0, where the record's camera sees that joint. So the whole
    way is right: frame numbers, mirror images, lens, crop.

And the faults: break a file, and see it counted; take away a file, and see the one line.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from acae_jax.data import sources
from acae_jax.datasets import building
from acae_jax.datasets.frames_to_records import Networks, projected_px
from acae_jax.datasets.release import Frame
from acae_jax.datasets.synthetic import body, poses
from acae_jax.geometry import boxes, cameras
from acae_jax.images import decoding

SIZE = (320, 240)
LENS = (-0.12, 0.05, 0.002, -0.001, 0.01)  # k1 k2 p1 p2 k3
GREEN, RADIUS_PX = (0, 255, 0), 5
COLOURS = ((210, 60, 50), (60, 80, 210), (200, 180, 60), (190, 60, 190))  # none is green


def people_mm(
    joint_count: int, frame_count: int, people: int = 1, *, up: str = "z", motion: str = "run"
) -> np.ndarray:
    """Joints (frame, person, joint, 3) of embedded people who move by more than 100 mm a frame.

    The joints are points of the body's skin, so that no two are alike. World mm, on the floor at
    the origin, with the axis `up` upwards: "z", "y" or "-y". People stand 900 mm apart.
    """
    assets = body.load()
    rest = body.rest(assets, body.Shape())
    chosen = np.linspace(0, assets.skin_count - 1, joint_count).astype(int)
    found = np.empty((frame_count, people, joint_count, 3))
    for person in range(people):
        rng = np.random.default_rng(person)
        for frame, pose in enumerate(poses.sequence(rng, motion, frame_count, step=5)):
            skin_mm = body.pose(assets, rest, pose)[chosen].astype(float)
            away_mm = np.array([900.0 * (person - (people - 1) / 2), 0, 150 * (frame % 2)])
            centre_mm = skin_mm.mean(axis=0) * np.array([1, 0, 1])
            found[frame, person] = skin_mm - centre_mm + away_mm
    x, y, z = np.moveaxis(found, -1, 0)
    axes = {"y": (x, y, z), "z": (x, -z, y), "-y": (x, -y, -z)}
    return np.stack(axes[up], axis=-1)


def ring(
    count: int,
    *,
    up: str = "z",
    size: tuple[int, int] = SIZE,
    lens: Sequence[float] = LENS,
    distance_mm: float = 4000.0,
) -> list[cameras.Camera]:
    """Cameras about the origin, each a little different; they see people as a whole."""
    axis = {"z": np.array([0, 0, 1.0]), "y": np.array([0, 1.0, 0]), "-y": np.array([0, -1.0, 0])}[
        up
    ]
    others = np.eye(3)[[i for i in range(3) if not axis[i]]]
    found = []
    for index in range(count):
        angle = 0.4 + 2 * np.pi * index / max(count, 2)
        side = np.cos(angle) * others[0] + np.sin(angle) * others[1]
        focal = size[0] * (1.1 + 0.02 * index)
        k = [[focal, 0, size[0] / 2 + 3 + index], [0, 1.01 * focal, size[1] / 2 - 4], [0, 0, 1]]
        camera = cameras.create(
            np.array(k),
            position_mm=distance_mm * side + (1300 + 100 * index) * axis,
            distortion=np.array(lens, float),
        )
        found.append(cameras.turn_towards(camera, world_point_mm=850 * axis, up=axis))
    return found


def picture(
    camera: cameras.Camera, people: Iterable[np.ndarray], size: tuple[int, int] = SIZE
) -> np.ndarray:
    """A grey room with people as their coloured hulls, and a green mark at everybody's joint 0."""
    image = np.full((size[1], size[0], 3), 120, np.uint8)
    image[::16] = 100
    for index, joints_mm in enumerate(people):
        hull = cv2.convexHull(projected_px(camera, joints_mm).astype(np.float32))
        cv2.fillConvexPoly(image, np.rint(hull).astype(np.int32), COLOURS[index % len(COLOURS)])
    for joints_mm in people:
        x, y = projected_px(camera, joints_mm)[0]
        centre = round(16 * float(x)), round(16 * float(y))
        cv2.circle(image, centre, 16 * RADIUS_PX, GREEN, -1, cv2.LINE_AA, shift=4)
    return image


def mask(camera: cameras.Camera, joints_mm: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The pixels of a person in `picture`, 0 or 1."""
    shown = np.zeros((size[1], size[0]), np.uint8)
    hull = cv2.convexHull(projected_px(camera, joints_mm).astype(np.float32))
    cv2.fillConvexPoly(shown, np.rint(hull).astype(np.int32), 1)
    return shown


def box(camera: cameras.Camera, joints_mm: np.ndarray, factor: float = 1.0) -> np.ndarray:
    """The box of a person's joints in an image, `factor` times as large."""
    return boxes.expand(boxes.of_points(projected_px(camera, joints_mm)), factor)


def write_video(path: Path, images: Iterable[np.ndarray], fps: float = 50.0) -> None:
    """RGB images as a video: .mp4 as MPEG-4, anything else as motion JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = list(images)
    codec = cv2.VideoWriter.fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG"))
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, images[0].shape[1::-1])
    assert writer.isOpened(), path
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()


def write_image(path: Path, image: np.ndarray) -> None:
    """An RGB image as the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def coloured_people(image: np.ndarray) -> np.ndarray:
    """What a detector finds in a `picture`: the boxes (n, 5) of the colours of people."""
    found = []
    for colour in COLOURS:
        near = cv2.inRange(image, np.array(colour) - 59.0, np.array(colour) + 59.0)
        rows, columns = np.nonzero(cv2.erode(near, np.ones((3, 3), np.uint8)))
        if len(rows):
            left, top, right, bottom = columns.min(), rows.min(), columns.max(), rows.max()
            found.append([left - 0.5, top - 0.5, right - left + 1, bottom - top + 1, 0.9])
    return np.array(found, np.float32).reshape(-1, 5)


def networks() -> Networks:
    """A detector that sees the people of pictures, and masks that are the boxes."""

    def detect(images, threshold, nms_iou_threshold, max_detections):
        return [coloured_people(image) for image in images]

    def person_masks(image, found, intrinsics=None):
        for x, y, width, height in np.asarray(found):
            shown = np.zeros(image.shape[:2], np.float32)
            low_x, low_y = max(0, round(x)), max(0, round(y))
            shown[low_y : round(y + height), low_x : round(x + width)] = 1
            yield shown

    return Networks(lambda: detect, lambda: person_masks)


@contextlib.contextmanager
def released(tests: ModuleType, raw: Path) -> Iterator[Path]:
    """The folder, in which there is the tiny release that a builder's tests write.

    Until the end, the builder takes what is small for complete.
    """
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(tests, "shrink"):
            tests.shrink(patch)
        tests.write_release(raw)
        yield raw


def frames(module, raw: Path) -> dict[str, list[Frame]]:
    """All frames of a release, by unit."""
    building.check(module, raw)
    return {unit.name: list(module.frames(raw, unit)) for unit in module.units(raw)}


def build(module, raw: Path, out: Path) -> dict[str, sources.Source]:
    """Build a release in this process, with `networks`; the dataset by split."""
    plan = building.plan(module, raw, out)._replace(networks=networks())
    folder = building.shards.build(plan, workers=1)
    assert folder is not None
    splits = dict.fromkeys(unit.split for unit in plan.units)
    return {split: sources.open(module.RELEASE.name, out, split) for split in splits}


def image_of(frame: Frame) -> np.ndarray:
    """A frame's pixels."""
    return frame.image() if callable(frame.image) else frame.image


def assert_joints(found_mm: np.ndarray, expected_mm: np.ndarray) -> None:
    """Both have the same joints within 0.5 mm, and lack the same."""
    np.testing.assert_allclose(found_mm, expected_mm, rtol=0, atol=0.5)


def assert_same_camera(
    found: cameras.Camera, expected: cameras.Camera, seen_mm: np.ndarray
) -> None:
    """Both see these points, and others near them, at the same pixels, within 0.1 px."""
    points_mm = seen_mm.reshape(-1, 3)
    points_mm = points_mm[np.isfinite(points_mm).all(axis=1)]
    points_mm = np.concatenate([points_mm, points_mm + 150, points_mm - 150])
    np.testing.assert_allclose(
        cameras.project(found, points_mm), cameras.project(expected, points_mm), rtol=0, atol=0.1
    )
    np.testing.assert_allclose(found.position_mm, expected.position_mm, rtol=0, atol=0.5)


def marks_px(image: np.ndarray) -> Iterator[np.ndarray]:
    """The middles of the green marks in an image."""
    colours = image.astype(float)
    green = np.clip(colours[..., 1] - colours[..., [0, 2]].max(axis=-1) - 20, 0, None)
    count, parts = cv2.connectedComponents((green > 60).astype(np.uint8))
    for part in range(1, count):
        near = cv2.dilate((parts == part).astype(np.uint8), np.ones((5, 5), np.uint8))
        weights = green * near
        rows, columns = np.indices(weights.shape)
        yield np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


def assert_marked(record, joint: int = 0, tolerance_px: float = 1.5) -> None:
    """The record's image shows a green mark where its camera sees this joint."""
    camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
    expected = cameras.project(camera, record.joints_mm[joint])
    marks = list(marks_px(decoding.decode(record.image)))
    assert marks, f"{record.key}: no mark"
    distance = min(float(np.linalg.norm(mark - expected)) for mark in marks)
    assert distance < tolerance_px, f"{record.key}: the mark is {distance:.1f} px away"


def assert_marked_2d(record, joint: int = 0, tolerance_px: float = 1.5) -> None:
    """The record's image shows a green mark at the 2D label of this joint."""
    marks = list(marks_px(decoding.decode(record.image)))
    assert marks, f"{record.key}: no mark"
    distance = min(float(np.linalg.norm(mark - record.joints_px[joint])) for mark in marks)
    assert distance < tolerance_px, f"{record.key}: the mark is {distance:.1f} px away"
