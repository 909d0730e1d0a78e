"""The embedded datasets: same bits for any number of workers, continued, one-line errors."""

import errno
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from acae_jax.data import crop_record, schema, sources
from acae_jax.datasets import chunks, record_pictures, writer
from acae_jax.datasets.synthetic import build, contact_sheet

NAME = "embedded_markers"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(build, "_TAKES_PER_CHUNK", 1)


def _read(out: Path, name: str) -> list[crop_record.CropRecord]:
    builder = tfds.builder_from_directory(build.folder(out, name))
    decoders = {"image": tfds.decode.SkipDecoding()}
    source = builder.as_data_source(build.split(name), decoders=decoders)
    return [schema.from_dict(crop_record.SCHEMA, source[i]) for i in range(len(source))]


def _files(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built")
    build.build(out, size="tiny", workers=2, datasets=[NAME])
    return out


def test_reads_back_without_builder_code(built):
    found = _read(built, NAME)
    assert len(found) == 24
    assert len({record.key for record in found}) == 24
    assert {record.format for record in found} == {"markers"}
    metadata = json.loads((build.folder(built, NAME) / "metadata.json").read_text())
    assert metadata["seed"] == 0 and metadata["size"] == "tiny"
    assert not list(built.rglob("*.npz")) and not list(built.rglob("*.tmp"))


def test_one_worker_gives_the_same_bits_as_two(built, tmp_path):
    build.build(tmp_path, size="tiny", workers=1, datasets=[NAME])
    for expected, found in zip(_read(built, NAME), _read(tmp_path, NAME), strict=True):
        for field, value in expected._asdict().items():
            np.testing.assert_array_equal(getattr(found, field), value, err_msg=field)


def test_a_finished_dataset_is_kept(built, monkeypatch):
    monkeypatch.setattr(build, "_make", None)
    before = _files(built)
    assert build.build(built, size="tiny", datasets=[NAME]) == [build.folder(built, NAME)]
    assert _files(built) == before


def test_a_half_written_dataset_is_not_taken_for_a_complete_one(built, tmp_path):
    shutil.copytree(built / NAME, tmp_path / NAME)
    (build.folder(tmp_path, NAME) / "dataset_info.json").unlink()
    assert not build._is_finished(tmp_path, NAME, 24, 0, 144)


def test_errors_name_the_fix(built, tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match=r"no embedded dataset 'embedded_marker'.*embedded_markers"
    ):
        build.build(tmp_path, datasets=["embedded_marker"])
    with pytest.raises(ValueError, match=r"24 records of seed 0 in .*, not 1800 .*another --out"):
        build.build(built, size="quick", datasets=[NAME])
    with pytest.raises(ValueError, match="not 24 of seed 3 in 144 px; choose another --out"):
        build.build(built, size="tiny", seed=3, datasets=[NAME])
    with pytest.raises(ValueError, match="in crops of 144 px, not 24 of seed 0 in 384 px"):
        build.build(built, size="tiny", person_px=256, datasets=[NAME])
    with pytest.raises(ValueError, match="people of 8 px: they can be 32 to 512 px high"):
        build.build(built, size="tiny", person_px=8, datasets=[NAME])
    (tmp_path / NAME / "0.9.0").mkdir(parents=True)
    with pytest.raises(
        ValueError, match=f"holds version 0.9.0, but this code makes {build.VERSION}"
    ):
        build.build(tmp_path, size="tiny", datasets=[NAME])
    full = shutil._ntuple_diskusage(10, 10, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(OSError, match="1 MB needed, 0 MB free on the disk"):
        build.build(tmp_path, size="tiny", datasets=["embedded_mixamo"])


def test_writer_refuses_repeated_keys(built, tmp_path):
    record = _read(built, NAME)[0]
    with pytest.raises(ValueError, match=f"two records have the key '{record.key}'"):
        writer.write(
            tmp_path,
            "twice",
            "1.0.0",
            {"train": lambda: [record] * 2},
            description="",
            joint_names={},
        )
    assert not writer.folder(tmp_path, "twice", "1.0.0").exists()


def test_chunks_hold_records_exactly(built, tmp_path):
    found = _read(built, NAME)[:5]
    weak = found[0]._replace(
        joints_mm=found[0].joints_mm[:0], joints_px=np.ones((17, 2), np.float32)
    )
    chunks.save(tmp_path / "chunk.npz", [*found, weak], crop_record.SCHEMA)
    loaded = chunks.load(tmp_path / "chunk.npz", crop_record.SCHEMA)
    for expected, again in zip([*found, weak], loaded, strict=True):
        for field, value in expected._asdict().items():
            np.testing.assert_array_equal(getattr(again, field), value, err_msg=field)
            assert type(getattr(again, field)) is type(value)


def test_contact_sheet(built, tmp_path):
    sheet = tmp_path / "sheet.png"
    contact_sheet.write(sheet, [build.folder(built, NAME)])
    assert sheet.read_bytes().startswith(b"\x89PNG")
    record = _read(built, NAME)[0]
    drawn = record_pictures.draw(record, *record_pictures.skeleton(record.format))
    x, y = np.round((record_pictures.joints_px(record)[0] + 0.5) * 2 - 0.5).astype(int)
    assert drawn[y, x].max() > 200


def _prepare(*flags: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "acae_jax.prepare", *flags]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_prepare_stops_cleanly_and_says_what_is_wrong(tmp_path):
    wrong = _prepare("--out", str(tmp_path), "--datasets", "embeded_2d")
    out = tmp_path / "stopped"
    process = _prepare("--out", str(out), "--datasets", NAME, "--workers", "1")
    _, errors = wrong.communicate(timeout=60)
    assert wrong.returncode == 1
    assert errors.strip().splitlines()[-1].startswith("error: no embedded dataset 'embeded_2d'")
    assert "Traceback" not in errors
    end = time.monotonic() + 60
    while not list(out.rglob("*.npz")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues from here" in errors
    assert "Traceback" not in errors
    assert list(out.rglob("*.npz")) and not build.folder(out, NAME).exists()


def test_a_disk_that_fills_up_while_writing_is_told_as_such(built, tmp_path, monkeypatch):
    class FullDisk:
        def __init__(self, path, options):
            raise RuntimeError("write() failed: No space left on device")

    monkeypatch.setattr("array_record.python.array_record_module.ArrayRecordWriter", FullDisk)
    with pytest.raises(OSError, match="no space left for full") as caught:
        writer.write(
            tmp_path, "full", "1.0.0", {"train": lambda: []}, description="", joint_names={}
        )
    assert caught.value.errno == errno.ENOSPC


def test_records_lie_in_the_order_of_their_hashes_whatever_order_they_come_in(built, tmp_path):
    records = _read(built, NAME)
    keys = [record.key for record in records]
    assert keys == sorted(keys, key=lambda key: hashlib.md5(f"train{key}".encode()).hexdigest())
    names = sources.open(NAME, built, "train").joint_names
    splits = {"train": lambda: reversed(records)}
    version = build.folder(built, NAME).name
    writer.write(tmp_path, NAME, version, splits, description="", joint_names=names)
    assert [record.key for record in _read(tmp_path, NAME)] == keys
    assert [path.name for path in (tmp_path / NAME).iterdir()] == [version]
    files = {path.name for path in (tmp_path / NAME / version).iterdir()}
    assert files == {
        f"{NAME}-train.array_record-00000-of-00001",
        "dataset_info.json",
        "features.json",
        "metadata.json",
    }
