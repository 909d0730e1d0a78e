"""MPII: a tiny official release comes back as it was made."""

import json
import shutil
from pathlib import Path

import miniature
import numpy as np
import pytest
import scipy.io

from acae_jax.datasets import building
from acae_jax.datasets.official import mpii
from acae_jax.geometry import boxes, cameras

SIZE = (480, 360)
CAMERA = miniature.ring(4, size=SIZE, lens=(0, 0, 0, 0), distance_mm=3500)[1]
COUNT = 6
PEOPLE_MM = miniature.people_mm(16, COUNT, people=3)
WHOLE, FEW = range(16), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)  # six joints of legs, four of the torso
IS_TRAIN = (1, 1, 0, 1, 1, 1)
NUMBER = 15601864  # of the first image


def seen_px(index: int, person: int) -> np.ndarray:
    return cameras.project(CAMERA, PEOPLE_MM[index, person])


def structs(rows: list[dict]) -> np.ndarray:
    """An array of structs as scipy writes it."""
    fields = list(dict.fromkeys(name for row in rows for name in row))
    array = np.zeros((1, len(rows)), [(name, object) for name in fields])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row.get(name, np.zeros((0, 0))) for name in fields)
    return array


def person(index: int, number: int, joints) -> dict:
    """MATLAB's pixels begin at 1."""
    x, y = np.rint(seen_px(index, number)).T + 1.0
    points = [{"x": x[j], "y": y[j], "id": j, "is_visible": "1"} for j in reversed(joints)]
    return {"x1": 5.0, "annopoints": structs([{"point": structs(points)}])}


def people_of(index: int) -> np.ndarray:
    """The first image has one person, the last nobody, the one before nobody with labels enough."""
    if index == 0:
        return structs([person(0, 0, WHOLE)])
    if index == COUNT - 1:
        return np.zeros((0, 0))
    if index == COUNT - 2:
        return structs([person(index, 0, FEW)])
    return structs(
        [person(index, 0, WHOLE), {"x1": 7.0}, person(index, 1, FEW), person(index, 2, WHOLE)]
    )


def name_of(index: int) -> str:
    return f"{NUMBER + index:09d}.jpg"


def write_release(raw: Path) -> None:
    entries = []
    for index in range(COUNT):
        image = miniature.picture(CAMERA, PEOPLE_MM[index], SIZE)
        miniature.write_image(raw / "images" / name_of(index), image)
        entries.append({"image": structs([{"name": name_of(index)}]), "annorect": people_of(index)})
    release = structs([{"annolist": structs(entries), "img_train": np.array([IS_TRAIN], np.uint8)}])
    path = raw / "mpii_human_pose_v1_u12_2" / "mpii_human_pose_v1_u12_1.mat"
    path.parent.mkdir()
    scipy.io.savemat(path, {"RELEASE": release})


def test_labels_come_back_of_training_images_only(raw):
    found = [frame for part in miniature.frames(mpii, raw).values() for frame in part]
    assert sorted(frame.index - NUMBER for frame in found) == [0, 1, 3]
    for frame in found:
        index = frame.index - NUMBER
        kept = {p.id: p for p in frame.people if p.is_kept}
        assert set(kept) == ({"0"} if index == 0 else {"0", "3"})
        np.testing.assert_array_equal(kept["0"].joints_px, np.rint(seen_px(index, 0)))
        if index:
            (half,) = (p for p in frame.people if not p.is_kept)
            expected_px = np.full((16, 2), np.nan)
            expected_px[list(FEW)] = np.rint(seen_px(index, 1))[list(FEW)]
            np.testing.assert_array_equal(half.joints_px, expected_px)


def test_records_have_the_detectors_boxes(raw, tmp_path):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    (other / "images" / name_of(0)).write_bytes(b"\xff\xd8 broken")
    train = miniature.build(mpii, other, tmp_path)["train"]
    assert sorted(r.key for r in train) == [
        f"mpii/images/{NUMBER + index}/{person}" for index in (1, 3) for person in "03"
    ]
    for record in train:
        assert record.format == "mpii_2d" and record.joints_px.shape == (16, 2)
        assert not len(record.joints_mm) and not len(record.mask_rle)
        miniature.assert_marked_2d(record)
        around = boxes.of_points(record.joints_px)
        assert boxes.iou(record.box, around) > 0.7  # what a neighbour does not hide
    report = json.loads((tmp_path / "mpii/1.0.0/report.json").read_text())
    assert report["total"]["left_out"] == {"broken": 1}


def test_missing_labels_are_one_line(raw, tmp_path):
    (tmp_path / "images").symlink_to(raw / "images")
    with pytest.raises(ValueError, match=r"nothing in .* fits \*\*/mpii_human_pose_v1_u12_1.mat"):
        building.plan(mpii, tmp_path, tmp_path / "out")


def test_other_labels_are_one_line(raw, tmp_path):
    scipy.io.savemat(tmp_path / "mpii_human_pose_v1_u12_1.mat", {"annolist": 1.0})
    with pytest.raises(ValueError, match=r"mat has no RELEASE with annolist and img_train"):
        next(mpii.frames(tmp_path, building.release.Unit("train/0", "train")))
