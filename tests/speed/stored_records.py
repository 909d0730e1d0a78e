"""Made-up records like those of the 28 datasets, to time the input pipeline with."""

import cv2
import numpy as np

from acae_jax.data.crop_record import CropRecord
from acae_jax.images import masks, props

# Datasets of the recipe have masks, or none, or only 2D labels: one of each kind, with its slots in
# a batch of 32. Below, the format of each and its number of joints.
QUOTAS = (("h36m", 18), ("jta", 6), ("coco", 8))
_FORMATS = {"h36m": ("h36m", 25), "jta": ("jta", 22), "coco": ("coco_2d", 17)}
# Side of a stored image over the height of the person's box: room for roll and zoom.
MARGIN = 1.66
_WIDTH = 0.45  # of the box, in its heights


def make(dataset: str, index: int, person_px: int) -> CropRecord:
    """A person in front of a furnished place, stored in JPEG of quality 95."""
    rng = np.random.default_rng([len(dataset), index, person_px])
    label_format, joints = _FORMATS[dataset]
    side_px = round(MARGIN * person_px)
    mask = _person(side_px, person_px / 8, rng)
    behind, clothes = (props.picture(rng, side_px) for _ in range(2))
    image = (255 * np.where(mask[..., None], clothes, behind)).astype(np.uint8)
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    focal, centre = 2.0 * side_px, (side_px - 1) / 2
    size = person_px * np.array([_WIDTH, 1])
    joints_mm = rng.normal(size=(joints, 3)) * 300 + (0, 0, 4000)
    joints_px = rng.uniform(0, side_px, (joints, 2))
    is_2d = dataset == "coco"
    return CropRecord(
        image=encoded.tobytes(),
        intrinsics=np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        joints_mm=joints_mm[: 0 if is_2d else joints].astype(np.float32),
        joints_px=joints_px[: joints if is_2d else 0].astype(np.float32),
        box=np.concatenate([(side_px - size) / 2, size]).astype(np.float32),
        mask_rle=masks.encode(mask) if dataset == "h36m" else np.zeros(0, np.uint32),
        format=label_format,
        key=f"{dataset}/{index}",
    )


def _person(side_px: int, head_px: float, rng: np.random.Generator) -> np.ndarray:
    """A mask of limbs, a trunk and a head, eight heads tall."""
    mask, middle = np.zeros((side_px, side_px), np.uint8), side_px / 2
    hands, feet = (
        rng.uniform([-1.8, -3], [1.8, 1], (2, 2)),
        rng.uniform([-1.5, 3], [1.5, 4], (2, 2)),
    )
    for start, ends, width in (((0, -2.2), hands, 0.6), ((0, 0.5), feet, 0.8)):
        for end in ends:
            line = (middle + head_px * np.array([start, end])).astype(int)
            cv2.line(mask, line[0], line[1], 1, round(width * head_px))
    at = round(middle)
    trunk = (round(0.8 * head_px), round(1.7 * head_px))
    cv2.ellipse(mask, (at, round(middle - head_px)), trunk, 0, 0, 360, 1, -1)
    cv2.circle(mask, (at, round(middle - 3.3 * head_px)), round(0.6 * head_px), 1, -1)
    return mask
