"""Masks of people lie on the people."""

import numpy as np
import pytest

from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.images import decoding
from acae_jax.images import masks as run_lengths
from acae_jax.inference import person_masks

PERSON_PX = 192


@pytest.fixture(scope="module")
def masks():
    return person_masks.load()


def overlap(probability, truth):
    shown = probability > 0.5
    return (shown & truth).sum() / (shown | truth).sum()


def test_each_mask_shows_the_person_of_its_box(masks):
    studio, side = studios.STUDIOS["embedded_test"], scenes.side_px(PERSON_PX)
    records = [
        scenes.make(studio, 5, takes.make(studio, 5, k), 24 * k, PERSON_PX) for k in range(2)
    ]
    image = np.concatenate([decoding.decode(record.image) for record in records], axis=1)
    boxes = np.stack([record.box for record in records])
    boxes[1, 0] += side
    found = list(masks(image, boxes))
    for k, (mask, record) in enumerate(zip(found, records, strict=True)):
        truth = np.zeros((side, 2 * side), bool)
        truth[:, k * side : (k + 1) * side] = run_lengths.decode(record.mask_rle, side, side)
        assert mask.shape == truth.shape
        assert overlap(mask, truth) > 0.85
        assert overlap(np.roll(mask, 12, axis=1), truth) < 0.85


def test_wrong_boxes_are_told(masks):
    with pytest.raises(ValueError, match="boxes"):
        list(masks(np.zeros((64, 64, 3), np.uint8), [[1, 2, 3]]))
