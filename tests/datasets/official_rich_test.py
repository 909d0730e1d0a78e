"""RICH: a tiny official release comes back as it was made."""

import json
import pickle
from functools import partial
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest
import small_body

from acae_jax.datasets import building
from acae_jax.datasets.official import rich
from acae_jax.datasets.readers import body_model, images
from acae_jax.datasets.steps import person_boxes

COUNT = 5
VIEWS = dict(zip(("cam_00", "cam_03"), miniature.ring(2, up="-y"), strict=True))
SEQUENCES = {
    "train/BBQ_008_012_talk": ("008", "012"), "val/LectureHall_012_wipe1": ("012",),
}  # fmt: skip
STANDS, BROKEN, WITHOUT_IMAGE = 2, 3, 4  # frames: 012 in the first; 012's fit; of cam_03
MODELS = {gender: small_body.content(55, seed) for seed, gender in enumerate(("female", "male"))}
ON_VERTICES = tuple(range(5, 5 + 7 * 21, 7))
SMPLX = [*range(25), 28, 43, *range(55, 67), 68, 71, 73]


def shrink(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(body_model, "SMPLX_VERTICES", 3 * 55)
    patch.setattr(body_model, "SMPLX_JOINTS_ON_VERTICES", ON_VERTICES)
    rule = partial(rich.RELEASE.boxes, least_side_px=20.0)
    patch.setattr(rich, "RELEASE", rich.RELEASE._replace(boxes=rule))


def moment(subject: str, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The parameters of a person, and its 42 joints in m."""
    if subject == "012" and index == STANDS:
        index -= 1
    random = np.random.default_rng(index + 10 * int(subject))
    made = MODELS["female" if subject == "012" else "male"]
    pose = small_body.poses(55, 1, index + int(subject))[0]
    pose[0] = [np.pi, 0.02, 0.03]
    hands = random.normal(size=(2, 12)) / 3
    for side, first, coefficients in zip("lr", (25, 40), hands, strict=True):
        turns = made[f"hands_mean{side}"] + coefficients @ made[f"hands_components{side}"][:12]
        pose[first : first + 15] = turns.reshape(15, 3)
    betas, expression = random.normal(size=(2, 10))
    place = np.array([-0.45 if subject == "008" else 0.45, -1.75, 0.2 * (index % 2)])
    tree, surface = small_body.placed(made, pose, np.concatenate([betas, expression]), place)
    joints_m = np.concatenate([tree, surface[list(ON_VERTICES)]])[SMPLX]
    return {
        "betas": betas, "expression": expression, "transl": place, "global_orient": pose[0],
        "body_pose": pose[1:22].ravel(), "jaw_pose": pose[22], "leye_pose": pose[23],
        "reye_pose": pose[24], "left_hand_pose": hands[0], "right_hand_pose": hands[1],
    }, joints_m  # fmt: skip


def write_camera(path, camera) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shift_m = -camera.rotation @ camera.position_mm / 1000
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    file.write("CameraMatrix", np.concatenate([camera.rotation, shift_m[:, None]], axis=1))
    file.write("Intrinsics", np.asarray(camera.intrinsics))
    file.write("Distortion", np.array(miniature.LENS)[:, None])
    file.release()


def write_release(raw: Path) -> None:
    for gender, made in MODELS.items():
        small_body.write(raw / f"body_models/smplx/SMPLX_{gender.upper()}.npz", made)
    for sequence, subjects in SEQUENCES.items():
        split, name = sequence.split("/")
        scene = name.split("_")[0]
        suffix = "bmp" if split == "train" else "png"
        (raw / sequence / "cam_05").mkdir(parents=True)  # it moved: no calibration
        for camera_name, camera in VIEWS.items():
            number = int(camera_name[4:])
            write_camera(raw / f"scan_calibration/{scene}/calibration/{number:03d}.xml", camera)
            for index in range(COUNT):
                people_mm = [1000 * moment(subject, index)[1] for subject in subjects]
                path = raw / sequence / camera_name / f"{index:05d}_{number:02d}.{suffix}"
                if (index, number) != (WITHOUT_IMAGE, 3):
                    miniature.write_image(path, miniature.picture(camera, people_mm))
        for index in range(COUNT):
            for subject in subjects:
                path = raw / f"{split}_body" / name / f"{index:05d}" / f"{subject}.pkl"
                path.parent.mkdir(parents=True, exist_ok=True)
                parameters = {n: v[None] for n, v in moment(subject, index)[0].items()}
                content = pickle.dumps(parameters)
                is_broken = (index, subject, split) == (BROKEN, "012", "train")
                path.write_bytes(content[:90] if is_broken else content)


def test_joints_and_cameras_come_back(raw):
    assert {u.name: u.split for u in rich.units(raw)} == {
        f"{sequence}/{name}": "train" for sequence in SEQUENCES for name in VIEWS
    }
    for unit, frames in miniature.frames(rich, raw).items():
        name = unit.split("/")[-1]
        good = [frame for frame in frames if frame.people]
        if unit.startswith("train"):
            expected = [["008", "012"], ["008", "012"], ["008"], ["008"], ["008", "012"]]
            assert [[p.id for p in frame.people] for frame in good] == expected
            assert len(frames) == COUNT + 1
        else:
            assert [frame.index for frame in good] == [0, 1, 3, 4]
        for frame in good:
            for person in frame.people:
                _, joints_m = moment(person.id, frame.index)
                miniature.assert_joints(person.joints_mm, 1000 * joints_m)
                miniature.assert_same_camera(frame.camera, VIEWS[name], 1000 * joints_m)
            np.testing.assert_allclose(frame.up, -VIEWS[name].rotation[1])
            assert frame.up[1] < -0.9


def test_records_show_people_and_what_is_broken_is_named(raw, tmp_path):
    splits = miniature.build(rich, raw, tmp_path)
    found = {(r.clip, r.camera, r.person, r.frame) for r in splits["train"]}
    first = [("008", i) for i in range(5)] + [("012", i) for i in (0, 1, 4)]
    expected = {("BBQ_008_012_talk", c, *one) for c in VIEWS for one in first}
    expected |= {("LectureHall_012_wipe1", c, "012", i) for c in VIEWS for i in (0, 1, 3, 4)}
    gone = {one for one in expected if one[1] == "cam_03" and one[3] == WITHOUT_IMAGE}
    assert found == expected - gone
    for record in splits["train"]:
        assert record.joints_mm.shape == (42, 3) and len(record.mask_rle)
        miniature.assert_marked(record)
    report = json.loads(next(tmp_path.glob("rich/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 4}  # a fit by two cameras, and two images
    told = json.dumps(report)
    assert "00003/012.pkl" in told and "00004_03.bmp" in told


def test_bmp_files_are_read_whole_or_not_at_all(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = tmp_path / "a.bmp"
    miniature.write_image(path, image)
    np.testing.assert_array_equal(images.read(path), image)
    content = path.read_bytes()
    huge = content[:18] + np.array([60_000, 60_000], "<i4").tobytes() + content[26:]
    for changed, error in (
        (content[:-1], "cut short"),
        (content[:30], "cut short"),
        (huge, "60000 x 60000"),
    ):
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=rf"^.*a\.bmp: BMP [^\n]*{error}[^\n]*$"):
            images.read(path)


def test_boxes_are_large_enough():
    rule = partial(rich.RELEASE.boxes, least_side_px=100.0)
    corners = np.array([[10, 10], [109, 10], [10, 400], [109, 400.0]])
    people = [person_boxes.Seen(corners * [scale, 1]) for scale in (0.9, 1.0)]
    found = rule(people, np.array([-0.5, -0.5, 4112, 3008]), lambda: np.zeros((0, 5), np.float32))
    assert found[0] is None
    np.testing.assert_allclose(found[1], [7.525, 0.25, 103.95, 409.5])


def test_missing_archives_are_one_line(raw, tmp_path):
    for name in ("body_models", "train", "train_body", "val", "val_body"):
        (tmp_path / name).symlink_to(raw / name, target_is_directory=True)
    (tmp_path / "scan_calibration").mkdir()
    (tmp_path / "scan_calibration/BBQ").symlink_to(raw / "scan_calibration/BBQ")
    with pytest.raises(ValueError, match=r"^rich: no .*LectureHall/calibration; unpack [^\n]*$"):
        building.plan(rich, tmp_path, tmp_path / "out")
