"""3DOH50K: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.official import tdoh
from acae_jax.geometry import cameras

NUMBERS = {"trainset": (0, 7, 5001, 5002), "testset": (3,)}
PEOPLE_MM = miniature.people_mm(14, 5)[:, 0]
VIEWS = miniature.ring(5, lens=(0, 0, 0, 0))
BROKEN = 5002


def seen(row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A person in the camera's space (m), in the image (px), and its box."""
    camera = VIEWS[row]
    metres = (PEOPLE_MM[row] - camera.position_mm) @ camera.rotation.T / 1000
    homogeneous = metres @ camera.intrinsics.T
    labels_px = homogeneous[:, :2] / homogeneous[:, 2:]
    return metres, labels_px, np.array([labels_px.min(0) - 9, labels_px.max(0) + 12])


def annotation(row: int) -> dict:
    metres, labels_px, box = seen(row)
    camera = VIEWS[row]
    extrinsics = np.eye(4)
    extrinsics[:3, :3] = camera.rotation
    extrinsics[:3, 3] = -camera.rotation @ camera.position_mm / 1000 * 7
    return {
        "extri": extrinsics.tolist(), "intri": camera.intrinsics.tolist(), "bbox": box.tolist(),
        "betas": [[0.1] * 10], "lsp_joints_2d": labels_px.tolist(),
        "lsp_joints_3d": (7 * metres).tolist(), "smpl_joints_3d": [[0.0] * 3] * 24,
    }  # fmt: skip


def write_release(raw: Path) -> None:
    row = 0
    for folder, numbers in NUMBERS.items():
        annotations = {}
        for number in numbers:
            name = f"{number:05d}"
            annotations[name] = annotation(row)
            image = miniature.picture(VIEWS[row], [PEOPLE_MM[row]])
            miniature.write_image(raw / folder / f"images/{name}.jpg", image)
            if folder == "trainset":
                mask = 255 * miniature.mask(VIEWS[row], PEOPLE_MM[row])
                rgb = np.stack([mask, np.zeros_like(mask), np.zeros_like(mask)], axis=-1)
                miniature.write_image(raw / folder / f"masks/{name}.png", rgb)
            row += 1
        if folder == "trainset":
            annotations["05002"]["lsp_joints_3d"] = []
        (raw / folder / "annots.json").write_text(json.dumps(annotations))


def test_joints_cameras_boxes_and_masks_come_back(raw):
    found = miniature.frames(tdoh, raw)
    assert {name: [frame.index for frame in frames] for name, frames in found.items()} == {
        "trainset/0": [0, 7], "trainset/1": [5001, 5002], "testset/0": [3]
    }  # fmt: skip
    assert {u.name: u.split for u in tdoh.units(raw)}["testset/0"] == "test"
    frames = [*found["trainset/0"], found["trainset/1"][0], *found["testset/0"]]
    for frame, row in zip(frames, (0, 1, 2, 4), strict=True):
        metres, labels_px, (low, high) = seen(row)
        (person,) = frame.people
        miniature.assert_joints(person.joints_mm, 1000 * metres)
        np.testing.assert_allclose(cameras.project(frame.camera, person.joints_mm), labels_px)
        np.testing.assert_allclose(person.joints_px, labels_px)
        np.testing.assert_allclose(person.box, [*low, *(high - low)])
        # The turned camera stands as the real one: what is up in the room is up in the image.
        assert np.dot(VIEWS[row].rotation @ [0, 0, 1], frame.up) > 0.9
        if row == 4:
            assert person.mask is None
        else:
            expected = miniature.mask(VIEWS[row], PEOPLE_MM[row])
            np.testing.assert_array_equal(person.mask(), expected.astype(bool))


def test_records_show_the_person_and_a_broken_annotation_costs_its_image(raw, tmp_path):
    splits = miniature.build(tdoh, raw, tmp_path)
    assert (len(splits["train"]), len(splits["test"])) == (3, 1)
    for record in [*splits["train"], *splits["test"]]:
        assert record.format == "tdoh" and len(record.mask_rle)
        miniature.assert_marked(record)
    report = json.loads(next(tmp_path.glob("tdoh/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 1}
    assert report["total"]["worst_reprojection_px"] < 0.01
    assert "trainset/005002" in json.dumps(report) and "lsp_joints_3d" in json.dumps(report)


def test_a_broken_mask_is_said(raw, tmp_path):
    (person,) = next(tdoh.frames(raw, tdoh.Unit("trainset/0", "train"))).people
    path = tmp_path / "00000.png"
    path.write_bytes((raw / "trainset/masks/00000.png").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"00000\.png"):
        person.mask.func(path)


def test_another_version_is_one_line(tmp_path):
    for pattern in tdoh.RELEASE.layout:
        path = tmp_path / pattern.replace("*", "00000")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"00000": annotation(0) | {"bbox": [1, 2, 3, 4]}}))
    wrong = r"^tdoh: bbox in annots.json is of \(4,\), not of \(2, 2\)$"
    with pytest.raises(ValueError, match=wrong):
        building.plan(tdoh, tmp_path, tmp_path / "out")
    (tmp_path / "testset/annots.json").unlink()
    with pytest.raises(ValueError, match=r"^tdoh: nothing in .* fits testset/annots\.json"):
        building.plan(tdoh, tmp_path, tmp_path / "out")
