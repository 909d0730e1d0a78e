"""JTA: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.official import jta
from acae_jax.datasets.steps import person_boxes
from acae_jax.geometry import boxes, cameras

SIZE = (1920, 1080)
COUNT = 4
PEOPLE_MM = miniature.people_mm(22, COUNT, people=4, up="-y") + np.array([0, 900.0, 4500])
PEOPLE_MM[:, 3, :, 0] += 3500  # outside of the image
CENTRES_MM = PEOPLE_MM.mean(axis=2)
for joint, up_mm in ((2, 600), (18, -790), (21, -810)):  # neck and ankles
    PEOPLE_MM[:, :, joint] = CENTRES_MM - np.array([0, up_mm, 0])
PEOPLE_MM[1:3, 1] = PEOPLE_MM[0, 1]  # stands still for two frames
IDS = (7, 12, 40, 41)
OCCLUDED = 40
# As pictures are in truth: bent by the game, so that they are as of a longer focal length.
TRUTH = cameras.create(np.array([[1167, 0, 959.5], [0, 1167, 539.5], [0, 0, 1.0]]))
VIDEOS = {"train/seq_0": COUNT, "val/seq_1": 1, "test/seq_2": 1}  # and their frames


def rows(count: int) -> list[list[float]]:
    """The official rows: 2D by the official matrix, from the corner of the image; metres."""
    found = []
    for frame, people_mm in enumerate(PEOPLE_MM[:count]):
        for identity, joints_mm in zip(IDS, people_mm, strict=True):
            for joint, (x, y, z) in enumerate(joints_mm / 1000):
                is_hidden = identity == OCCLUDED and joint >= 4
                at = [int(1158 * x / z + 960), int(1158 * y / z + 540)]
                found.append([frame + 1, identity, joint, *at, x, y, z, int(is_hidden), joint % 2])
    np.random.default_rng(0).shuffle(found)
    return found


def write_release(raw: Path) -> None:
    images = [miniature.picture(TRUTH, people[:3], SIZE) for people in PEOPLE_MM]
    for name, count in VIDEOS.items():
        miniature.write_video(raw / f"videos/{name}.mp4", images[:count], fps=30)
        labels = raw / f"annotations/{name}.json"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text(json.dumps(rows(count)))


@pytest.fixture(scope="module")
def frames(raw):
    return miniature.frames(jta, raw)


def test_training_and_validation_videos_are_for_training(raw):
    assert {(unit.name, unit.split) for unit in jta.units(raw)} == {
        ("train/seq_0", "train"),
        ("val/seq_1", "train"),
    }


def test_people_come_back(frames):
    for name, found in frames.items():
        assert [frame.index for frame in found] == list(range(VIDEOS[name]))
        for frame in found:
            miniature.assert_same_camera(frame.camera, TRUTH, PEOPLE_MM[:, :3])
            # Too little is visible of the third and the fourth person.
            assert [person.id for person in frame.people] == ["7", "12"]
            assert [p.is_kept for p in frame.people] == [True, frame.index not in (1, 2)]
            for person, mm in zip(frame.people, PEOPLE_MM[frame.index], strict=False):
                miniature.assert_joints(person.joints_mm, mm)
                expected = miniature.box(TRUTH, mm)
                np.testing.assert_allclose(person.box, expected, atol=1.1)  # whole px
            np.testing.assert_allclose(frame.up, [0, -1, 0], atol=1e-6)


def test_records_show_people_where_the_labels_are(raw, tmp_path):
    train = miniature.build(jta, raw, tmp_path)["train"]
    assert len(train) == 4 + 2 + 2 and {record.person for record in train} == {"7", "12"}
    for record in train:
        if record.person == "7":
            miniature.assert_marked(record)
        assert boxes.area(record.box) > 0
    report = json.loads(next(tmp_path.glob("jta/*/report.json")).read_text())
    assert 0.1 < report["total"]["worst_reprojection_px"] < 1  # whole px


def test_detections_must_be_large():
    image_box = boxes.of_image(*SIZE).astype(float)
    for side, is_found in ((99.0, False), (101.0, True)):
        box = np.array([200.0, 200, 60, side])
        one = person_boxes.Seen(np.zeros((0, 2)), box)
        found = jta.RELEASE.boxes([one], image_box, lambda b=box: np.array([[*b, 0.9]]))
        assert (found[0] is not None) == is_found


def test_another_file_of_labels_is_one_line(tmp_path):
    path = tmp_path / "seq.json"
    path.write_text("[[1, 2, 3]]")
    with pytest.raises(ValueError, match="has a row that is not 10 numbers"):
        jta.read_rows(path)


def test_missing_labels_are_one_line(tmp_path):
    for part, number in (("train", 0), ("val", 1)):
        for place in (f"videos/{part}/seq_{number}.mp4", f"annotations/{part}/seq_5.json"):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).touch()
    with pytest.raises(ValueError, match=r"no .*train/seq_0.json for .*unpack all annotations"):
        building.plan(jta, tmp_path, tmp_path / "out")
