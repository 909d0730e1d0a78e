"""MS COCO: a tiny official release and one real photograph come back as they were made."""

import json
import shutil
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest

from acae_jax.data import sources
from acae_jax.datasets import building
from acae_jax.datasets.official import coco
from acae_jax.geometry import cameras
from acae_jax.images import decoding, masks

PHOTOGRAPHS = Path(__file__).parent.parent / "photographs"
SIZE = (640, 480)
CAMERA = miniature.ring(1, size=SIZE, lens=(0, 0, 0, 0), distance_mm=3500)[0]
PEOPLE_MM = miniature.people_mm(17, 6, people=3)
NAME = "COCO_{}_{:012d}.jpg"


def seen_px(index: int, person: int) -> np.ndarray:
    return cameras.project(CAMERA, PEOPLE_MM[index, person])


def annotation(number: int, index: int, person: int, flags: list[int]) -> dict:
    points = np.rint(seen_px(index, person))
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    left_top, size = hull.min(axis=0), np.ptp(hull, axis=0) + 1
    labels = [
        [float(x), float(y), flag] if flag else [0, 0, 0]
        for (x, y), flag in zip(points, flags, strict=True)
    ]
    return {
        "id": number,
        "image_id": index,
        "iscrowd": 0,
        "bbox": [*left_top.tolist(), *size.tolist()],
        "keypoints": np.array(labels).ravel().tolist(),
        "segmentation": [(hull + 0.5).ravel().tolist()],
    }


def write_release(raw: Path) -> None:
    """Six images; in each somebody whole, somebody who hardly shows, and somebody half hidden."""
    for folder, indices in (("train2014", range(4)), ("val2014", range(4, 6))):
        images, annotations = [], []
        for index in indices:
            name = NAME.format(folder, index)
            miniature.write_image(
                raw / folder / name, miniature.picture(CAMERA, PEOPLE_MM[index], SIZE)
            )
            images.append({"id": index, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
            # The second has too few labels, too few visible ones, or too few of the limbs.
            few = ([2, 0, 0] * 5 + [2, 0], [2] * 5 + [1] * 12, [2] * 11 + [0] * 6)[index % 3]
            flags = ([2] * 17, few, [2] * 6 + [1] * 6 + [0] * 5)
            for person, values in enumerate(flags):
                annotations.append(annotation(10 * index + person, index, person, values))
        crowd = {"counts": [5, 7], "size": [480, 640]}
        annotations.append(
            {"id": 99, "image_id": 0, "iscrowd": 1, "keypoints": [0] * 51, "segmentation": crowd}
        )
        path = raw / f"annotations/person_keypoints_{folder}.json"
        path.parent.mkdir(exist_ok=True)
        content = {"info": {"year": 2014}, "annotations": annotations, "images": images}
        path.write_text(json.dumps(content))


def test_labels_boxes_and_people_come_back(raw):
    found = [frame for part in miniature.frames(coco, raw).values() for frame in part]
    assert sorted(frame.index for frame in found) == list(range(6))
    for frame in found:
        assert frame.camera is None and frame.clip == (
            "train2014" if frame.index < 4 else "val2014"
        )
        whole, half = frame.people
        assert (whole.id, half.id) == (f"{10 * frame.index}", f"{10 * frame.index + 2}")
        expected_px = np.rint(seen_px(frame.index, 0))
        np.testing.assert_array_equal(whole.joints_px, expected_px)
        low, high = expected_px.min(axis=0) - 0.5, expected_px.max(axis=0) + 0.5
        np.testing.assert_allclose(whole.box, [*low, *(high - low)])
        np.testing.assert_array_equal(half.joints_px[:12], np.rint(seen_px(frame.index, 2))[:12])
        assert np.isnan(half.joints_px[12:]).all()
        expected = miniature.mask(CAMERA, PEOPLE_MM[frame.index, 0], SIZE) > 0
        shown = whole.mask() > 0
        assert (expected & shown).sum() / (expected | shown).sum() > 0.97


def test_records_and_a_broken_image(raw, tmp_path):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    (other / "train2014" / NAME.format("train2014", 1)).write_bytes(b"\xff\xd8 broken")
    train = miniature.build(coco, other, tmp_path)["train"]
    assert {r.frame for r in train} == {0, 2, 3, 4, 5} and len(train) == 10
    for record in train:
        assert record.format == "coco_2d" and record.joints_px.shape == (17, 2)
        marks = list(miniature.marks_px(decoding.decode(record.image)))
        assert min(np.linalg.norm(mark - record.joints_px[0]) for mark in marks) < 1.5
        assert len(record.mask_rle)
    report = json.loads((tmp_path / "coco/1.0.0/report.json").read_text())
    assert report["total"]["left_out"] == {"broken": 1}


def test_a_real_photograph(tmp_path):
    raw = tmp_path / "raw"
    for folder in coco.PARTS:
        (raw / folder).mkdir(parents=True)
        shutil.copy(PHOTOGRAPHS / "skier.jpg", raw / folder / "000000000785.jpg")
        path = raw / f"annotations/person_keypoints_{folder}.json"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(PHOTOGRAPHS / "skier_coco.json", path)
    folder = building.shards.build(building.plan(coco, raw, tmp_path), workers=1)
    assert folder == tmp_path / "coco/1.0.0"
    record = sources.open("coco", tmp_path, "train")[0]
    assert record.key == "coco/train2014/000785/442619"
    # The crop is a part of the image at 384 / 346.68 of its size.
    scale = 384 / 346.68
    np.testing.assert_allclose(record.box[3], 384, rtol=1e-5)
    labels_px = np.array(
        json.loads((PHOTOGRAPHS / "skier_coco.json").read_text())["annotations"][0]["keypoints"],
        float,
    ).reshape(17, 3)[:, :2]
    moved_px = scale * (labels_px - [280.29, 44.23]) + record.box[:2]
    np.testing.assert_allclose(record.joints_px, moved_px, atol=0.01)
    image = decoding.decode(record.image)
    mask = masks.decode(record.mask_rle, *image.shape[:2])
    assert mask.sum() == pytest.approx(27789 * scale**2, rel=0.02)  # the area that COCO states
    on_mask = [mask[round(float(y)), round(float(x))] for x, y in record.joints_px]
    assert sum(on_mask) >= 15


def test_a_missing_archive_is_one_line(raw, tmp_path):
    (tmp_path / "train2014").mkdir()
    with pytest.raises(
        ValueError, match=r"nothing in .* fits annotations/person_keypoints_train2014"
    ):
        building.plan(coco, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
