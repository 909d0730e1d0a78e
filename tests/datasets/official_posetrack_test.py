"""PoseTrack18: a tiny official release comes back as it was made."""

import copy
import json
import shutil
from pathlib import Path

import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.official import posetrack
from acae_jax.geometry import cameras

SIZE = (480, 360)
CAMERA = miniature.ring(4, size=SIZE, lens=(0, 0, 0, 0), distance_mm=4500)[1]
COUNT = 6
PEOPLE_MM = miniature.people_mm(17, COUNT, people=3)
STILL, FEW, MOVING = 7, 3, 12  # tracks
VIDEO = "001735_mpii"
HEAD = [100, 50, 30, 40]  # its diagonal is 50 px
NUMBER = 11  # of the video's first frame


def truth_px(index: int, track: int) -> np.ndarray:
    """Where the joints are: one person moves a little, and in frame 3 an elbow by half a head."""
    if track == STILL:
        points = cameras.project(CAMERA, PEOPLE_MM[0, 0])
        points[:, 0] += 10.0 * (index in (1, 2))
        points[7] += [0, 25.1] if index > 2 else [14.8 * (index > 0), 0]
        return points
    return cameras.project(CAMERA, PEOPLE_MM[index, 1 if track == FEW else 2])


def flags(index: int, track: int) -> np.ndarray:
    """One has few labels, another one label more in frame 5 than before."""
    found = np.ones(17, int)
    if track == FEW:
        found[[11, 12, 13, 14, 15, 16]] = 0  # six of the limbs are left
    if track == STILL and index < 5:
        found[0] = 0
    return found


def annotation(index: int, track: int) -> dict:
    points = truth_px(index, track)
    labelled = flags(index, track)
    left_top, size = points.min(axis=0), np.ptp(points, axis=0)
    return {
        "id": 100 * index + track,
        "image_id": 10017350000 + index,
        "track_id": track,
        "bbox": [*left_top.tolist(), *size.tolist()],
        "bbox_head": HEAD,
        "keypoints": np.column_stack([points * labelled[:, None], labelled]).ravel().tolist(),
    }


def write_release(raw: Path) -> None:
    found, images = [], []
    for index in reversed(range(COUNT)):
        name = f"images/train/{VIDEO}/{NUMBER + index:06d}.jpg"
        people_mm = [PEOPLE_MM[0, 0], *PEOPLE_MM[index, 1:]]
        miniature.write_image(raw / name, miniature.picture(CAMERA, people_mm, SIZE))
        images.append({"id": 10017350000 + index, "file_name": name, "is_labeled": True})
        found += [annotation(index, track) for track in (STILL, FEW, MOVING)]
        without_box = copy.deepcopy(annotation(index, MOVING))
        del without_box["bbox"]
        found.append({**without_box, "track_id": 99})
    content = {
        "categories": [{"name": "person", "keypoints": list(posetrack.JOINTS)}],
        "images": images,
        "annotations": found,
    }
    path = raw / f"posetrack_data/annotations/train/{VIDEO}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


def test_labels_come_back_of_those_who_have_moved(raw):
    (frames,) = miniature.frames(posetrack, raw).values()
    assert [frame.index for frame in frames] == [NUMBER + index for index in range(COUNT)]
    for frame in frames:
        index = frame.index - NUMBER
        assert frame.clip == VIDEO and frame.camera is None
        assert [person.id for person in frame.people] == [str(STILL), str(FEW), str(MOVING)]
        still, few, moving = frame.people
        # The first frame, the one in which a joint is 25 px away, and the one with a new joint.
        assert still.is_kept == (index in (0, 3, 5))
        assert moving.is_kept and not few.is_kept
        assert moving.box is not None and moving.joints_px is not None
        assert few.joints_px is not None
        np.testing.assert_allclose(moving.joints_px, truth_px(index, MOVING))
        np.testing.assert_allclose(moving.box, annotation(index, MOVING)["bbox"])
        expected_px = np.where(flags(index, FEW)[:, None], truth_px(index, FEW), np.nan)
        np.testing.assert_allclose(few.joints_px, expected_px)


def test_records_have_the_detectors_boxes(raw, tmp_path):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    (other / f"images/train/{VIDEO}/{NUMBER + 1:06d}.jpg").write_bytes(b"\xff\xd8 broken")
    train = miniature.build(posetrack, other, tmp_path)["train"]
    expected = [(0, 12), (0, 7), (2, 12), (3, 12), (3, 7), (4, 12), (5, 12), (5, 7)]
    assert sorted(r.key for r in train) == [
        f"posetrack/{VIDEO}/{NUMBER + index:06d}/{track}" for index, track in expected
    ]
    for record in train:
        assert record.format == "posetrack_2d" and record.joints_px.shape == (17, 2)
        if record.person == str(MOVING):
            miniature.assert_marked_2d(record)
            assert np.ptp(record.joints_px[:, 1]) == pytest.approx(record.box[3], rel=0.08)
    report = json.loads((tmp_path / "posetrack/1.0.0/report.json").read_text())
    assert report["total"]["left_out"] == {"broken": 1}


def test_other_joints_are_one_line(raw, tmp_path):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    path = other / f"posetrack_data/annotations/train/{VIDEO}.json"
    path.write_text(path.read_text().replace('"head_bottom", ', ""))
    with pytest.raises(
        ValueError, match=r"mpii.json is of another version: its joints are \['nose', 'head_top'"
    ):
        building.plan(posetrack, other, tmp_path / "out")
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ValueError, match=r"001735_mpii.json is not JSON"):
        building.plan(posetrack, other, tmp_path / "out")
