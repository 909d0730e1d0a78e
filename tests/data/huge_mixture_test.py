"""The 28 + 4 datasets of the published recipe, on synthetic records of the right shape."""

import functools
import runpy
from pathlib import Path

import cv2
import numpy as np

from acae_jax.data import examples, feed
from acae_jax.data import mixture as mixtures
from acae_jax.data import record as records
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions

TABLES = runpy.run_path(str(Path(__file__).parents[2] / "configs" / "mixtures.py"))


def make_example(record, dataset, seed_step_slot, **settings):
    return examples.make(record, seed_step_slot, dataset_index=dataset, **settings)


def make_record(name, label_format, joints, labels):
    rng = np.random.default_rng(len(name))
    image = cv2.imencode(".jpg", np.full((96, 96, 3), 120, np.uint8))[1].tobytes()
    return records.Record(
        image=image,
        intrinsics=np.array([[300, 0, 47.5], [0, 300, 47.5], [0, 0, 1]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        joints_mm=(300 * rng.normal(size=(joints, 3)) + [0, 0, 4000]).astype(np.float32),
        joints_px=rng.uniform(10, 80, (labels, 2)).astype(np.float32),
        box=np.array([8, 8, 80, 80], np.float32),
        mask_rle=np.zeros(0, np.uint32),
        format=label_format,
        key=f"{name}/0",
    )


def test_a_batch_of_the_28_datasets():
    union, quotas = unions.mixture("huge8"), TABLES["HUGE8"] + TABLES["TWO_D"]
    assert {name for name, _ in TABLES["HUGE8"]} == set(union.members)
    sources = [
        [make_record(name, name, len(union.members[name]), 0)] for name, _ in TABLES["HUGE8"]
    ]
    for name, _ in TABLES["TWO_D"]:
        labels = len(catalogue.load(f"{name}_2d").joint_names)
        sources.append([make_record(name, f"{name}_2d", 0, labels)])
    make = functools.partial(
        make_example,
        union=union,
        label_names=catalogue.load("common_2d").joint_names,
        side_px=32,
        augmentation=None,
    )
    mixture = mixtures.create(quotas, [1] * 32, seed=0, ghost_size=16)
    batch = next(feed.batches(mixture, sources, make))
    assert batch["joints_mm"].shape == (128, 555, 3)
    assert batch["valid"][:96].any(axis=1).all() and not batch["valid"][96:].any()
    assert batch["labels_valid"][96:].any(axis=1).all() and not batch["labels_valid"][:96].any()
    for dataset, (name, quota) in enumerate(quotas[:28]):
        (slots,) = np.nonzero(batch["dataset"] == dataset)
        assert len(slots) == quota
        want = np.isin(np.arange(555), union.members[name])
        np.testing.assert_array_equal(batch["valid"][slots], np.tile(want, (quota, 1)))
