"""Crops per second of one core: the input pipeline, its limit, and a plain loader.

    python tests/speed/input.py [repetitions, 25]   from the root, on an otherwise idle machine

The limit is the decoding of the same JPEG bytes at full size and nothing else. The pipeline is that
of `configs/estimation/dozens.py`: batches of crops of 256 px with all augmentations, from records
in memory and from disk. The plain loader (`plain_loader.py`) makes the same examples from the same
random numbers; the script checks that. Repetitions of a batch of 32 alternate. Prints medians of
CPU time, then where the pipeline's time goes.

The recipe's writer stores people 384 px high where a dataset's images are large enough; 240 px
stand for datasets where they are not. The plain loader asks the cameras where each pixel of a crop
lies; "tuned", it computes that from a homography. "Colour on the device" is the pipeline from
memory with `config.data.device_colour`.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = (
    "1"  # one core: the CPU time of numpy's threads would count too
)

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

import cv2
import numpy as np
import plain_loader
import stored_records

from acae_jax import config as configs
from acae_jax.data import feed, mixture, sources
from acae_jax.datasets import writer
from acae_jax.estimation import building
from acae_jax.images import background, colour, crops, decoding, masks, occlusion

PERSON_PX = (384, 240)
RECORDS = 8  # of each dataset
STAGES = {
    "read": (feed, "_read"),
    "arithmetic, labels": (feed, "_begin"),
    "decode": (decoding, "decode"),
    "warp": (crops, "warp"),
    "mask": (masks, "decode"),
    "background": (background, "draw"),
    "composite": (background, "composite"),
    "objects": (occlusion, "paste_objects"),
    "colour": (colour, "apply"),
    "erase": (occlusion, "erase"),
}


def cpu_medians(contenders: dict[str, Callable], repetitions: int) -> dict[str, float]:
    """Median CPU seconds of each function; each repetition calls all of them with its number."""
    spent = {name: [] for name in contenders}
    for i in range(repetitions):
        for name, function in contenders.items():
            start = time.process_time()
            function(i)
            spent[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in spent.items()}


def stage_medians(job: feed._Job, repetitions: int) -> dict[str, float]:
    """Median CPU seconds of a batch in each stage and in all, timed inside of the pipeline."""
    spent = {name: [0.0] * repetitions for name in (*STAGES, "all")}

    def timed(name: str, function: Callable) -> Callable:
        def call(*args, **kwargs):
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name][step] += time.process_time() - start

        return call

    with contextlib.ExitStack() as stack:
        for name, (module, attribute) in STAGES.items():
            function = timed(name, getattr(module, attribute))
            stack.enter_context(mock.patch.object(module, attribute, function))
        whole = timed("all", feed._host_batch)
        for step in range(repetitions):
            whole(job, step)
    return {name: statistics.median(values) for name, values in spent.items()}


def check_alike(one: feed.Batch, other: feed.Batch) -> None:
    """Check that two loaders agree, but for rounding and how objects are made smaller."""
    for name in one.keys() - {"image"}:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    apart = np.abs(one["image"].astype(np.int16) - other["image"])
    if apart.mean() > 0.5 or np.percentile(apart, 99) > 5:
        raise AssertionError(f"the loaders make different pictures, by {apart.mean():.2f} of 255")


def bare_decode(job: feed._Job, step: int) -> None:
    for slot in job.slots:
        dataset, _, index = mixture.slot(job.mixture, step, slot)
        encoded = np.frombuffer(job.sources[dataset][index].image, np.uint8)
        cv2.imdecode(encoded, cv2.IMREAD_COLOR)


def plain_example(record, dataset, seed_step_slot, **settings):
    return plain_loader.make(record, seed_step_slot, dataset_index=dataset, **settings)


def plain_maker(make: partial, coordinates: Callable) -> partial:
    settings = {name: v for name, v in make.keywords.items() if name != "device_colour"}
    return partial(plain_example, **settings, coordinates=coordinates)


def compare(person_px: int, make: partial, repetitions: int) -> None:
    """Print both comparisons for records with persons of this height."""
    names = [name for name, _ in stored_records.QUOTAS]
    datasets = [[stored_records.make(name, i, person_px) for i in range(RECORDS)] for name in names]
    plan = mixture.create(stored_records.QUOTAS, [RECORDS] * len(names), seed=0, ghost_size=16)
    slots = range(plan.batch_size)
    make = partial(make, device_colour=False)
    job = feed._Job(plan, tuple(datasets), make, slots)
    without_colour = partial(make, device_colour=True)
    plain = job._replace(make_example=plain_maker(make, plain_loader.by_cameras))
    tuned = job._replace(make_example=plain_maker(make, plain_loader.by_homography))
    for other in (plain, tuned):
        check_alike(feed._host_batch(job, 0), feed._host_batch(other, 0))
    with tempfile.TemporaryDirectory() as folder:
        for name, records in zip(names, datasets, strict=True):
            split = {"train": lambda records=records: records}
            writer.write(folder, name, "1.0.0", split, description="", joint_names={})
        disk = job._replace(sources=tuple(sources.open(name, folder, "train") for name in names))
        contenders = {
            "bare decode": partial(bare_decode, job),
            "pipeline": partial(feed._host_batch, job),
            "pipeline, from disk": partial(feed._host_batch, disk),
            "colour on the device": partial(
                feed._host_batch, job._replace(make_example=without_colour)
            ),
            "plain loader": partial(feed._host_batch, plain),
            "plain loader, tuned": partial(feed._host_batch, tuned),
        }
        spent = cpu_medians(contenders, repetitions)
        stages = stage_medians(disk, repetitions)
    side_px = round(stored_records.MARGIN * person_px)
    size = statistics.mean(len(record.image) for records in datasets for record in records)
    print(f"{side_px} px stored in {size / 1024:.0f} KiB → {make.keywords['side_px']} px, one core")
    for name, seconds in spent.items():
        print(
            f"  {name:20s} {1e6 * seconds / len(slots):6.0f} µs {len(slots) / seconds:6.0f} crops/s"
            f"  {spent['bare decode'] / seconds:5.2f} of the limit"
            f"  {spent['plain loader'] / seconds:5.2f} × the plain loader"
            f" {spent['plain loader, tuned'] / seconds:5.2f} × tuned"
        )
    stages["the rest"] = 2 * stages["all"] - sum(stages.values())
    for name, seconds in stages.items():
        print(f"    {name:20s} {1e6 * seconds / len(slots):6.0f} µs")


def main(repetitions: int = 25) -> None:
    cv2.setNumThreads(0)
    few = ["data.occluders=8", "data.backgrounds=8"]
    config = configs.load("configs/estimation/dozens.py", few)
    make = building.example_maker(config.data, building.joint_union(config.data))
    for person_px in PERSON_PX:
        compare(person_px, make, repetitions)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
