"""Human3.6M: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import cdflib
import h5py
import miniature
import numpy as np
import pytest

from acae_jax.datasets.official import h36m
from acae_jax.geometry import boxes, cameras

COUNTS = {1: 12, 9: 12, 11: 66}  # frames of a subject's videos
ANGLES = np.array([[-1.4, 0.2, 0.1], [-1.5, -0.4, 2.0], [-1.3, 0.1, -2.2], [-1.6, 0.3, 1.1]])
LENSES = np.tile([352, 350, 160, 118, -0.2, 0.24, -0.002, 0.0015, -0.0009], (4, 1))
LENSES += 0.01 * np.arange(4)[:, None] * LENSES  # each camera has its own
ACTIVITIES = {1: ("Walking 1", "_ALL 1"), 9: ("Greeting", "Greeting 1"), 11: ("Eating",)}


def imar_project(camera_index: int, points_mm: np.ndarray) -> np.ndarray:
    """The release's own projection: no factor 2 in the tangential distortion."""
    fx, fy, cx, cy, k1, k2, k3, p1, p2 = LENSES[camera_index]
    x, y = (points_mm[..., i] / points_mm[..., 2] for i in range(2))
    r2 = x * x + y * y
    both = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * y + p2 * x
    return np.stack([fx * (x * both + p2 * r2) + cx, fy * (y * both + p1 * r2) + cy], axis=-1)


def rotation(angles: np.ndarray) -> np.ndarray:
    """World to camera, of the release's three angles."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        sign = 1 if axis != 1 else -1
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -sign * np.sin(angle), sign * np.sin(angle)
        result = result @ turn
    return result


def position_mm(camera_index: int) -> np.ndarray:
    """Where the camera must be to see the origin in 4.5 m."""
    return np.array([0, 0, 900]) - 4500 * rotation(ANGLES[camera_index])[2]


def write_cdf(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = {
        "Variable": "Pose", "Data_Type": 45, "Num_Elements": 1, "Rec_Vary": True,
        "Var_Type": "zVariable", "Dim_Sizes": list(values.shape), "Num_Dims": values.ndim,
    }  # fmt: skip
    with cdflib.cdfwrite.CDF(path) as file:
        file.write_var(spec, var_data=values[None])


def write_boxes(path, masks):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        references = file.create_dataset("Masks", (len(masks), 1), dtype=h5py.ref_dtype)
        references.attrs["MATLAB_class"] = np.bytes_("cell")
        for index, mask in enumerate(masks):
            stored = file.create_dataset(f"#refs#/{index}", data=mask.T, compression="gzip")
            stored.attrs["MATLAB_class"] = np.bytes_("uint8")
            references[index, 0] = stored.ref


def write_metadata(raw):
    placed = np.zeros((4, 11, 6))
    placed[..., :3] = ANGLES[:, None]
    placed[..., 3:] = np.array([position_mm(index) for index in range(4)])[:, None]
    numbers = " ".join(repr(float(n)) for n in np.concatenate([placed.ravel(), LENSES.ravel()]))
    path = raw / "Release-v1.2/metadata.xml"
    path.parent.mkdir(parents=True)
    path.write_text(f'<?xml version="1.0"?>\n<a>\n<w0>[{numbers}]</w0>\n</a>\n')


def people(subject: int) -> np.ndarray:
    """What the release's 32 joints are in truth, by frame."""
    motion = "run" if subject == 1 else "walk"
    return miniature.people_mm(32, COUNTS[subject], motion=motion)[:, 0]


def truth(camera_index: int) -> cameras.Camera:
    """The camera without its lens: `imar_project` has that."""
    fx, fy, cx, cy = LENSES[camera_index, :4]
    k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return cameras.create(k, rotation(ANGLES[camera_index]), position_mm(camera_index))


def seen_px(camera_index: int, joints_mm: np.ndarray) -> np.ndarray:
    return imar_project(camera_index, cameras.world_to_camera(truth(camera_index), joints_mm))


