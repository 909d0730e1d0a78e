"""HUMAN4D: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from acae_jax.datasets import building
from acae_jax.datasets.official import human4d
from acae_jax.geometry import cameras

COUNT = 5  # poses of a recording
PORTRAIT = (720, 1280)
SENSORS = ("M72e", "M72j")
RECORDINGS = {  # subject and name → which camera took the pictures, and the first offset
    ("S1", "19-07-12-07-32-22"): ("colour", 4),
    ("S1", "19-07-12-08-13-23"): ("infrared", 1),
    ("S2", "19-07-12-08-54-26"): ("colour", 30),
}
JOINTS = [*range(15), *range(16, 33)]
# From colour to depth camera: X_depth = R X_colour + t.
TURN, SHIFT_MM = Rotation.from_euler("xyz", [1, -2, 0.5], degrees=True).as_matrix(), [15, -2, 1.0]


def people(recording: int) -> np.ndarray:
    """The 33 joints by pose; people stand along z."""
    joints_mm = miniature.people_mm(33, COUNT, motion="run" if recording else "walk")[:, 0]
    joints_mm += [0, 300.0 * recording, 0]
    centre_mm = joints_mm.mean(axis=1)
    for joint, up_mm in ((5, 600), (22, -790), (28, -810)):
        joints_mm[:, joint] = centre_mm + np.array([0, 0, up_mm])
    joints_mm[:, 15] = joints_mm[:, 9]
    return joints_mm


def upright(sensor: int, kind: str) -> cameras.Camera:
    """The colour or the depth camera as if it stood."""
    colour = miniature.ring(2, size=PORTRAIT, lens=(0.0,) * 5, distance_mm=5000)[sensor]
    if kind == "colour":
        return colour
    to_world, position_mm = depth_pose(sensor)
    k = colour.intrinsics * 1.02
    k[2, 2] = 1
    lying = to_world.T
    return cameras.create(k, np.stack([-lying[1], lying[0], lying[2]]), position_mm)


def depth_pose(sensor: int) -> tuple[np.ndarray, np.ndarray]:
    """The rotation to the world and the centre of the depth camera, which lies on its side."""
    right, down, forward = upright(sensor, "colour").rotation
    colour_to_world = np.stack([down, -right, forward], axis=1)
    to_world = colour_to_world @ TURN.T
    return to_world, upright(sensor, "colour").position_mm - to_world @ np.array(SHIFT_MM)


def lying_k(camera: cameras.Camera) -> list[float]:
    """The nine numbers of the camera's matrix in the pictures as they are stored."""
    (fx, _, cx), (_, fy, cy) = camera.intrinsics[:2]
    return [fy, 0, cy, 0, fx, 719 - cx, 0, 0, 1]


def write_cameras(raw: Path) -> None:
    entries = [
        {
            "Device": name,
            "Color Intrinsics": [{"1280x720": lying_k(upright(sensor, "colour"))}],
            "Depth Intrinsics": [{"1280x720": lying_k(upright(sensor, "infrared"))}],
            "Color Depth Rotation": TURN.ravel().tolist(),
            "Color Depth Translation": [mm / 1000 for mm in SHIFT_MM],
        }
        for sensor, name in enumerate(SENSORS)
    ]
    (raw / "device_repository.json").write_text(json.dumps(entries))
    (raw / "S1/device_repository.json").write_text(json.dumps(entries))
    for subject in ("S1", "S2"):
        (raw / subject / "pose").mkdir()
        for sensor, name in enumerate(SENSORS):
            to_world, position_mm = depth_pose(sensor)
            np.savetxt(
                raw / subject / f"pose/{name}.extrinsics", np.concatenate([to_world, [position_mm]])
            )


