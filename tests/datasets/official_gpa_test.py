"""GPA: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import miniature
import numpy as np
import pytest

from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets import building
from acae_jax.datasets.official import gpa
from acae_jax.geometry import cameras
from acae_jax.images import decoding, masks

COUNT = 9  # images of each of two cameras, which take turns
NUMBERS = [1234 + 100 * i for i in range(2 * COUNT)]  # across folders of six digits
CAMERAS = [camera._replace(distortion=np.zeros(12)) for camera in miniature.ring(2)]
WORLD_MM = np.repeat(miniature.people_mm(34, COUNT)[:, 0], 2, axis=0)
WORLD_MM[4:8:2] = WORLD_MM[2]  # the first camera's third and fourth image are as its second
TEST_ONLY = 16  # an image for testing


def seen_mm(index: int) -> np.ndarray:
    """The joints in the coordinates of an image's camera."""
    camera = CAMERAS[index % 2]
    return (WORLD_MM[index] - camera.position_mm) @ camera.rotation.T


def truth(index: int) -> cameras.Camera:
    return cameras.create(CAMERAS[index % 2].intrinsics)


def annotation(index: int) -> dict:
    k = CAMERAS[index % 2].intrinsics
    return {
        "id": index,
        "joint_cams": seen_mm(index).T.tolist(),
        "f": [k[0, 0], k[1, 1]],
        "c": [k[0, 2], k[1, 2]],
        "istrains": index != TEST_ONLY,
    }


def write_release(raw: Path) -> None:
    names = [f"{number:010d}" for number in NUMBERS]
    labels = {
        "info": {"version": 1},
        "images": [{"file_name": f"some/folder/{name}.png"} for name in names],
        "annotations": [annotation(index) for index in range(2 * COUNT)],
        "categories": [],
    }
    (raw / gpa.LABELS).write_text(json.dumps(labels))
    numbers = np.full(NUMBERS[-1] + 5, 7)
    numbers[NUMBERS] = [0, 3] * COUNT
    (raw / "Sequence_ids").mkdir()
    np.save(raw / gpa.CAMERA_NUMBERS, numbers)
    for index, name in enumerate(names):
        folder = f"{name[:6]}/{name[6:8]}" if index % 4 < 2 else ""  # grouped, or as unpacked
        image = miniature.picture(truth(index), [seen_mm(index)])
        miniature.write_image(raw / gpa.IMAGES / folder / f"{name}.jpg", image)
        mask = np.zeros_like(image)
        mask[..., 0] = 128 * miniature.mask(truth(index), seen_mm(index))
        miniature.write_image(raw / gpa.MASKS / folder / f"{name}_mask.jpg", mask)


def test_units_are_parts_of_cameras(raw):
    assert {unit.name.split("/")[0] for unit in gpa.units(raw)} == {"0", "3", "7"}
    assert {unit.split for unit in gpa.units(raw)} == {"train"}


def test_joints_and_cameras_come_back(raw):
    found = {0: [], 3: [], 7: []}
    for name, frames in miniature.frames(gpa, raw).items():
        for frame in frames:
            index = NUMBERS.index(frame.index)
            found[int(name.split("/")[0])].append(index)
            miniature.assert_joints(frame.people[0].joints_mm, seen_mm(index))
            assert frame.camera is not None
            miniature.assert_same_camera(frame.camera, truth(index), seen_mm(index))
            assert frame.up == (0, -1, 0)
    # Without those that are as the one before, and without the one for testing.
    assert found == {0: [0, 2, 8, 10, 12, 14], 3: list(range(1, 2 * COUNT, 2)), 7: []}


def test_records_show_the_person_and_its_mask(raw, tmp_path):
    train = miniature.build(gpa, raw, tmp_path)["train"]
    assert len(train) == 15
    record: CropRecord
    for record in train:
        miniature.assert_marked(record)
        shown = masks.decode(record.mask_rle, *decoding.size(record.image))
        image = decoding.decode(record.image).astype(int)
        is_person = np.abs(image - miniature.COLOURS[0]).max(axis=-1) < 60
        assert (is_person & shown.astype(bool)).sum() > 0.95 * is_person.sum()
        assert shown.sum() < 1.2 * is_person.sum()  # the mark is in the mask
    assert {r.key for r in train} >= {f"gpa/camera3/{NUMBERS[1]:06d}/0"}


def test_a_broken_image_is_named(raw, tmp_path):
    (tmp_path / "0000000001.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match=r"0000000001.jpg: .*cut short"):
        gpa._read(tmp_path, "0000000001")


def test_another_file_of_cameras_is_one_line(raw, tmp_path):
    for name in (gpa.LABELS, gpa.IMAGES, gpa.MASKS):
        (tmp_path / name).symlink_to(raw / name)
    (tmp_path / "Sequence_ids").mkdir()
    (tmp_path / gpa.CAMERA_NUMBERS).write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"cam_ids_750k.npy: it is no array.*download it again"):
        building.plan(gpa, tmp_path, tmp_path / "out")
