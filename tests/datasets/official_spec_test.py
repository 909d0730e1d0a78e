"""SPEC-SYN: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import miniature
import numpy as np
import pytest
import small_body

from acae_jax.datasets import building
from acae_jax.datasets.official import spec
from acae_jax.geometry import cameras

SIZE = (640, 480)
MODEL = small_body.content(24)
IMAGES = {"train": ["images/b/00007.png", "images/a/00001.png"], "test": ["images/c/00000.png"]}
SCALES = (1.0, 0.6)  # of the people of an image: the second is a child
FOCAL = 420.0
# The joints in which both have labels: neck, right and left arm, pelvis, right and left leg.
OPENPOSE_OF_SMPL = {12: 1, 17: 2, 19: 3, 21: 4, 16: 5, 18: 6, 20: 7, 0: 8, 2: 9, 5: 10, 8: 11,
                    1: 12, 4: 13, 7: 14}  # fmt: skip
LSP = (8, 5, 2, 1, 4, 7, 21, 19, 17, 16, 18, 20)  # right leg upwards, left leg, right arm, left arm


def camera(image: str) -> tuple[np.ndarray, np.ndarray]:
    """World to camera, looking down, tilted; and intrinsics."""
    number = "bac".index(image[7])
    down = small_body.rotation(np.array([0.5 + 0.1 * number, 0, 0]))
    tilted = small_body.rotation(np.array([0, 0, 0.15 * number]))
    k = np.array([[FOCAL, 0, 322], [0, 1.02 * FOCAL, 236], [0, 0, 1]])
    return tilted @ down, k


def person(image: str, number: int) -> dict[str, np.ndarray]:
    """What the release has of a person, and the truth: joints in m in the world."""
    random = np.random.default_rng(ord(image[7]) + number)
    scale = SCALES[number]
    pose = small_body.poses(24, 1, number + ord(image[7]))[0]
    pose[0] = [np.pi, 0.05, -0.1]  # the model's y is upwards, the world's downwards
    shape = random.normal(size=10)
    body = scale * small_body.placed(MODEL, pose, shape, np.zeros(3))[0]
    rotation, k = camera(image)
    middle = np.array([1.2 * number - 0.6, 0.2, 4.0])  # in the camera
    joints_m = body - body.mean(0) + rotation.T @ middle
    homogeneous = joints_m @ rotation.T @ k.T
    labels_px = homogeneous[:, :2] / homogeneous[:, 2:]
    openpose = random.uniform(0, 400, (25, 3))
    for smpl, one in OPENPOSE_OF_SMPL.items():
        openpose[one] = [*labels_px[smpl], 1]
    openpose[4] = 0  # a wrist without a label
    s = np.zeros((24, 4))
    s[:12, :3] = body[list(LSP)] + random.normal(size=3)
    s[[2, 3], 1] += 0.15  # the hips are others
    return {
        "imgname": image, "pose": pose.ravel(), "shape": shape, "openpose_gt": openpose, "S": s,
        "cam_rotmat": rotation, "cam_int": k, "joints_m": joints_m,
    }  # fmt: skip


def shrink(patch: pytest.MonkeyPatch) -> None:
    rule = spec.RELEASE.boxes
    boxes = type(rule)(rule.func, rule=rule.keywords["rule"], least_side_px=20.0)
    patch.setattr(spec, "RELEASE", spec.RELEASE._replace(boxes=boxes))


def write_release(raw: Path) -> None:
    small_body.write(raw / "body_models/smpl/SMPL_NEUTRAL.npz", MODEL)
    for split, names in IMAGES.items():
        # The people of an image need not be beside each other.
        people = [person(name, number) for number in range(2) for name in names]
        for name in names:
            rotation, k = camera(name)
            joints_mm = [1000 * p["joints_m"] for p in people if p["imgname"] == name]
            view = cameras.create(k, rotation)
            miniature.write_image(raw / "spec-syn" / name, miniature.picture(view, joints_mm, SIZE))
        columns = {name: np.array([p[name] for p in people]) for name in people[0]}
        del columns["joints_m"]
        if split == "train":  # an image whose person has too few labels
            strange = dict(person(names[0], 0), imgname="images/z/00002.png")
            strange["openpose_gt"] = strange["openpose_gt"] * (np.arange(25) < 4)[:, None]
            columns = {n: np.concatenate([c, [strange[n]]]) for n, c in columns.items()}
        path = raw / f"spec-syn/annotations/{split}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **columns)
    miniature.write_image(raw / "spec-syn/images/z/00002.png", np.zeros((*SIZE, 3), np.uint8))


def test_joints_and_cameras_come_back(raw, monkeypatch):
    monkeypatch.setattr(spec, "UNIT_IMAGES", 2)
    found = miniature.frames(spec, raw)
    assert {u.name: u.split for u in spec.units(raw)} == {
        "train/0": "train", "train/1": "train", "test/0": "test"
    }  # fmt: skip
    frames = [*found["train/0"], *found["test/0"]]
    names = ["images/a/00001.png", "images/b/00007.png", "images/c/00000.png"]
    assert [f"{frame.clip}.png" for frame in frames] == names
    for frame, name in zip(frames, names, strict=True):
        rotation, k = camera(name)
        assert [p.id for p in frame.people] == ["0", "1"]
        for number, one in enumerate(frame.people):
            truth = person(name, number)
            miniature.assert_joints(one.joints_mm, 1000 * truth["joints_m"])
            expected = cameras.create(k, rotation)
            miniature.assert_same_camera(frame.camera, expected, 1000 * truth["joints_m"])
            seen_px = cameras.project(expected, 1000 * truth["joints_m"])
            labelled = [joint for joint in OPENPOSE_OF_SMPL if joint != 21]
            np.testing.assert_allclose(one.joints_px[labelled], seen_px[labelled], atol=1e-6)
            assert np.isfinite(one.joints_px).all(1).sum() == len(labelled)


def test_records_show_people_and_who_cannot_be_placed_is_named(raw, tmp_path):
    splits = miniature.build(spec, raw, tmp_path)
    assert (len(splits["train"]), len(splits["test"])) == (4, 2)
    for record in [*splits["train"], *splits["test"]]:
        assert record.format == "spec"
        miniature.assert_marked(record)
    report = json.loads(next(tmp_path.glob("spec/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 1}
    assert report["total"]["worst_reprojection_px"] < 0.01
    assert "3 points have a place and a pixel" in json.dumps(report)


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"pose": np.zeros((2, 66))}, r"spec: pose of .* is of \(66,\), not of \(72,\)"),
        ({"S": None}, r"spec: .*train\.npz: it lacks S"),
        ({"imgname": ["d.png", "e.png"]}, r"spec: no .*spec-syn/d\.png; unpack the images [^\n]*"),
    ],
)
def test_another_version_is_one_line(raw, tmp_path, changes, error):
    for name in ("body_models", "spec-syn"):
        (tmp_path / name).mkdir()
    (tmp_path / "body_models/SMPL_NEUTRAL.npz").symlink_to(
        raw / "body_models/smpl/SMPL_NEUTRAL.npz"
    )
    (tmp_path / "spec-syn/images").symlink_to(raw / "spec-syn/images")
    people = [person("images/c/00000.png", number) for number in range(2)]
    columns = {name: np.array([p[name] for p in people]) for name in people[0]} | changes
    (tmp_path / "spec-syn/annotations").mkdir()
    for split in ("train", "test"):
        path = tmp_path / f"spec-syn/annotations/{split}.npz"
        np.savez(path, **{name: c for name, c in columns.items() if c is not None})
    with pytest.raises(ValueError, match=rf"^{error}$"):
        building.plan(spec, tmp_path, tmp_path / "out")
