"""Errors of models on test images that were made worse, as photographs can be.

    python launch/disturbed_test.py runs/quickstart/bundle runs/packaged/bundle --data data/embedded

Each bundle must have the embedded formats. The whole estimator gets the true boxes and runs on the
embedded test set five times: as it is; with boxes moved by up to 8 % of their longer side and up to
16 % larger or smaller; with other hues, saturation, contrast and brightness; blurred and with
noise; with all of these. Prints the MPJPE in mm over all joints, after the mean joint of each pose
is aligned. The random changes to an image depend only on its number. It takes 15 seconds a bundle.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

import acae_jax
from acae_jax.data import crop_record, sources
from acae_jax.data.crop_record import CropRecord
from acae_jax.images import decoding
from acae_jax.inference.estimator import Estimator
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions

MOVED = 0.08  # of the box's longer side; its size changes by twice as much
COLOURS = 0.15  # of the hue circle; saturation and contrast change by twice as much
BLUR_PX, NOISE = (0.5, 2.0), 8.0  # standard deviations
CASES = {
    "plain": (),
    "box": ("box",),
    "colours": ("colours",),
    "blur and noise": ("blur",),
    "all": ("box", "colours", "blur"),
}


def move(box: Float[np.ndarray, "4"], rng: np.random.Generator) -> Float[np.ndarray, "4"]:
    """The box, moved and with another size."""
    middle = box[:2] + box[2:] / 2 + rng.uniform(-MOVED, MOVED, 2) * box[2:].max()
    size = box[2:] * rng.uniform(1 - 2 * MOVED, 1 + 2 * MOVED)
    return np.concatenate([middle - size / 2, size])


def recolour(
    image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """The image with other colours."""
    hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 360 * rng.uniform(-COLOURS, COLOURS)) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(1 - 2 * COLOURS, 1 + 2 * COLOURS), 0, 1)
    turned = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) - 0.5
    contrast, brightness = rng.uniform(
        [1 - 2 * COLOURS, -COLOURS / 2], [1 + 2 * COLOURS, COLOURS / 2]
    )
    return np.clip(255 * (contrast * turned + 0.5 + brightness), 0, 255).astype(np.uint8)


def blur(image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """The image, blurred and with noise."""
    soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(*BLUR_PX))
    return np.clip(soft + rng.normal(0, NOISE, image.shape), 0, 255).astype(np.uint8)


def joint_names(record: CropRecord) -> tuple[str, ...]:
    """The names of the record's joints in a union of formats."""
    return unions.of(
        [catalogue.load(name) for name in crop_record.formats(record.format)]
    ).joint_names


def errors_mm(estimator: Estimator, records: list[CropRecord], changes: tuple[str, ...]) -> float:
    """MPJPE over all joints of the records' people; ValueError if the bundle lacks a joint."""
    errors = []
    places = list(unions.places(estimator.bundle.facts.joint_names, joint_names(records[0])))
    for number, record in enumerate(records):
        rng = np.random.default_rng(number)
        image, box = decoding.decode(record.image), record.box.astype(np.float64)
        box = move(box, rng) if "box" in changes else box
        image = recolour(image, rng) if "colours" in changes else image
        image = blur(image, rng) if "blur" in changes else image
        people = estimator.estimate_poses(image, [box], intrinsic_matrix=record.intrinsics)
        pose_mm = people["poses3d"][0, places]
        true_mm = crop_record.in_camera_mm(record)
        off_mm = pose_mm - pose_mm.mean(0) - (true_mm - true_mm.mean(0))
        errors.append(np.linalg.norm(off_mm, axis=-1).mean())
    return float(np.mean(errors))


def main() -> None:
    """Print a row for each bundle."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data/embedded"))
    options = parser.parse_args()
    source = sources.open("embedded_test", options.data, "test")
    records = [source[i] for i in range(len(source))]
    print("| MPJPE, mm | " + " | ".join(CASES) + " |")
    print("|---" * (1 + len(CASES)) + "|")
    for folder in options.bundles:
        estimator = acae_jax.load(folder)
        row = [f"{errors_mm(estimator, records, changes):.1f}" for changes in CASES.values()]
        print(f"| {folder} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
