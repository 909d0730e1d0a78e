"""Chunked builds: the same records for any number of workers, continued after a stop."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from acae_jax.data import schema
from acae_jax.datasets import chunks


class Toy(NamedTuple):
    """A record with a field of every kind."""

    image: bytes
    points: np.ndarray  # (any, any, 2)
    number: int
    weight: float
    key: str
    note: str = ""


def no_check(record):
    pass


SCHEMA = schema.Schema(
    record=Toy,
    fields={
        "image": schema.jpeg(),
        "points": schema.array(None, None, 2),
        "number": schema.number(int),
        "weight": schema.number(float),
        "key": schema.text(),
        "note": schema.text(""),
    },
    check=no_check,
)


def record(seed: int, number: int) -> Toy:
    rng = np.random.default_rng((seed, number))
    shape = (number % 4, number % 3, 2)  # empty ones, too
    return Toy(
        image=b"\xff\xd8" + bytes(number % 5),
        points=rng.uniform(size=shape).astype(np.float32),
        number=number,
        weight=number / 7,
        key=f"toy/{number}",
        note="ü" * (number % 2),
    )


def make(seed: int, start: int, stop: int) -> list[Toy]:
    return [record(seed, number) for number in range(start, stop)]


def make_or_die(start: int, stop: int) -> list[Toy]:
    if start == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return make(0, start, stop)


def plan(out: Path, name: str, count: int, written: dict, maker=None) -> chunks.Plan:
    def write(records):
        written[name] = list(records())

    return chunks.Plan(
        name, count, 3, out / name / "parts-0", maker or partial(make, 0), write, SCHEMA
    )


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for field, value in other._asdict().items():
            np.testing.assert_array_equal(getattr(one, field), value, err_msg=field)
            assert type(getattr(one, field)) is type(value)


def test_a_file_holds_records_exactly(tmp_path):
    records = make(0, 0, 12)
    chunks.save(tmp_path / "a.npz", records, SCHEMA)
    assert_equal(list(chunks.load(tmp_path / "a.npz", SCHEMA)), records)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_datasets_are_written_from_their_chunks_which_then_go(tmp_path):
    written: dict[str, list[Toy]] = {}
    chunks.build([plan(tmp_path, "a", 7, written), plan(tmp_path, "b", 4, written)], workers=2)
    assert_equal(written["a"], make(0, 0, 7))
    assert_equal(written["b"], make(0, 0, 4))
    assert not list(tmp_path.rglob("parts-0"))


def test_a_stopped_build_continues_from_its_chunks(tmp_path):
    written: dict[str, list[Toy]] = {}
    dying = plan(tmp_path, "a", 10, written, make_or_die)
    with pytest.raises(OSError, match=r"a worker was killed.*fewer --workers") as caught:
        chunks.build([dying], workers=1)
    assert caught.value.errno == errno.ENOMEM and not written
    files = sorted(path.name for path in tmp_path.rglob("*.npz"))
    assert files == ["000000-000003.npz", "000003-000006.npz"]
    # Made with another seed, the later records tell that the first chunks were kept.
    chunks.build([plan(tmp_path, "a", 10, written, partial(make, 5))], workers=1)
    assert_equal(written["a"], [*make(0, 0, 6), *make(5, 6, 10)])


def test_a_larger_dataset_uses_whole_chunks_of_a_smaller_one(tmp_path):
    small, large = (plan(tmp_path, "a", count, {}) for count in (7, 9))
    own = {chunk.path.name for chunk in chunks.chunks_of(large)}
    shared = own & {chunk.path.name for chunk in chunks.chunks_of(small)}
    assert shared == {"000000-000003.npz", "000003-000006.npz"} and "000006-000009.npz" in own


def test_wrong_arguments_and_full_disks_are_one_line(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="--workers must be at least 1, got 0"):
        chunks.build([plan(tmp_path, "a", 1, {})], workers=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(OSError, match=r"2 MB needed, 0 MB free on the disk of .*not_yet"):
        chunks.check_space(tmp_path / "not_yet", 2_000_000)
    chunks.check_space(tmp_path / "not_yet", 1)


def test_what_workers_cannot_get_is_an_error_at_once(tmp_path):
    with pytest.raises(AttributeError, match="lambda"):
        chunks.build([plan(tmp_path, "a", 7, {}, lambda start, stop: [])], workers=1)


def make_slowly(folder: Path, start: int, stop: int) -> list[Toy]:
    (folder / str(os.getpid())).touch()
    time.sleep(0.2)
    return make(0, start, stop)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import chunks_test
out = chunks_test.Path({out!r})
maker = chunks_test.partial(chunks_test.make_slowly, out)
chunks_test.chunks.build([chunks_test.plan(out, "a", 3000, {{}}, maker)], workers=2)
"""


def test_a_killed_build_leaves_no_orphans(tmp_path):
    script = SCRIPT.format(tests=str(Path(__file__).parent), out=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as process:
        while len(numbers := [path.name for path in tmp_path.iterdir() if path.is_file()]) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{number}").exists() for number in numbers):
        assert time.monotonic() < deadline, "orphaned workers"
        time.sleep(0.05)
