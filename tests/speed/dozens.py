"""32 datasets of 13 million records: how long they take to open, their memory, their batches.

    python tests/speed/dozens.py [--folder FOLDER]   from the root, on an otherwise idle machine

Writes them once, 7 GB of tiny records in 200 files a dataset, as the builders do; and 13 thousand
records, in one file a dataset, to compare with. Prints, each in a new process: the seconds of
opening all datasets, and until all their files are open; and the most memory that the process had
before, after each of them, and after some batches. Then the medians of batches of 128, from many
and few records in turn: reading alone, and the whole input pipeline of
`configs/estimation/dozens.py:runlocal`.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import tensorflow_datasets as tfds

from acae_jax import config as configs
from acae_jax.data import crop_batches, crop_record, feed, mixture
from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets import record_files
from acae_jax.estimation import building
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions

MANY, FEW = 13_000_000, 13_000
FILES = {MANY: 200, FEW: 1}  # of a dataset
BATCHES = 40
UNION = unions.mixture("huge8")


IMAGE = cv2.imencode(".jpg", np.full((8, 8), 120, np.uint8), [cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1]


def made(name, label_format, joint_count, index):
    """A record that compresses well; those of a file differ."""
    is_3d = name in UNION.members
    return CropRecord(
        image=IMAGE.tobytes(),
        intrinsics=np.array([[30, 0, 3.5], [0, 30, 3.5], [0, 0, 1]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        joints_mm=np.full((joint_count * is_3d, 3), [0, 0, 4000 + index % 100], np.float32),
        joints_px=np.full((joint_count * (not is_3d), 2), 3, np.float32),
        box=np.array([1, 1, 6, 6], np.float32),
        mask_rle=np.zeros(0, np.uint32),
        format=label_format,
        key=f"{name}/{index:06d}",
    )


def write(folder, name, total):
    """A dataset whose files are copies of one."""
    final, files = folder / name / "1.0.0", FILES[total]
    if final.exists():
        return
    label_format = name if name in UNION.members else f"{name}_2d"
    joint_names = UNION.member_joints.get(name) or catalogue.load(label_format).joint_names
    of_file = round(total / (32 * files))
    place = final.with_name("incomplete")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    paths = [
        place / f"{name}-train.{record_files.FORMAT}-{i:05d}-of-{files:05d}" for i in range(files)
    ]
    records = (made(name, label_format, len(joint_names), index) for index in range(of_file))
    record_files.write(paths[0], record_files.serialised(records, crop_record.SCHEMA))
    for path in paths[1:]:
        shutil.copyfile(paths[0], path)
    size = files * paths[0].stat().st_size
    split = tfds.core.SplitInfo("train", [of_file] * files, size)
    metadata = {"joint_names": json.dumps({label_format: list(joint_names)})}
    record_files.describe(
        place,
        name,
        "1.0.0",
        [split],
        description="tiny",
        schema=crop_record.SCHEMA,
        metadata=metadata,
    )
    place.rename(final)


def opened(folder, quotas):
    return tuple(crop_batches.open_crops(name, folder, "train", UNION) for name, _ in quotas)


def open_files(sources, total):
    """Read a record of every file: readers open files when they need them, and keep them open."""
    for source in sources:
        for first in range(0, len(source), len(source) // FILES[total]):
            source[first]


def label_only(record, dataset, seed_step_slot):
    return {"box": record.box}


def job_of(sources, quotas, make_example):
    plan = mixture.create(quotas, [len(source) for source in sources], seed=0, ghost_size=16)
    return feed._Job(plan, sources, make_example, tuple(range(plan.batch_size)))


def most_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(folder, total, config):
    """In a process of its own: opening, and memory."""
    example_maker = building.example_maker(config.data, UNION)
    memory = [most_mb()]
    start = time.perf_counter()
    sources = opened(folder, config.data.quotas)
    job = job_of(sources, config.data.quotas, example_maker)
    seconds = [time.perf_counter() - start]
    memory.append(most_mb())
    open_files(sources, total)
    seconds.append(time.perf_counter() - start)
    memory.append(most_mb())
    for step in range(BATCHES):
        feed._host_batch(job, step)
    memory.append(most_mb())
    records = f"{sum(map(len, sources)):>10,} records"
    megabytes = " → ".join(f"{mb:.0f}" for mb in memory)
    print(
        f"{records}: {seconds[0]:.1f} s, all files {seconds[1]:.1f} s; {megabytes} MB", flush=True
    )


def compare(folders, config):
    """Batches from many and few records, in turn, when all files are open."""
    whole = building.example_maker(config.data, UNION)
    sources = {total: opened(folder, config.data.quotas) for total, folder in folders.items()}
    for total in folders:
        open_files(sources[total], total)
    for name, make_example in (("reading alone", label_only), ("whole pipeline", whole)):
        jobs = {
            total: job_of(sources[total], config.data.quotas, make_example) for total in folders
        }
        spent = {total: [] for total in jobs}
        for step in range(BATCHES):
            for total, job in jobs.items():
                start = time.perf_counter()
                feed._host_batch(job, step)
                spent[total].append(time.perf_counter() - start)
        many, few = (statistics.median(spent[total]) for total in (MANY, FEW))
        print(
            f"{name:15}{1e3 * many:7.1f} ms of many, {1e3 * few:7.1f} ms of few: {many / few:.2f}",
            flush=True,
        )


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--folder", type=Path, default=Path("data/speed_dozens"))
    flags.add_argument("--measure", type=int, help="in this process, of so many records")
    options = flags.parse_args()
    cv2.setNumThreads(0)
    config = configs.load("configs/estimation/dozens.py:runlocal")
    folders = {total: options.folder / str(total) for total in (MANY, FEW)}
    if options.measure:
        measure(folders[options.measure], options.measure, config)
        return
    for total, folder in folders.items():
        for name, _ in config.data.quotas:
            write(folder, name, total)
        own = [sys.executable, __file__, "--folder", options.folder, "--measure", str(total)]
        subprocess.run(own, check=True)
    compare(folders, config)


if __name__ == "__main__":
    main()
