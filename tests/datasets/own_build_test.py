"""`acae prepare dataset.yaml` makes records that training opens, and notices changed files."""

import json
import pickle

import miniature
import numpy as np
import own_folder
import pytest
from own_folder import COUNT, VIEWS, seen_px, truth_mm

from acae_jax import prepare
from acae_jax.data import crop_batches
from acae_jax.datasets.own import building as own
from acae_jax.skeletons import catalogue, union


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return own_folder.write(tmp_path_factory.mktemp("own"))


CLIP = {"name": "walk", "video": "walk/{camera}.avi", "camera": list(VIEWS)}


def write_labels(folder):
    frames = [
        {"frame": frame, "joints_mm": own_folder.points(truth_mm()[frame])}
        for frame in range(COUNT)
    ]
    (folder / "world.json").write_text(json.dumps(frames))
    for view in VIEWS:
        np.savez(folder / f"{view}.npz", joints_px=seen_px(view))


def test_one_command_makes_records_that_training_opens(folder, tmp_path, capsys):
    write_labels(folder)
    clips = [{**CLIP, "annotations": ["world.json", "{camera}.npz"]}]
    path = own_folder.describe(folder, folder, clips, moved_mm=None)
    assert prepare.main([str(path), "--out", str(tmp_path), "--jobs", "1", "--check"]) == 0
    assert 'class="sheet"' in (tmp_path / "mine/1.0.0/check.html").read_text(encoding="utf-8")
    told = capsys.readouterr().out
    assert f"{2 * COUNT} records of {2 * COUNT} frames; left out: nothing" in told
    assert "reprojection ≤ 0.00 px" in told

    joints = union.of([catalogue.load(str(folder / "skeleton.json"))])
    source = crop_batches.open_crops("mine", tmp_path, "train", joints)
    assert crop_batches.formats(source) == ("mine",)
    for record in source:
        assert record.format == "mine" and record.clip == "walk" and record.camera in VIEWS
        miniature.assert_joints(record.joints_mm, truth_mm()[record.frame])
        miniature.assert_marked(record)
    layout = crop_batches.Layout(joints, own_folder.JOINTS, 64)
    (example,) = crop_batches.clean(layout, source, [0])
    assert example["valid"].sum() >= 5


def test_clips_are_named_by_their_files(folder, tmp_path):
    write_labels(folder)
    for name in ("run", "walk", "jump"):
        (tmp_path / name).mkdir()
        for view in VIEWS:
            (tmp_path / name / f"{view}.avi").symlink_to(folder / f"walk/{view}.avi")
    common = {"annotations": str(folder / "world.json"), "camera": list(VIEWS)}
    for entry, names in (
        ({"name": "*", "video": "{name}/{camera}.avi"}, ["jump", "run", "walk"]),
        ({"name": ["walk", "run"], "video": "{name}/{camera}.avi"}, ["walk", "run"]),
        ({"video": "walk/{camera}.avi"}, ["walk"]),
        ({"video": "walk/left.avi", "camera": "left"}, ["walk/left"]),
        ({"images": f"{folder}/walk/{{camera}}/*.png", "name": "still"}, ["still"]),
        ({"images": f"{folder}/{{name}}/{{camera}}/*.png", "name": "*"}, ["walk"]),
    ):
        # What the top says about pictures is for entries that say nothing about them.
        above = {"video": "absent.avi"} if "images" in entry else {}
        path = own_folder.describe(tmp_path, folder, [{**common, **entry}], **above)
        plan = pickle.loads(pickle.dumps(own.plan(path, tmp_path)))  # as for worker processes
        views = ["left"] if entry.get("camera") == "left" else VIEWS
        expected = [f"{name}/{view}" for name in names for view in views]
        assert [unit.name for unit in plan.units] == expected
        frame = next(plan.frames(plan.units[-1]))
        assert frame.clip == names[-1] and frame.camera_name == views[-1]


def test_changed_labels_are_another_dataset(folder, tmp_path, capsys):
    write_labels(folder)
    clips = [{**CLIP, "camera": ["left"], "annotations": "world.json"}]
    path = own_folder.describe(folder, folder, clips, name="changing")
    arguments = [str(path), "--out", str(tmp_path), "--jobs", "1"]
    assert prepare.main(arguments) == 0
    assert prepare.main(arguments) == 0  # the same files: it is there
    content = json.loads((folder / "world.json").read_text())
    (folder / "world.json").write_text(json.dumps(content[:-1]))
    capsys.readouterr()
    assert prepare.main(arguments) == 1
    assert "holds a dataset of other labels or pictures" in capsys.readouterr().err
    path = own_folder.describe(folder, folder, clips, name="changing", version="1.0.1")
    assert prepare.main([str(path), *arguments[1:]]) == 0
    assert f"{COUNT - 1} records" in capsys.readouterr().out
