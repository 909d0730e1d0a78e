"""A world that is simple to predict: people are red, and the network says that they fill their
crops.
"""

from pathlib import Path

import cv2
import numpy as np

from acae_jax.bundles.bundle import Bundle, Facts, Selection
from acae_jax.bundles.facts import Looks
from acae_jax.inference.estimator import Estimator
from acae_jax.media import recorder

NAMES = ("pelv", "head", "lhan", "rhan", "lfoo", "rfoo")
EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (0, 5))
BODY_MM = np.array(
    [[0, 0, 0], [0, -850, 0], [-350, -100, 0], [350, -100, 0], [-200, 850, 0], [200, 850, 0]],
    np.float32,
)
LEGS = Selection((0, 4, 5), ("pelv", "lfoo", "rfoo"), ((0, 1), (0, 2)))
SKELETONS = {"six": Selection(tuple(range(6)), NAMES, EDGES), "legs": LEGS}
RED = (250, 10, 10)


class Detector:
    """Finds red things, each a connected one; counts the images it was shown."""

    def __init__(self, stop_after: int | None = None):
        self.shown, self.stop_after = 0, stop_after

    def __call__(self, images, threshold, nms_iou_threshold, max_detections):
        found = []
        for image in images:
            self.shown += 1
            if self.stop_after is not None and self.shown > self.stop_after:
                raise KeyboardInterrupt
            red = ((image[..., 0] > 150) & (image[..., 1] < 90)).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(red)
            boxes = [[*stat[:4], 0.9] for stat in stats[1:] if stat[4] > 50]
            found.append(np.array(boxes, np.float32).reshape(-1, 5))
        return found


def crop_model(images, intrinsics):
    """Everybody is in the middle of the crop, so far away that they fill it."""
    count = len(images)
    depth_mm = 2000 * intrinsics[:, 0, 0] / images.shape[1]
    poses = np.broadcast_to(BODY_MM, (count, *BODY_MM.shape)).copy()
    poses[..., 2] += depth_mm[:, None]
    return poses, np.full((count, len(NAMES)), 30, np.float32)


def seeing_model(images, intrinsics):
    """The person nearest to the crop's middle, wherever in it; unsure where none is."""
    poses = np.zeros((len(images), *BODY_MM.shape), np.float32)
    spread_mm = np.full((len(images), len(NAMES)), 200, np.float32)
    for place, (image, matrix) in enumerate(zip(images, intrinsics, strict=True)):
        red = ((image[..., 0] > 150) & (image[..., 1] < 90)).astype(np.uint8)
        _, _, stats, centres = cv2.connectedComponentsWithStats(red)
        middle_px, height_px, distances = matrix[:2, 2], image.shape[0] / 2, []
        if len(stats) > 1:
            distances = np.linalg.norm(centres[1:] - middle_px, axis=1)
            nearest = 1 + int(np.argmin(distances))
            middle_px, height_px = centres[nearest], stats[nearest, 3]
            spread_mm[place] = 30
        depth_mm = matrix[0, 0] * np.ptp(BODY_MM[:, 1]) / height_px
        poses[place] = BODY_MM
        poses[place, :, :2] += (middle_px - matrix[:2, 2]) / matrix[0, 0] * depth_mm
        poses[place, :, 2] += depth_mm
    return poses, spread_mm


def make_seeing_estimator(detector=None) -> Estimator:
    """Of a network that tells where the person is."""
    looks = Looks(middle=0, top=1)
    facts = Facts("red", 64, NAMES, EDGES, SKELETONS, "six", (), None, {}, looks=looks)
    return Estimator(Bundle(Path("red"), "red", facts, None, seeing_model), detector or Detector())


def make_estimator(detector=None, digest: str = "red") -> Estimator:
    facts = Facts("red", 64, NAMES, EDGES, SKELETONS, "six", (), None, {})
    return Estimator(Bundle(Path("red"), digest, facts, None, crop_model), detector or Detector())


def make_image(*lefts: int, width: int = 320, height: int = 240) -> np.ndarray:
    """An image with a red person at each of the places."""
    image = np.full((height, width, 3), 90, np.uint8)
    for left in lefts:
        image[70:170, left : left + 50] = RED
    return image


def write_video(path: Path, count: int = 40, fps: float = 20.0) -> None:
    """Somebody walks to the right; somebody else stands at the left from frame 10 on."""
    with recorder.Recorder(path, fps) as record:
        for index in range(count):
            record.write(make_image(100 + 3 * index, *([10] if index >= 10 else [])))
