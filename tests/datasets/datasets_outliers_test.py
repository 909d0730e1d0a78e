"""Training records with bones of impossible lengths are left out, and nothing else changes."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import toy_release

from acae_jax.data import sources
from acae_jax.datasets import outliers, release, shards
from acae_jax.skeletons import catalogue

BONES = catalogue.dataset_skeleton("h36m").edges
FAR, FLAT = "toy/run/left/000003/1", "toy/jump/left/000002/0"  # a training and a test record


def frames(raw: Path, unit: release.Unit):
    """The toy release, with a joint of one person far away in one frame of two units."""
    for frame in toy_release.frames(raw, unit):
        people = []
        for person in frame.people:
            joints_mm = person.joints_mm.copy()
            key = f"toy/{frame.clip}/left/{frame.index:06d}/{person.id}"
            if key in (FAR, FLAT):
                joints_mm[BONES[0][0], 2] += 4000.0
            people.append(person._replace(joints_mm=joints_mm, joints_px=None))
        yield frame._replace(people=tuple(people))


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    toy_release.write(folder)
    return folder


def plan(raw: Path, out: Path, **facts) -> shards.Plan:
    toy = toy_release.RELEASE._replace(**facts)
    return shards.Plan(toy, toy_release.UNITS, partial(frames, raw), out)


def keys(out: Path, split: str) -> list[str]:
    return [record.key for record in sources.open("toy", out, split)]


def test_a_training_record_with_an_impossible_bone_is_left_out(raw, tmp_path):
    folder = shards.build(plan(raw, tmp_path), workers=1)
    assert folder is not None
    train = keys(tmp_path, "train")
    assert len(train) == 19 and FAR not in train
    assert len(keys(tmp_path, "test")) == 10 and FLAT in keys(tmp_path, "test")
    report = json.loads((folder / "report.json").read_text())
    assert report["total"]["records"] == 29
    assert report["total"]["left_out"] == {outliers.LEFT_OUT: 1}
    assert [r["records"] for r in report["units"]] == [10, 9, 10]
    assert "bones" not in report["units"][0]


def test_releases_may_keep_them(raw, tmp_path):
    shards.build(plan(raw, tmp_path, drops_implausible=False), workers=1)
    assert len(keys(tmp_path, "train")) == 20 and FAR in keys(tmp_path, "train")


def test_units_in_one_file_and_a_stop_while_finishing(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "FILES", 1)
    described = shards.record_files.describe

    def stop(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(shards.record_files, "describe", stop)
    with pytest.raises(KeyboardInterrupt):
        shards.build(plan(raw, tmp_path), workers=1)
    monkeypatch.setattr(shards.record_files, "describe", described)
    folder = shards.build(plan(raw, tmp_path), workers=1)
    assert folder is not None
    assert len(keys(tmp_path, "train")) == 19 and FAR not in keys(tmp_path, "train")
    names = sorted(path.name for path in folder.glob("*array_record*"))
    assert names == [f"toy-{split}.array_record-00000-of-00001" for split in ("test", "train")]


def test_means_are_of_all_units_and_bones_without_labels_count_for_nothing():
    poses_mm = np.random.default_rng(0).normal(size=(6, 25, 3)) * 300
    poses_mm[:, 3] = np.nan
    parts = [outliers.Lengths(BONES), outliers.Lengths(BONES)]
    for index, pose_mm in enumerate(poses_mm):
        parts[index // 4].note(pose_mm)
    reports = [{"bones": json.loads(json.dumps(part.summary()))} for part in parts]
    usual_mm = outliers.mean_mm(reports, len(BONES))
    ends = poses_mm[:, np.array(BONES)]
    lengths_mm = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1)
    np.testing.assert_allclose(usual_mm, lengths_mm.mean(0), rtol=1e-12)
    has_label = [3 not in bone for bone in BONES]
    assert np.isfinite(usual_mm).tolist() == has_label
