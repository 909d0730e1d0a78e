"""Photographs with labels: small files in the official layouts, and the real ones where they lie.

The real ones are read from the folder that ACAE_SAMPLES names, as in launch/photographs_test.py.
"""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import photographs_test as main
import pytest
from photographs import pictures, scores

import acae_jax
from acae_jax.benchmarks import keypoints
from acae_jax.skeletons import catalogue
from acae_jax.skeletons.skeleton import mirror_map

PLACE = {name: index for index, name in enumerate(keypoints.JOINTS)}
K = np.array([[1145, 0, 512], [0, 1143, 515], [0, 0, 1.0]])
# Of a person who stands 5 m in front of the camera, in m: right joints, then left ones.
STANDING = {"sho": (0.2, -0.5), "elb": (0.25, -0.2), "wri": (0.25, 0.1)}
STANDING |= {"hip": (0.1, 0.0), "kne": (0.1, 0.45), "ank": (0.1, 0.9)}


def standing_m(joint_names, lying=False):
    points = []
    for name in joint_names:
        x, y = STANDING.get(name[1:4], (0.0, -0.6))
        point = (x if name[0] == "l" else -x, y)
        points.append([*(point[::-1] if lying else point), 5.0 + 0.01 * len(points)])
    return np.array(points)


def save_picture(path, height=100, width=120):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 127, np.uint8))


@pytest.fixture
def samples(tmp_path):
    save_studio(tmp_path / "h36m", "test_h36m_body3d.npz", "h36m_17", "S1/S1_Walk.5.jpg", False)
    save_studio(tmp_path / "mpi_inf_3dhp", "test_3dhp_train.npz", "mpi_inf_3dhp_17", "a.jpg", True)
    save_coco_form(tmp_path)
    save_mpii(tmp_path / "mpii")
    return tmp_path


def save_studio(folder, name, skeleton, image, lying):
    points_m = standing_m(catalogue.load(skeleton).joint_names, lying)
    points_px = (points_m / points_m[:, 2:]) @ K[:2].T
    ones = np.ones((len(points_m), 1))
    save_picture(folder / Path(image).name)
    np.savez(
        folder / name,
        imgname=np.array([image, "absent.jpg"]),
        S=np.stack([np.concatenate([points_m, ones], 1)] * 2),
        part=np.stack([np.concatenate([points_px, ones], 1)] * 2),
    )


def save_coco_form(folder):
    named = {"nose": (50, 20, 2), "left_hip": (60, 60, 1), "right_hip": (0, 0, 0)}
    label = {"keypoints": [number for point in named.values() for number in point]}
    label |= {"image_id": 7, "iscrowd": 0, "bbox": [40, 10, 30, 80], "area": 900.0}
    crowd = {"image_id": 7, "iscrowd": 1, "bbox": [0, 0, 20, 20], "keypoints": []}
    content = {
        "categories": [{"keypoints": list(named)}],
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "absent.jpg"}],
        "annotations": [label, crowd, label | {"image_id": 8}],
    }
    save_picture(folder / "coco" / "a.jpg")
    (folder / "coco" / "labels.json").write_text(json.dumps(content))
    del label["area"], content["annotations"][1:]
    outlines = {"ignore_regions_x": [[0, 9, 9]], "ignore_regions_y": [[0, 0, 8]]}
    content["images"] = [{"id": 7, "file_name": "images/val/v/0.jpg", **outlines}]
    save_picture(folder / "posetrack18/images/val/v/0.jpg")
    path = folder / "posetrack18/annotations/val/v.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


def save_mpii(folder):
    joints = [[10.0 * n, 5.0 * n] for n in range(1, 17)]
    label = {"image": "b.jpg", "joints": joints, "joints_vis": [0] + [1] * 15}
    save_picture(folder / "b.jpg")
    (folder / "labels.json").write_text(
        json.dumps([label, label | {"image": "no.jpg"}, label | {"joints_vis": [1] * 16}])
    )


def test_studio_pictures_have_true_poses_boxes_and_cameras(samples):
    h36m, mpi = pictures.studio(samples)
    assert (h36m.path.name, mpi.path.name) == ("S1_Walk.5.jpg", "a.jpg")
    for picture in (h36m, mpi):
        np.testing.assert_allclose(picture.intrinsics, K, atol=1e-6)
        assert np.isnan(picture.joints_mm[: PLACE["lsho"]]).all()
    np.testing.assert_allclose(h36m.joints_mm[PLACE["lank"], :2], [100, 900])
    np.testing.assert_allclose(h36m.joints_mm[PLACE["rwri"], :2], [-250, 100])
    right, bottom = h36m.box[:2] + h36m.box[2:]
    assert right == pytest.approx(512 + 1145 * 0.25 / 5, abs=2)
    assert bottom == pytest.approx(515 + 1143 * 0.9 / 5, abs=2)
    limbs = [picture.joints_mm[keypoints.LIMBS] for picture in (h36m, mpi)]
    assert [scores.is_upright(each) for each in limbs] == [True, False]


