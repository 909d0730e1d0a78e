"""How many training crops one core of this machine makes in a second, from artificial records."""

import time
from collections.abc import Callable

import cv2
import numpy as np

from acae_jax.data.crop_record import CropRecord
from acae_jax.images import masks


def record(side_px: int, label_format: str, joints: int, rng: np.random.Generator) -> CropRecord:
    """A stored record with a smooth noisy image, an elliptical person and joints at 4 m."""
    coarse = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    image = cv2.add(image, rng.integers(0, 12, image.shape, dtype=np.uint8))
    mask = np.zeros((side_px, side_px), np.uint8)
    middle, focal, centre = side_px // 2, 2.0 * side_px, (side_px - 1) / 2
    cv2.ellipse(mask, (middle, middle), (side_px // 6, side_px // 3), 0, 0, 360, 1, -1)
    box = side_px * np.array([1 / 3, 1 / 6, 1 / 3, 2 / 3])
    return CropRecord(
        image=cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes(),
        intrinsics=np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        joints_mm=(rng.normal(size=(joints, 3)) * 300 + (0, 0, 4000)).astype(np.float32),
        joints_px=np.zeros((0, 2), np.float32),
        box=box.astype(np.float32),
        mask_rle=masks.encode(mask),
        format=label_format,
        key="plan",
    )


def crops_per_second(
    make: Callable, label_format: str, joints: int, side_px: int, seconds: float = 3.0
) -> float:
    """Crops a second on one core, by `make(record, dataset, (seed, step, slot))`, a
    `feed.MakeExample` whose image is a function.

    The stored image is two and a half times as large as the crop, which is the recipe's size if the
    images of the dataset are large enough.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        stored = record(side_px * 5 // 2, label_format, joints, np.random.default_rng(0))
        make(stored, 0, (0, 0, 0))["image"]()
        start, count = time.process_time(), 0  # of this process only, because others may run
        while (spent := time.process_time() - start) < seconds:
            make(stored, 0, (0, count, 1))["image"]()
            count += 1
        return count / spent
    finally:
        cv2.setNumThreads(threads)