def write_recording(folder: Path, number: int, kind: str, offset: int) -> None:
    (folder / "Dump/gposes3d").mkdir(parents=True)
    joints_mm = people(number)
    for index, mm in enumerate(joints_mm):
        np.save(folder / f"Dump/gposes3d/{index}.npy", mm[None])
    for sensor, name in enumerate(SENSORS):
        camera = upright(sensor, kind)
        seen_px = np.stack([cameras.project(camera, mm) for mm in joints_mm])
        lying_px = np.stack([seen_px[..., 1], 719 - seen_px[..., 0]], axis=-1)
        if number < 2:
            np.save(folder / f"INF_Running_{name}_2d.npy", lying_px.astype(int)[:, None])
        for index, mm in enumerate(joints_mm[: 3 if sensor else COUNT]):
            image = miniature.picture(camera, [mm], PORTRAIT)
            miniature.write_image(
                folder / f"Dump/color/{index + offset - 1}_{name}_color_{900 + index}.png",
                cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
            )


def write_release(raw: Path) -> None:
    for number, ((subject, name), (kind, offset)) in enumerate(RECORDINGS.items()):
        write_recording(raw / subject / name, number, kind, offset)
        with (raw / subject / "offsets.txt").open("a") as file:
            file.write(f"{name}\t{offset}\t{offset + 7}\n")
    write_cameras(raw)
    poses = raw / "S1/19-07-12-07-32-22/Dump/gposes3d"
    (poses / "1.npy").unlink()
    (poses / "2.npy").write_bytes(b"no array")
    np.save(poses / "3.npy", np.full((1, 33, 3), 250.0))  # nobody was seen
    one_mm = np.load(poses / "4.npy")
    one_mm[0, 20] = 0  # a joint was not seen
    np.save(poses / "4.npy", one_mm)


@pytest.fixture(scope="module")
def frames(raw):
    return miniature.frames(human4d, raw)


def test_units_are_sensors_of_subjects(raw):
    assert {(unit.name, unit.split) for unit in human4d.units(raw)} == {
        (f"{subject}/{name}", "train") for subject in ("S1", "S2") for name in SENSORS
    }


def test_people_and_cameras_come_back(frames):
    recordings = list(RECORDINGS)
    for name, found in frames.items():
        sensor = SENSORS.index(name.split("/")[1])
        for frame in found:
            number = recordings.index(tuple(frame.clip.split("/")))
            kind, offset = RECORDINGS[recordings[number]]
            pose = frame.index - offset + 1
            if not frame.people:
                assert (number, pose) == (0, 2)  # the broken one
                continue
            joints_mm = people(number)[pose, JOINTS]
            if (number, pose) == (0, 4):
                joints_mm[JOINTS.index(20)] = np.nan
            assert frame.camera is not None
            miniature.assert_same_camera(frame.camera, upright(sensor, kind), joints_mm)
            miniature.assert_joints(frame.people[0].joints_mm, joints_mm)
            assert frame.up == (0, 0, 1)
            assert (frame.people[0].joints_px is None) == (number == 2)


def test_poses_that_are_missing_or_alike_are_left_out(frames):
    found = [(frame.clip[3:], frame.index) for frame in frames["S1/M72e"]]
    first, second = (name for subject, name in RECORDINGS if subject == "S1")
    assert found == [*((first, 3 + i) for i in (0, 2, 4)), *((second, i) for i in range(5))]


def test_records_show_the_person_upright(raw, tmp_path):
    train = miniature.build(human4d, raw, tmp_path)["train"]
    assert len(train) > 12
    for record in train:
        miniature.assert_marked(record)
        camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        neck, ankle = cameras.project(camera, record.joints_mm[[5, 21]])
        assert ankle[1] - neck[1] > 5 * abs(ankle[0] - neck[0])
    report = json.loads(next(tmp_path.glob("human4d/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 1 * 2}
    assert report["total"]["worst_reprojection_px"] < 1  # whole px


def test_a_repository_without_a_sensor_is_one_line(raw, tmp_path):
    for path in raw.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "S2").unlink()
    (tmp_path / "S2/pose").mkdir(parents=True)
    (tmp_path / "S2/pose/M72x.extrinsics").touch()
    with pytest.raises(ValueError, match=r"device_repository.json lacks .*M72x; download it again"):
        building.plan(human4d, tmp_path, tmp_path / "out")
    (tmp_path / "device_repository.json").unlink()
    with pytest.raises(ValueError, match=r"no .*device_repository.json; get it from"):
        building.plan(human4d, tmp_path, tmp_path / "out")
