import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from acae_jax.data import feed
from acae_jax.data import mixture as mixtures
from acae_jax.data import record as records

QUOTAS = (("a", 3), ("b", 4), ("c", 1))
LENGTHS = (5, 9, 2)


@functools.cache
def record(dataset, index, damaged=False):
    image = np.random.default_rng((dataset, index)).integers(0, 255, (24, 20, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    return records.Record(
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
    print("a library that prints must not disturb the feed")
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


SOURCES = [[record(d, i) for i in range(n)] for d, n in enumerate(LENGTHS)]
MIXTURE = mixtures.create(QUOTAS, LENGTHS, seed=3, ghost_size=8)


def take(count, start=0, make=make_example, sources=SOURCES, **options):
    return list(feed.batches(MIXTURE, sources, make, start, stop_step=start + count, **options))


def assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert list(a) == list(b)
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
    assert_same(take(4, start=5, workers=2), whole[5:])


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
    begin = time.perf_counter()
    take(1, start=10**12)
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("workers", [0, 1, 3])
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
        assert "failing" in caught.value.__notes__[0]


def test_uneven_examples_are_named():
    with pytest.raises(
        ValueError, match=r"dataset 'b', record \d: joints_mm of its example differ"
    ):
        take(1, make=uneven)


def test_a_worker_that_dies_is_reported():
    feeding = feed.batches(MIXTURE, SOURCES, dying, workers=2)
    next(feeding), next(feeding)
    with pytest.raises(RuntimeError, match=r"ended while making step 2 \(exit status 7"):
        next(feeding)


def test_functions_that_cannot_travel_are_refused():
    with pytest.raises(ValueError, match="importable module, or workers=0"):
        take(1, make=lambda *_: {}, workers=1)


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


def children():
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return set(text.split())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts processes in /proc")
def test_closing_ends_the_workers_and_prefetch_is_bounded():
    before = children()
    feeding = feed.batches(MIXTURE, SOURCES, make_example, workers=2, prefetch=1)
    next(feeding)
    assert len(children() - before) == 2
    time.sleep(0.5)  # the workers would run far ahead if nothing held them
    feeding.close()
    assert children() == before


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import feed_test
from acae_jax.data import feed
make = feed_test.functools.partial(feed_test.make_example, sleep=0.01)
for batch in feed.batches(feed_test.MIXTURE, feed_test.SOURCES, make, workers=2):
    print("batch", flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_main_process_leaves_no_orphans(how):
    script = SCRIPT.format(tests=str(Path(__file__).parent))  # unguarded, as in a notebook
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout.readline() == b"batch\n"
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        workers = [Path(f"/proc/{pid}") for pid in text.split()]
        assert len(workers) == 2
        process.send_signal(how)
        process.wait(10)
    deadline = time.monotonic() + 10
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "orphaned workers"
        time.sleep(0.05)


def alive(process):
    try:
        return (process / "stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
