"""BEHAVE: a tiny official release comes back as it was made."""

import json
import pickle
import shutil
from pathlib import Path

import miniature
import numpy as np
import pytest
import small_body

from acae_jax.datasets import building
from acae_jax.datasets.official import behave

COUNT = 6
LENS = (0.4, -2.5, 0.0008, -0.0003, 1.4, 0.3, -2.3, 1.35)  # as the Kinects': eight coefficients
VIEWS = miniature.ring(4, up="-y", lens=LENS, distance_mm=3500)
SEQUENCES = {
    "Date01_Sub01_backpack_back": ("male", "train"),
    "Date03_Sub03_chairwood_hand": ("female", "test"),
}
STANDS, UNFITTED, BROKEN, WITHOUT_OPENPOSE = 2, 3, 4, 5  # frames
MODELS = {
    (kind, gender): small_body.content(joints, 7 * row + joints)
    for kind, joints in {"smplh": 52, "smpl": 24}.items()
    for row, gender in enumerate(("female", "male"))
}
TURNED_OVER = np.array([np.pi, 0, 0])  # the model's y is upwards, the world's downwards


def moment(gender: str, index: int) -> tuple[dict, np.ndarray, np.ndarray]:
    """The fit, OpenPose's points with scores, and all labels in m."""
    index = index - 1 if index == STANDS else index
    random = np.random.default_rng(index)
    pose = small_body.poses(52, 1, index)[0]
    pose[0] = TURNED_OVER + 0.01
    betas, trans = random.normal(size=10), np.array([0.2 * (index % 2), -1.75, 0.05])
    body = small_body.placed(MODELS["smplh", gender], pose, betas, trans)[0]
    smpl = small_body.placed(MODELS["smpl", gender], pose[:24], betas, trans)[0]
    hands = [body[wrist] + smpl[wrist + 2] - smpl[wrist] for wrist in (20, 21)]
    points = np.concatenate([body[:25] + 0.03, random.uniform(0.1, 1, (25, 1))], axis=1)
    points[4] = 0
    other = points[:, :3].copy()
    other[4] = np.nan
    if index == WITHOUT_OPENPOSE:
        other[:] = np.nan
    joints_m = np.concatenate([body[1:22], hands, body[:1], other[:8], other[9:], other[8:9]])
    return {"pose": pose.ravel(), "betas": betas, "trans": trans}, points, joints_m


def write_cameras(raw) -> None:
    for number, camera in enumerate(VIEWS):
        config = raw / f"calibs/Date01/config/{number}/config.json"
        lens = raw / f"calibs/intrinsics/{number}/calibration.json"
        for path in (config, lens):
            path.parent.mkdir(parents=True)
        config.write_text(json.dumps({
            "rotation": camera.rotation.T.ravel().tolist(),
            "translation": (camera.position_mm / 1000).tolist(),
        }))  # fmt: skip
        (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
        colour = {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "opencv": [fx, fy, cx, cy, *LENS]}
        lens.write_text(json.dumps({"color": colour, "depth": {"fx": 1.0}}))


def write_moment(folder, gender: str, index: int) -> None:
    fit, points, joints_m = moment(gender, index)
    fit_path = folder / "person/fit02/person_fit.pkl"
    for number, camera in enumerate(VIEWS):
        picture = miniature.picture(camera, [1000 * joints_m[:24]])
        miniature.write_image(folder / f"k{number}.color.jpg", picture)
        mask = 255 * miniature.mask(camera, 1000 * joints_m[:24])
        suffix = "png" if number == 1 else "jpg"
        if number < 3:  # the last camera has no masks
            path = folder / f"k{number}.person_mask.{suffix}"
            miniature.write_image(path, np.repeat(mask[..., None], 3, axis=-1))
    if index != UNFITTED:
        fit_path.parent.mkdir(parents=True)
        content = pickle.dumps(fit, protocol=2)
        fit_path.write_bytes(content[:50] if index == BROKEN else content)
    if index != WITHOUT_OPENPOSE:
        path = folder / "person/person_J3d.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"body_joints3d": points.ravel().tolist()}))


def write_release(raw: Path) -> None:
    for (kind, gender), made in MODELS.items():
        small_body.write(raw / f"body_models/{kind.upper()}_{gender}.npz", made)
    write_cameras(raw)
    splits = {"train": [], "test": ["Date01_Sub09_not_here"]}
    for sequence, (gender, split) in SEQUENCES.items():
        splits[split].append(sequence)
        folder = raw / "sequences" / sequence
        for index in range(COUNT):
            write_moment(folder / f"t{index + 3:04d}.000", gender, index)
        info = {
            "gender": gender, "kinects": [0, 1, 2, 3], "cat": "backpack", "empty": None,
            "config": "../../calibs/Date01/config", "intrinsic": "../../calibs/intrinsics",
        }  # fmt: skip
        (folder / "info.json").write_text(json.dumps(info))
    (raw / "split.json").write_text(json.dumps(splits))


def test_joints_cameras_and_masks_come_back(raw):
    assert {u.name: u.split for u in behave.units(raw)} == {
        name: split for name, (_, split) in SEQUENCES.items()
    }
    for name, frames in miniature.frames(behave, raw).items():
        gender, split = SEQUENCES[name]
        indices = [0, 1, 5] if split == "train" else [0, 1, 2, 5]
        good = [frame for frame in frames if frame.people]
        assert len(frames) == len(good) + 1
        expected = [(i, str(n)) for i in indices for n in range(4)]
        assert [(frame.index, frame.camera_name) for frame in good] == expected
        for frame in good:
            (person,) = frame.people
            camera = VIEWS[int(frame.camera_name)]
            _, _, joints_m = moment(gender, frame.index)
            miniature.assert_joints(person.joints_mm, 1000 * joints_m)
            miniature.assert_same_camera(frame.camera, camera, 1000 * joints_m)
            if frame.camera_name == "3":
                assert person.mask is None
            else:
                expected = miniature.mask(camera, 1000 * joints_m[:24]) > 0
                assert (person.mask() != expected).mean() < 0.003


def test_records_show_the_person_and_a_broken_fit_costs_its_moment(raw, tmp_path):
    splits = miniature.build(behave, raw, tmp_path)
    assert (len(splits["train"]), len(splits["test"])) == (12, 16)
    for record in [*splits["train"], *splits["test"]]:
        assert record.joints_mm.shape == (49, 3) and len(record.mask_rle)
        miniature.assert_marked(record)
    report = json.loads(next(tmp_path.glob("behave/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 2}
    assert "t0007.000" in json.dumps(report)


def test_missing_archives_and_models_are_one_line(raw, tmp_path):
    for name in ("calibs", "sequences"):
        (tmp_path / name).symlink_to(raw / name, target_is_directory=True)
    shutil.copytree(raw / "body_models", tmp_path / "body_models")
    splits = {"train": ["Date05_Sub05_yogamat"], "test": ["Date01_Sub01_backpack_back"]}
    (tmp_path / "split.json").write_text(json.dumps(splits))
    with pytest.raises(ValueError, match=r"^behave: no sequences of Date05; unpack [^\n]*$"):
        building.plan(behave, tmp_path, tmp_path / "out")
    (tmp_path / "body_models/SMPLH_male.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file of SMPLH for male: register at [^\n]*$"):
        building.plan(behave, tmp_path, tmp_path / "out")