def test_pictures_in_the_form_of_coco(samples):
    coco, posetrack, mpii = pictures.ordinary(samples)
    assert [each.path.name for each in (coco, posetrack, mpii)] == ["a.jpg", "0.jpg", "b.jpg"]
    (person,) = coco.people
    np.testing.assert_array_equal(person.joints_px[PLACE["nose"]], [50, 20])
    np.testing.assert_array_equal(person.joints_px[PLACE["lhip"]], [60, 60])
    assert np.isnan(person.joints_px).any(1).sum() == 15  # the other hip is not labelled
    np.testing.assert_array_equal(person.box, [40, 10, 30, 80])
    assert person.area_px2 == 900
    assert posetrack.people[0].area_px2 == pytest.approx(0.53 * 30 * 80)
    (crowd,) = coco.unlabelled
    np.testing.assert_array_equal(crowd, [[0, 0], [20, 0], [20, 20], [0, 20]])
    np.testing.assert_array_equal(posetrack.unlabelled[0], [[0, 0], [9, 0], [9, 8]])


def test_pictures_of_mpii_count_pixels_from_one_and_have_boxes_of_their_joints(samples):
    mpii = pictures.ordinary(samples)[2]
    first, second = mpii.people
    assert mpii.unlabelled is None
    np.testing.assert_array_equal(first.joints_px[PLACE["rkne"]], [19, 9])
    assert np.isnan(first.joints_px[PLACE["rank"]]).all()
    np.testing.assert_array_equal(second.joints_px[PLACE["rank"]], [9, 4])
    np.testing.assert_allclose(second.box, [9 - 7.5, 4 - 3.75, 165, 82.5])


class Oracle:
    """An estimator that knows the poses of the pictures, and exchanges sides if told so."""

    per_skeleton_joint_names = {"": ("a",), "none": ("b",), "all": keypoints.JOINTS}  # noqa: RUF012

    def __init__(self, found, exchanged=False):
        order = mirror_map(keypoints.JOINTS) if exchanged else slice(None)
        self.found = {key: np.nan_to_num(pose)[order] for key, pose in found.items()}

    def estimate_poses(self, image, boxes, skeleton, intrinsic_matrix=None):
        poses = np.array([self.found[round(float(box[0] + box[2] / 2), 3)] for box in boxes])
        key = "poses2d" if poses.shape[-1] == 2 else "poses3d"
        return {key: poses.astype(np.float32)}

    def detect_poses(self, image, skeleton):
        boxes = np.array([[40, 10, 30, 80, 1], [5, 5, 4, 4, 1], [80, 50, 20, 30, 1]], np.float32)
        pose = next(iter(self.found.values()))
        return {"boxes": boxes, "poses2d": np.array([pose, pose, pose], np.float32)}


def test_an_oracle_makes_no_errors_in_the_studio(samples):
    studio = pictures.studio(samples)
    found = {round(each.box[0] + each.box[2] / 2, 3): each.joints_mm for each in studio}
    rows = scores.of_studio(Oracle(found), studio)
    assert set(rows) == {
        *(f"studio, {group}: {metric}, mm" for group in ("all", "upright", "on the floor")
          for metric in ("MPJPE", "PA-MPJPE")),
        "studio: sides exchanged, of 2",
    }  # fmt: skip
    assert max(rows.values()) < 0.1
    rows = scores.of_studio(Oracle(found, exchanged=True), studio)
    assert rows["studio: sides exchanged, of 2"] == 2
    assert rows["studio, upright: MPJPE, mm"] > 200


def test_who_is_found_and_boxes_of_nobody(samples):
    coco = pictures.ordinary(samples)[0]
    near = coco._replace(
        people=(*coco.people, coco.people[0]._replace(box=np.array([0.0, 0, 9, 9])))
    )
    rows = scores.of_detector(Oracle({0: coco.people[0].joints_px}), [near])
    # The first box is the person's, the second lies in the crowd, the third shows nobody.
    assert rows == {
        "detector: found, %, 0 to 0.1 of the side high (1)": 0.0,
        "detector: found, %, 0.4 to 1 of the side high (1)": 100.0,
        "detector, smaller: OKS": 0.5,
        "detector: boxes of nobody, in 1 pictures": 1.0,
    }


def test_the_table_has_a_column_for_each_bundle(samples, monkeypatch, capsys):
    monkeypatch.setattr(main, "measure", lambda folder, *_: {"a": 1.0, str(folder): 2.25})
    monkeypatch.setattr("sys.argv", ["x", "--samples", str(samples), "--bundles", "one", "two"])
    main.main()
    assert capsys.readouterr().out.splitlines() == [
        "| | one | two |", "|---|---|---|", "| a | 1 | 1 |", "| one | 2.25 | – |",
        "| two | – | 2.25 |",
    ]  # fmt: skip


@pytest.mark.skipif("ACAE_SAMPLES" not in os.environ, reason="ACAE_SAMPLES names no folder")
def test_the_real_photographs():
    samples = Path(os.environ["ACAE_SAMPLES"])
    studio, ordinary = pictures.studio(samples), pictures.ordinary(samples)
    upright = [scores.is_upright(each.joints_mm[keypoints.LIMBS]) for each in studio]
    assert upright == [True, False, True, True, False, False, True, True]
    focal_px = [each.intrinsics[[0, 1], [0, 1]] for each in studio]
    expected = np.array([[1145.0, 1143.8]] * 4 + [[1499, 1499]] * 4)
    np.testing.assert_allclose(focal_px, expected, rtol=0.01)
    assert [len(each.people) for each in ordinary] == [1, 1, 2, 11, 1, 1]
    estimator = acae_jax.load()
    rows = scores.of_studio(estimator, studio[:1])
    assert rows["studio, upright: MPJPE, mm"] < 200
    skier = scores.of_given_boxes(estimator, ordinary[:1])
    assert 0.2 < skier["given boxes, 100 px and higher: OKS"] < 1
