"""Microseconds per example and per stage, beside the bare JPEG decode. Run by hand:

python tests/speed/examples.py [crop side, 128] [stored side, 180] [repetitions, 500]
"""

import sys
import time

import cv2
import numpy as np

from acae_jax.data import examples
from acae_jax.data.record import Record
from acae_jax.geometry import cameras
from acae_jax.images import background, colour, crops, decoding, masks, occlusion
from acae_jax.skeletons.skeleton import Skeleton
from acae_jax.skeletons.union import of


def synthetic_record(side_px: int, rng: np.random.Generator) -> Record:
    """A record with a smooth random image, an elliptical person and 30 joints."""
    coarse = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    image = cv2.add(image, rng.integers(0, 12, image.shape, dtype=np.uint8))
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    middle = side_px // 2
    mask = np.zeros((side_px, side_px), np.uint8)
    cv2.ellipse(mask, (middle, middle), (side_px // 6, side_px // 3), 0, 0, 360, 1, -1)
    focal, centre = 2.0 * side_px, (side_px - 1) / 2
    box = side_px * np.array([1 / 3, 1 / 6, 1 / 3, 2 / 3])
    return Record(
        image=encoded,
        intrinsics=np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        joints_mm=(rng.normal(size=(30, 3)) * 300 + (0, 0, 3000)).astype(np.float32),
        joints_px=np.zeros((0, 2), np.float32),
        box=box.astype(np.float32),
        mask_rle=masks.encode(mask),
        format="a",
        key="speed",
    )


def medians(stages: dict, repetitions: int) -> dict[str, float]:
    """Median microseconds of each stage, taken in turns so that all see the same machine."""
    seconds = {name: [] for name in stages}
    for i in range(repetitions):
        for name, stage in stages.items():
            start = time.perf_counter()
            stage(i)
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) * 1e6 for name, values in seconds.items()}


def main(side_px: int = 128, stored_px: int = 180, repetitions: int = 500) -> None:
    cv2.setNumThreads(0)
    rng = np.random.default_rng(0)
    record = synthetic_record(stored_px, rng)
    backgrounds = [rng.integers(0, 256, (256, 256, 3), dtype=np.uint8) for _ in range(8)]
    occluders = [rng.integers(0, 256, (120, 90, 4), dtype=np.uint8) for _ in range(8)]
    names = tuple(f"{side}{i}" for side in "lr" for i in range(15))
    always = examples.Augmentation(occlusion_probability=1.0, background_probability=1.0)
    options = {
        "union": of([Skeleton(one, names, ()) for one in "abcdef"]),
        "label_names": ("nose",),
        "side_px": side_px,
    }
    assets = {"occluders": occluders, "backgrounds": backgrounds}

    stored = cameras.create(record.intrinsics.astype(np.float64))
    box, view = record.box.astype(np.float64), crops.View(1.1, 0.2, True)
    crop = crops.camera(stored, box, side_px, view)
    image = decoding.decode(record.image)
    mask = masks.decode(record.mask_rle, stored_px, stored_px) * np.uint8(255)
    small = crops.warp(image, stored, crop, side_px)
    alpha = np.ones((side_px, side_px), np.float32)
    pixels = small * np.float32(1 / 255)
    ranges = {"brightness": 0.125, "contrast": 0.5, "saturation": 0.5, "hue": 1.2}
    behind = background.draw(backgrounds[0], side_px, rng)

    def make(augmentation):
        return lambda i: examples.make(
            record, (0, i, 0), augmentation=augmentation, **options, **assets
        )

    jpeg = np.frombuffer(record.image, np.uint8)
    stages = {
        "bare JPEG decode": lambda i: cv2.imdecode(jpeg, cv2.IMREAD_COLOR),
        "decode": lambda i: decoding.decode(record.image),
        "camera": lambda i: crops.camera(stored, box, side_px, view),
        "mask": lambda i: masks.decode(record.mask_rle, stored_px, stored_px),
        "warp": lambda i: crops.warp(image, stored, crop, side_px),
        "warp with mask": lambda i: crops.warp(cv2.merge([image, mask]), stored, crop, side_px),
        "background": lambda i: background.draw(backgrounds[0], side_px, rng),
        "composite": lambda i: background.composite(pixels, alpha, behind),
        "objects": lambda i: occlusion.paste_objects(pixels, rng, occluders),
        "colour": lambda i: colour.jitter(pixels, rng, **ranges),
        "erase": lambda i: occlusion.erase(small, rng),
        "example, clean": make(None),
        "example, published": make(examples.Augmentation()),
        "example, everything": make(always),
    }
    print(
        f"{stored_px} px JPEG of {len(record.image)} bytes → {side_px} px crop, one core, medians"
    )
    results = medians(stages, repetitions)
    for name, value in results.items():
        print(f"{name:22s} {value:7.0f} µs   {value / results['bare JPEG decode']:5.2f} × decode")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
