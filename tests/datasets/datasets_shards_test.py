"""Datasets made unit by unit: the same bytes however they were made, and nothing is lost."""

import errno
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import miniature
import pytest
import toy_release
from array_record.python import array_record_module

from acae_jax.data import sources
from acae_jax.datasets import building, record_files, shards
from acae_jax.datasets.official import h36m


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    toy_release.write(folder)
    return folder


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built")
    assert shards.build(plan(raw, out), workers=1) == out / "toy" / "1.0.0"
    return out


def plan(raw: Path, out: Path) -> shards.Plan:
    return building.plan(toy_release, raw, out)


def files(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def assert_same(out: Path, other: Path) -> None:
    """Both have the same files."""
    found, expected = files(out), files(other)
    assert found.keys() == expected.keys()
    assert [n for n in found if found[n] != expected[n]] == []


def test_a_dataset_opens_like_any_other(raw, built):
    train, test = (sources.open("toy", built, split) for split in ("train", "test"))
    assert (len(train), len(test)) == (20, 10)
    assert train.joint_names == {"h36m": h36m.release.joint_names(h36m.RELEASE)}
    assert [record.key for record in test][:3] == [
        "toy/jump/left/000000/0", "toy/jump/left/000000/1", "toy/jump/left/000001/0"
    ]  # fmt: skip
    record = train[3]
    assert (record.clip, record.camera, record.frame, record.person) == ("walk/ä", "left", 1, "1")
    for record in [*train, *test]:
        miniature.assert_marked(record)
    expected_mm = toy_release.people_mm()[1, 1]
    miniature.assert_joints(train[3].joints_mm, expected_mm)
    assert sorted(path.name for path in (built / "toy").iterdir()) == ["1.0.0"]
    report = json.loads((built / "toy/1.0.0/report.json").read_text())
    assert report["total"]["records"] == 30 and len(report["units"]) == 3


def test_shares_of_several_machines_give_the_same_bytes(raw, built, tmp_path):
    assert shards.build(plan(raw, tmp_path), workers=1, share=(2, 2)) is None
    with pytest.raises(ValueError, match="toy"):
        sources.open("toy", tmp_path, "train")
    assert shards.build(plan(raw, tmp_path), workers=1, share=(1, 2)) is not None
    assert_same(tmp_path, built)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import toy_release
from functools import partial
from pathlib import Path
from acae_jax.datasets import building, shards
plan = building.plan(toy_release, Path({raw!r}), Path({out!r}))
shards.build(plan._replace(frames=partial(toy_release.slow_frames, Path({raw!r}))), workers=2)
"""


def test_a_killed_build_goes_on_and_gives_the_same_bytes(raw, built, tmp_path):
    script = SCRIPT.format(tests=str(Path(__file__).parent), raw=str(raw), out=str(tmp_path))
    folder = tmp_path / "toy/.building-1.0.0/parts"
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as process:
        while len(list(folder.glob("*.json"))) < 2 or not list(folder.glob("jump*.tmp")):
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("[rw]*")}
    assert len(kept) == 4
    asked = []

    def frames(unit):
        asked.append(unit.name)
        yield from toy_release.frames(raw, unit)

    shards.build(plan(raw, tmp_path)._replace(frames=frames), workers=1)
    assert asked == ["jump"]
    assert_same(tmp_path, built)


def test_many_units_share_files_and_continue_within_them(raw, built, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "FILES", 1)
    assert [len(group) for group in shards.groups(toy_release.UNITS)] == [2, 1]
    asked = []

    def frames(unit, stops):
        asked.append(unit.name)
        for frame in toy_release.frames(raw, unit):
            if stops and unit.name == "run" and frame.index == 3:
                raise KeyboardInterrupt
            yield frame

    one = plan(raw, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        shards.build(one._replace(frames=partial(frames, stops=True)), workers=1)
    shards.build(one._replace(frames=partial(frames, stops=False)), workers=1)
    assert asked == ["walk/ä", "run", "run", "jump"]
    folder = tmp_path / "toy/1.0.0"
    assert len(list(folder.glob("toy-train*"))) == 1 and not (folder / "parts").exists()
    found, expected = (sources.open("toy", out, "train") for out in (tmp_path, built))
    assert [record.key for record in found] == [record.key for record in expected]
    assert all(a.image == b.image for a, b in zip(found, expected, strict=True))
    report = json.loads((folder / "report.json").read_text())
    assert [unit["unit"] for unit in report["units"]] == ["walk/ä", "run", "jump"]


def test_a_build_stopped_while_finishing_goes_on(raw, built, tmp_path, monkeypatch):
    def stop(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(record_files, "describe", stop)
        with pytest.raises(KeyboardInterrupt):
            shards.build(plan(raw, tmp_path), workers=1)
    shards.build(plan(raw, tmp_path), workers=1)
    assert_same(tmp_path, built)


def test_a_full_disk_loses_nothing(raw, built, tmp_path, monkeypatch):
    class Writer(array_record_module.ArrayRecordWriter):
        def __init__(self, path, options):
            super().__init__(path, options)
            self._is_full = "jump" in path

        def write(self, example):
            if self._is_full:
                raise RuntimeError("No space left on device")
            super().write(example)

    with monkeypatch.context() as patch:
        patch.setattr(array_record_module, "ArrayRecordWriter", Writer)
        with pytest.raises(OSError, match="no space left") as caught:
            shards.build(plan(raw, tmp_path), workers=1)
    assert caught.value.errno == errno.ENOSPC
    assert len(list(tmp_path.rglob("*.json"))) == 2 and not list(tmp_path.rglob("*.tmp"))
    shards.build(plan(raw, tmp_path), workers=1)
    assert_same(tmp_path, built)


def test_a_finished_dataset_stays_and_another_one_is_refused(raw, built):
    before = files(built)
    assert shards.build(plan(raw, built), workers=1) == built / "toy" / "1.0.0"
    assert files(built) == before
    fewer = plan(raw, built)._replace(units=toy_release.UNITS[:2])
    with pytest.raises(ValueError, match=r"holds a dataset of 3 units, not of these 2: delete"):
        shards.build(fewer, workers=1)


def test_no_record_at_all_is_one_line(raw, tmp_path):
    def broken(unit):
        raise ValueError("no such video")
        yield

    with pytest.raises(ValueError, match=r"3 units have no record at all.*no such video"):
        shards.build(plan(raw, tmp_path)._replace(frames=broken), workers=1)
