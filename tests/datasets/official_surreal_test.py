"""SURREAL: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest
import scipy.io
import small_body

from acae_jax.datasets import building
from acae_jax.datasets.official import surreal
from acae_jax.geometry import cameras

COUNT = 8
WIDTH, HEIGHT = SIZE = (320, 240)
MODELS = {gender: small_body.content(24, seed) for seed, gender in enumerate(("female", "male"))}
CLIPS = {
    "train/run0/01_01": ("01_01_c0001", "01_01_c0002"), "train/run2/ung_02": ("ung_02_c0001",),
    "val/run1/05_03": ("05_03_c0001",),
}  # fmt: skip
BROKEN = "ung_02_c0001"
STANDS = 3  # the frame in which the person is where it was in the frame before


def clip(stem: str) -> dict[str, np.ndarray]:
    """What the release has of a clip, and the truth: joints in m, in the world."""
    seed = len(stem) + int(stem[-1])
    random = np.random.default_rng(seed)
    count = 1 if stem == "05_03_c0001" else COUNT
    gender = seed % 2
    pose = small_body.poses(24, count, seed)
    # People of motion capture stand along z; their model stands along y.
    lying = small_body.rotation(np.array([np.pi / 2, 0, 0]))
    pose[:, 0] = [cv2.Rodrigues(lying @ small_body.rotation(turn))[0][:, 0] for turn in pose[:, 0]]
    shape, zrot = random.normal(size=10), float(random.uniform(0, 6))
    place = np.array([0.3, -1.1, -0.4]) + 0.15 * np.arange(count)[:, None] * [0.4, 0.1, 1]
    if count > STANDS:
        pose[STANDS], place[STANDS] = pose[STANDS - 1], place[STANDS - 1]
    about_z = small_body.rotation(np.array([0, 0, zrot]))
    joints_m = []
    for one, pelvis in zip(pose.copy(), place, strict=True):
        one[0] = cv2.Rodrigues(lying @ about_z @ small_body.rotation(one[0]))[0][:, 0]
        model = MODELS[("female", "male")[gender]]
        found = small_body.placed(model, one, shape, np.zeros(3))[0]
        joints_m.append(found - found[0] + pelvis)
    joints_m = np.array(joints_m)
    camera = np.array([7.2, -1.0, 0.2])
    released = {
        "pose": pose.reshape(count, 72).T, "shape": np.tile(shape[:, None], (1, count)),
        "joints3D": joints_m.transpose(2, 1, 0), "camLoc": camera[:, None],
        "zrot": np.full((count, 1), zrot), "gender": np.full((count, 1), gender, np.uint8),
        "joints2D": np.round(mirrored_px(joints_m, camera)).transpose(2, 1, 0),
        "bg": np.full((1, count), "lsun.jpg", object), "stride": np.uint8(50),
    }  # fmt: skip
    if count == 1:  # MATLAB has no last axis of one
        released["joints2D"], released["joints3D"] = (
            released[name][..., 0] for name in ("joints2D", "joints3D")
        )
    return {"released": released, "joints_m": joints_m, "camera": camera}


def mirrored_px(joints_m: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """The official formula: looks along -x, with z to the left; pixels from the image's corner."""
    x, y, z = np.moveaxis(joints_m - camera, -1, 0)
    return np.stack([WIDTH / 2 + 600 * -z / -x, HEIGHT / 2 + 600 * y / -x], axis=-1)


def pictures(stem: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The mirrored images, and the pixels of the person in them."""
    truth = clip(stem)
    corners_px = mirrored_px(truth["joints_m"], truth["camera"]) - 0.5
    images, masks = [], []
    for points in corners_px:
        # A camera that sees the pixels as they are.
        camera = cameras.create(np.diag([1.0, 1, 1]))
        flat = np.concatenate([points, np.ones((24, 1))], axis=1)
        images.append(miniature.picture(camera, [flat]))
        masks.append(miniature.mask(camera, flat))
    return images, masks


def write_release(raw: Path) -> None:
    for letter, made in zip("fm", MODELS.values(), strict=True):
        name = f"basicModel_{letter}_lbs_10_207_0_v1.0.0.npz"
        small_body.write(raw / "body_models" / name, made)
    for folder, stems in CLIPS.items():
        for stem in stems:
            path = raw / "cmu" / folder / stem
            images, masks = pictures(stem)
            miniature.write_video(path.with_name(f"{stem}.mp4"), images)
            scipy.io.savemat(f"{path}_info.mat", clip(stem)["released"], do_compression=True)
            segm = {f"segm_{i + 1}": 7 * mask for i, mask in enumerate(masks)}
            if stem == "01_01_c0001":
                segm["segm_3"][:] = 0  # nobody can be seen
            scipy.io.savemat(f"{path}_segm.mat", segm, do_compression=True)
    video = raw / f"cmu/train/run2/ung_02/{BROKEN}.mp4"
    video.write_bytes(video.read_bytes()[:200])


def test_joints_cameras_masks_and_boxes_come_back(raw):
    found = miniature.frames(surreal, raw)
    assert {unit.name: unit.split for unit in surreal.units(raw)} == dict.fromkeys(CLIPS, "train")
    frames = [*found["train/run0/01_01"], *found["val/run1/05_03"]]
    moved = [index for index in range(COUNT) if index != STANDS]
    assert [frame.index for frame in frames] == [*moved, *moved, 0]
    for frame in frames:
        stem = frame.clip.split("/")[-1]
        truth = clip(stem)
        joints_m = truth["joints_m"][frame.index][[*range(1, 24), 0]]
        (person,) = frame.people
        miniature.assert_joints(person.joints_mm, 1000 * joints_m)
        expected = mirrored_px(joints_m, truth["camera"])
        expected[:, 0] = WIDTH - expected[:, 0]
        seen_px = cameras.project(frame.camera, person.joints_mm)
        np.testing.assert_allclose(seen_px, expected - 0.5, atol=0.01)
        assert np.linalg.det(frame.camera.rotation) > 0.999
        assert np.abs(person.joints_px - seen_px).max() < 0.51
        images, masks = pictures(stem)
        assert np.abs(frame.image[:, ::-1].astype(int) - images[frame.index]).mean() < 8
        if stem == "01_01_c0001" and frame.index == 2:
            assert person.box is None
            continue
        np.testing.assert_array_equal(person.mask, masks[frame.index][:, ::-1] > 0)
        x, y, width, height = cv2.boundingRect(person.mask.astype(np.uint8))
        np.testing.assert_allclose(person.box, [x - 0.5, y - 0.5, width, height])


def test_records_show_the_person_and_a_broken_video_is_named(raw, tmp_path):
    splits = miniature.build(surreal, raw, tmp_path)
    records = list(splits["train"])
    assert len(records) == 2 * (COUNT - 1) - 1 + 1
    for record in records:
        miniature.assert_marked(record, joint=23)
    report = json.loads(next(tmp_path.glob("surreal/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 1, "no box": 1}
    assert report["total"]["worst_reprojection_px"] < 0.7
    assert f"{BROKEN}.mp4" in json.dumps(report)


def test_a_missing_body_model_is_one_line(raw, tmp_path):
    (tmp_path / "cmu").symlink_to(raw / "cmu", target_is_directory=True)
    with pytest.raises(FileNotFoundError, match=r"no file of SMPL for female: register at [^\n]*$"):
        building.plan(surreal, tmp_path, tmp_path / "out")
