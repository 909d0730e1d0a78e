import functools
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from acae_jax.data import crop_record, feed
from acae_jax.data import mixture as mixtures

QUOTAS = (("a", 3), ("b", 4), ("c", 1))
LENGTHS = (5, 9, 2)


@functools.cache
def record(dataset, index, damaged=False):
    image = np.random.default_rng((dataset, index)).integers(0, 255, (24, 20, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    return crop_record.CropRecord(
        image=b"\xff\xd8 cut" if damaged else jpeg,
        intrinsics=np.array([[50, 0, 9.5], [0, 50, 11.5], [0, 0, 1]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        joints_mm=np.full((4, 3), dataset * 100 + index, np.float32),
        joints_px=np.zeros((0, 2), np.float32),
        box=np.array([2, 3, 12, 18], np.float32),
        mask_rle=np.zeros(0, np.uint32),
        format="coco_body",
        key=f"{'abc'[dataset]}/{index}",
    )


def make_example(record, dataset, seed_step_slot, sleep=0.0, jitter=255):
    """Decode and disturb, from (seed, step, slot) only."""
    image = cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("image is no readable JPEG")
    rng = np.random.default_rng(seed_step_slot)
    time.sleep(sleep)
    return {
        "image": image ^ rng.integers(0, jitter, image.shape, dtype=np.uint8),
        "joints_mm": record.joints_mm + rng.normal(size=(4, 3)).astype(np.float32),
        "valid": np.ones(4, bool),
        "nothing": np.zeros((0, 2), np.float32),
        "dataset": np.int32(dataset),
        "slot": np.array(seed_step_slot, np.int64),
    }


def failing(record, dataset, seed_step_slot):
    raise RuntimeError("no such\njoint")


def uneven(record, dataset, seed_step_slot):
    return {"joints_mm": record.joints_mm[: 1 + dataset]}


def dying(record, dataset, seed_step_slot):
    if seed_step_slot[1] == 2:
        os._exit(7)
    return {"x": np.zeros(1)}


def surroundings(record, dataset, seed_step_slot, folder):
    """Tell what the process of the example is like, and leave a trace of the step."""
    (folder / str(seed_step_slot[1])).touch()
    return {
        "process": np.array([os.getpid(), os.getpgrp()]),
        "opencv_threads": np.array(cv2.getNumThreads()),
        "on_cpu": np.array(jax.config.jax_platforms == "cpu"),
    }


SOURCES = [[record(d, i) for i in range(n)] for d, n in enumerate(LENGTHS)]
MIXTURE = mixtures.create(QUOTAS, LENGTHS, seed=3, ghost_size=8)


def take(count, start=0, make=make_example, sources=SOURCES, **options):
    return list(feed.batches(MIXTURE, sources, make, start, stop_step=start + count, **options))


def assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_array_equal(a[name], b[name], strict=True)


def test_a_batch_holds_what_the_mixture_says():
    for step, batch in enumerate(take(20)):
        assert batch["image"].shape == (8, 24, 20, 3) and batch["image"].dtype == np.uint8
        assert batch["dataset"].dtype == np.int32
        np.testing.assert_array_equal(batch["dataset"], [0, 0, 0, 1, 1, 1, 1, 2])
        for s in range(8):
            slot = mixtures.slot(MIXTURE, step, s)
            assert abs(batch["joints_mm"][s] - (slot.dataset * 100 + slot.index)).max() < 10
            np.testing.assert_array_equal(batch["slot"][s], [3, step, s])


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_bits(workers):
    assert_same(take(11, start=2, workers=workers), take(11, start=2))


def test_resuming_at_a_step_equals_going_on():
    whole = take(9)
    assert_same(take(4, start=5), whole[5:])


def test_a_step_depends_on_seed_step_and_slot():
    first, second = take(2)
    assert (first["image"] != second["image"]).any()
    other = MIXTURE._replace(seed=4)
    (changed,) = feed.batches(other, SOURCES, make_example, 0, stop_step=1)
    assert (first["joints_mm"] != changed["joints_mm"]).any()


def test_hosts_together_have_the_whole_batch_in_order():
    parts = [take(3, host=host, hosts=4) for host in range(4)]
    joined = [
        {n: np.concatenate([p[n] for p in step]) for n in step[0]}
        for step in zip(*parts, strict=True)
    ]
    assert_same(joined, take(3))


def test_starting_far_away_is_immediate():
    # Counting up to there would take days.
    assert take(1, start=10**12)[0]["slot"][0, 1] == 10**12


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_picture_names_dataset_index_and_cause(workers):
    index = mixtures.slot(MIXTURE, 1, 4).index
    damaged = [list(source) for source in SOURCES]
    damaged[1][index] = record(1, index, damaged=True)
    feeding = feed.batches(MIXTURE, damaged, make_example, workers=workers)
    first = [mixtures.slot(MIXTURE, 0, s).index for s in range(3, 7)]
    if index not in first:
        next(feeding)  # the step before it arrives undisturbed
    with pytest.raises(ValueError) as caught:
        next(feeding)
    assert (
        str(caught.value) == f"dataset 'b', record {index} (b/{index}): image is no readable JPEG"
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unforeseen_error_keeps_its_type_in_the_message(workers):
    with pytest.raises(
        ValueError, match=r"dataset 'a', record \d .*: RuntimeError: no such joint"
    ) as caught:
        take(1, make=failing, workers=workers)
    assert "\n" not in str(caught.value)
    if workers:
        assert "in failing" in caught.value.__notes__[0]


def test_arrays_may_be_functions_called_when_the_whole_batch_is_begun():
    events = []

    def begin(record, dataset, seed_step_slot):
        example = make_example(record, dataset, seed_step_slot)
        events.append("begin")

        def image():
            events.append("image")
            return example["image"]

        return {**example, "image": image}

    assert_same(take(2, make=begin), take(2))
    once = ["begin"] * MIXTURE.batch_size + ["image"] * MIXTURE.batch_size
    assert events == once * 2


def test_a_function_that_fails_is_named():
    def begin(record, dataset, seed_step_slot):
        return {"image": lambda: failing(record, dataset, seed_step_slot)}

    with pytest.raises(ValueError, match=r"dataset 'a', record \d \(a/\d\): RuntimeError: no such"):
        take(1, make=begin)


def test_uneven_examples_are_named():
    with pytest.raises(
        ValueError, match=r"dataset 'b', record \d \(b/\d\): this example's arrays .*: joints_mm"
    ):
        take(1, make=uneven)


def test_a_worker_that_dies_is_reported():
    with pytest.raises(RuntimeError, match="exit code 7") as caught:
        take(3, make=dying, workers=1)
    assert any("fewer workers" in note for note in caught.value.__notes__)


def test_what_cannot_travel_to_a_worker_is_refused():
    with pytest.raises(TypeError, match="cannot pickle"):
        take(1, make=functools.partial(make_example, sleep=threading.Lock()), workers=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1}, "at least 0"),
        ({"hosts": 3}, "multiple of the number of hosts"),
        ({"sources": SOURCES[:2]}, r"made for \(5, 9, 2\) records, the sources hold \(5, 9\)"),
    ],
)
def test_arguments_are_checked_before_the_first_batch(options, message):
    options = {"start": 0, "sources": SOURCES, **options}
    with pytest.raises(ValueError, match=message):
        feed.batches(MIXTURE, options.pop("sources"), make_example, options.pop("start"), **options)


def test_workers_compute_on_one_thread_of_the_cpu_and_end_with_the_iterator(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    make = functools.partial(surroundings, folder=tmp_path)
    feeding = feed.batches(MIXTURE, SOURCES, make, workers=2, prefetch=1)
    first, second = next(feeding), next(feeding)
    workers = [batch["process"][0, 0] for batch in (first, second)]
    assert len({os.getpid(), *workers}) == 3
    for batch in (first, second):
        assert (batch["process"][:, 0] == batch["process"][:, 1]).all()  # out of Ctrl-C's reach
        assert (batch["opencv_threads"] == 1).all() and batch["on_cpu"].all()
    feeding.close()
    assert not any(alive(worker) for worker in workers)
    assert len(list(tmp_path.iterdir())) <= 2 + 2 * (2 * 1 + 2)


def test_workers_begin_when_what_others_left_is_gone():
    class Left:
        """A queue of earlier workers, say, which only the garbage collector frees."""

    left = Left()
    left.itself = left
    there = weakref.ref(left)
    gc.disable()
    try:
        del left
        assert there() is not None
        feed.batches(MIXTURE, SOURCES, make_example, workers=1).close()
        assert there() is None
    finally:
        gc.enable()


def test_without_workers_the_next_batches_are_made_meanwhile(tmp_path):
    make = functools.partial(surroundings, folder=tmp_path)
    feeding = feed.batches(MIXTURE, SOURCES, make, prefetch=2)
    next(feeding)
    deadline = time.monotonic() + 10
    while len(list(tmp_path.iterdir())) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)  # it would run far ahead if nothing held it
    assert len(list(tmp_path.iterdir())) == 3
    feeding.close()


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import feed_test
from acae_jax.data import feed
make = feed_test.functools.partial(feed_test.surroundings, folder=feed_test.Path({folder!r}))
for batch in feed.batches(feed_test.MIXTURE, feed_test.SOURCES, make, workers=2):
    print(batch["process"][0, 0], flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_main_process_leaves_no_orphans(how, tmp_path):
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        workers = [int(process.stdout.readline()) for _ in range(2)]
        assert len(set(workers)) == 2
        if how == signal.SIGINT:
            os.killpg(process.pid, how)  # as Ctrl-C in a terminal does
        else:
            process.send_signal(how)
        process.wait(60)
    deadline = time.monotonic() + 10
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "orphaned workers"
        time.sleep(0.05)


def alive(worker):
    try:
        return Path(f"/proc/{worker}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