def write_release(raw: Path) -> None:
    write_metadata(raw)
    for subject, activities in ACTIVITIES.items():
        joints_mm = people(subject)
        for activity in activities:
            folder = raw / f"S{subject}"
            is_shifted = activity == "Greeting" and subject == 9
            labels_mm = joints_mm + np.array([200.0 * is_shifted, 0, 0])
            features = folder / "MyPoseFeatures"
            write_cdf(features / f"D3_Positions/{activity}.cdf", labels_mm.reshape(-1, 96))
            for index, name in enumerate(h36m.CAMERAS[:2]):
                labels_px = seen_px(index, labels_mm)
                write_cdf(
                    features / f"D2_Positions/{activity}.{name}.cdf", labels_px.reshape(-1, 64)
                )
                camera = h36m.read_cameras(raw / h36m.METADATA)[name, subject]
                images = [miniature.picture(camera, [j[list(h36m.JOINTS)]]) for j in joints_mm]
                miniature.write_video(folder / f"Videos/{activity}.{name}.mp4", images)
                masks = [filled(box_of(index, j)) for j in labels_mm]
                write_boxes(folder / f"MySegmentsMat/ground_truth_bb/{activity}.{name}.mat", masks)


def box_of(camera_index: int, joints_mm: np.ndarray) -> np.ndarray:
    """Whole pixels about the joints, as the release's boxes."""
    x, y, width, height = boxes.of_points(seen_px(camera_index, joints_mm))
    return np.array([int(x) - 3, int(y) - 3, int(width) + 6, int(height) + 6])


def filled(box: np.ndarray) -> np.ndarray:
    x, y, width, height = box
    mask = np.zeros(miniature.SIZE[::-1], np.uint8)
    mask[max(y, 0) : y + height, max(x, 0) : x + width] = 1
    return mask


def test_units_are_the_videos_of_single_activities(raw):
    found = {(unit.name, unit.split) for unit in h36m.units(raw)}
    first, second = h36m.CAMERAS[:2]
    assert found == {
        (f"S{s}/{a}.{camera}", "train" if s == 1 else "test")
        for s, activities in ACTIVITIES.items()
        for a in activities
        if a != "_ALL 1"
        for camera in (first, second)
    }


def test_joints_cameras_and_boxes_come_back(raw):
    for name, frames in miniature.frames(h36m, raw).items():
        subject, camera_index = int(name[1:].split("/")[0]), h36m.CAMERAS.index(name[-8:])
        joints_mm = people(subject)
        expected = {1: [0, 5, 10], 9: [0], 11: [0, 64]}[subject]
        assert [frame.index for frame in frames] == expected
        for frame in frames:
            (person,) = frame.people
            expected_mm = joints_mm[frame.index, list(h36m.JOINTS)]
            miniature.assert_joints(person.joints_mm, expected_mm)
            near_mm = np.concatenate([expected_mm, expected_mm + 150, expected_mm - 150])
            found_px = cameras.project(frame.camera, near_mm)
            np.testing.assert_allclose(found_px, seen_px(camera_index, near_mm), atol=0.001)
            np.testing.assert_allclose(frame.camera.position_mm, position_mm(camera_index))
            expected_box = box_of(camera_index, joints_mm[frame.index]) - [0.5, 0.5, 0, 0]
            is_shifted = "S9/Greeting." in name
            np.testing.assert_allclose(person.box, expected_box, atol=6 if is_shifted else 1e-6)
            assert (person.joints_px is None) == is_shifted


def test_records_show_the_person_where_the_labels_are(raw, tmp_path):
    splits = miniature.build(h36m, raw, tmp_path)
    assert len(splits["train"]) == 6 and len(splits["test"]) == 8
    for record in [*splits["train"], *splits["test"]]:
        assert record.format == "h36m" and record.joints_mm.shape == (25, 3)
        assert len(record.mask_rle)
        miniature.assert_marked(record)
    assert {r.key for r in splits["test"]} >= {"h36m/S9/Greeting 1/55011271/000000/S9"}
    report = json.loads(next(tmp_path.glob("h36m/*/report.json")).read_text())
    assert report["total"]["worst_reprojection_px"] < 0.001
    assert report["total"]["left_out"] == {}


def test_another_metadata_file_is_one_line(raw, tmp_path):
    folder = tmp_path / "Release-v1.2"
    folder.mkdir()
    (folder / "metadata.xml").write_text("<a><w0>[1 2 3]</w0></a>")
    with pytest.raises(ValueError, match=r"metadata.xml has 3 numbers in w0, not 300"):
        h36m.units(tmp_path)
