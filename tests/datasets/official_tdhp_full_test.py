"""MPI-INF-3DHP: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import h5py
import miniature
import numpy as np
import pytest
import release_3dhp
from release_3dhp import CATALOGUE

from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.official import tdhp_full
from acae_jax.datasets.readers import mpi_inf_3dhp
from acae_jax.geometry import cameras
from acae_jax.images import decoding

COUNT = 12  # frames of a video
PEOPLE_MM = miniature.people_mm(28, COUNT, up="y")[:, 0]
PEOPLE_MM[4] = PEOPLE_MM[3] + 30  # hardly moved
PEOPLE_MM[9] += 4000 * release_3dhp.CAMERAS[0].rotation[0]  # out of view
SWAPPED = slice(6, 8)
SIDES = [CATALOGUE.index({"l": "r", "r": "l"}.get(n[0], n[0]) + n[1:]) for n in CATALOGUE]
TEST_JOINTS = [
    "htop", "neck", "rsho", "relb", "rwri", "lsho", "lelb", "lwri", "rhip", "rkne", "rank",
    "lhip", "lkne", "lank", "pelv", "spin", "head",
]  # fmt: skip
OF_TEST = [CATALOGUE.index(name) for name in TEST_JOINTS]
VALID = [0, 2, 3]
TEST_CAMERAS = {
    "TS2": miniature.ring(5, up="y", lens=(0,) * 5)[3],
    "TS5": miniature.ring(5, up="y")[4],
}


def write_test_sequence(folder, name, camera):
    in_camera_mm, labels_px = release_3dhp.seen(camera, PEOPLE_MM[:4])
    path = folder / name / "annot_data.mat"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        for variable, values in (
            ("annot2", labels_px[:, None, OF_TEST]),
            ("annot3", in_camera_mm[:, None, OF_TEST]),
            ("valid_frame", np.isin(np.arange(4), VALID)[None].astype(float)),
        ):
            file.create_dataset(variable, data=values).attrs["MATLAB_class"] = np.bytes_("double")
    for index, joints_mm in enumerate(PEOPLE_MM[:4]):
        image = miniature.picture(camera, [joints_mm[OF_TEST]])
        miniature.write_image(folder / name / f"imageSequence/img_{index + 1:06d}.jpg", image)
    right, down, _ = camera.rotation
    lines = {"origin": camera.position_mm, "up": -down, "right": right}
    text = "\n".join(f"\t{key}\t{' '.join(map(repr, v.tolist()))}" for key, v in lines.items())
    lens = " ".join(map(repr, camera.distortion[:5].tolist()))
    path = folder / "test_util/camera_calibration" / f"ts{'5-6' if name > 'TS4' else '1-4'}cameras"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".calib").write_text(
        "tc camera calibration v0.3\ncamera\t0\tcam_8\n\tframe\t0\n\tfocalLength\t7.3\t# in mm\n"
        f"\tdistortionModel\tOpenCV\n\tdistortion\t{lens}\n{text}\n"
    )


def mask_of(camera, joints_mm):
    """Red where the person is, with the other masks of the release in green."""
    shown = np.zeros((*miniature.SIZE[::-1], 3), np.uint8)
    shown[..., 0] = 255 * miniature.mask(camera, joints_mm)
    shown[:60, :, 1] = 255
    return shown


def shrink(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(mpi_inf_3dhp.SWAPPED, "S4/Seq2", (SWAPPED.start, SWAPPED.stop))
    patch.setitem(mpi_inf_3dhp.FRAME_COUNTS, "S4/Seq2", COUNT)
    patch.setitem(tdhp_full.SHORT, "S4/Seq2/2", 3)


def write_release(raw: Path) -> None:
    folder = raw / "S4/Seq2"
    release_3dhp.write_cameras(folder / "camera.calibration")
    labels_mm = np.concatenate([PEOPLE_MM, PEOPLE_MM[:1] + 300])  # one more than frames
    labels_mm[SWAPPED] = labels_mm[SWAPPED][:, SIDES]
    release_3dhp.write_labels(folder / "annot.mat", labels_mm)
    for number, count in ((0, COUNT), (2, 3)):
        camera = release_3dhp.CAMERAS[number]
        images = [miniature.picture(camera, [mm]) for mm in PEOPLE_MM[:count]]
        miniature.write_video(folder / f"imageSequence/video_{number}.avi", images)
    masks = [mask_of(release_3dhp.CAMERAS[0], mm) for mm in PEOPLE_MM]
    miniature.write_video(folder / "FGmasks/video_0.avi", masks)
    for name, camera in TEST_CAMERAS.items():
        write_test_sequence(raw / "mpi_inf_3dhp_test_set", name, camera)


def test_units_are_videos_and_test_sequences(raw):
    assert [tuple(unit) for unit in tdhp_full.units(raw)] == [
        ("S4/Seq2/0", "train"), ("S4/Seq2/2", "train"), ("TS2", "test"), ("TS5", "test"),
    ]  # fmt: skip


def test_training_labels_come_back(raw):
    units = miniature.frames(tdhp_full, raw)
    assert [frame.index for frame in units["S4/Seq2/0"]] == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
    assert [frame.index for frame in units["S4/Seq2/2"]] == [0, 1, 2]
    for number in (0, 2):
        for frame in units[f"S4/Seq2/{number}"]:
            (person,) = frame.people
            camera = release_3dhp.CAMERAS[number]
            miniature.assert_joints(person.joints_mm, PEOPLE_MM[frame.index])
            miniature.assert_same_camera(frame.camera, camera, PEOPLE_MM[frame.index])
            seen_px = cameras.project(camera, PEOPLE_MM[frame.index])
            np.testing.assert_allclose(person.joints_px, seen_px, atol=0.1)
            assert frame.up == (0, 1, 0)
            if number == 2:
                assert person.mask is None  # its video of masks is missing
            else:
                expected = miniature.mask(camera, PEOPLE_MM[frame.index]).astype(bool)
                both = np.sum(person.mask & expected), np.sum(person.mask | expected)
                assert both[0] > 0.9 * both[1]


def test_test_sequences_have_17_joints_and_all_valid_frames(raw):
    units = miniature.frames(tdhp_full, raw)
    for name, camera in TEST_CAMERAS.items():
        assert [frame.index for frame in units[name]] == VALID
        for frame in units[name]:
            expected_mm = np.full((28, 3), np.nan)
            expected_mm[OF_TEST] = PEOPLE_MM[frame.index, OF_TEST]
            miniature.assert_joints(frame.people[0].joints_mm, expected_mm)
            miniature.assert_same_camera(frame.camera, camera, PEOPLE_MM[frame.index])
            assert (frame.people[0].joints_px is None) == (name == "TS5")
            assert (frame.cropping is None) == (name == "TS2")


def test_records_show_the_person_where_the_labels_are(raw, tmp_path):
    splits = miniature.build(tdhp_full, raw, tmp_path)
    assert len(splits["train"]) == 13 and len(splits["test"]) == 6
    for record in splits["train"]:
        miniature.assert_marked(record)
        camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        joints_px = projected_px(camera, record.joints_mm)  # the box joins theirs and the seen one
        assert (joints_px > record.box[:2]).all()
        assert (joints_px < record.box[:2] + record.box[2:]).all()
    for record in splits["test"]:
        miniature.assert_marked(record, CATALOGUE.index(TEST_JOINTS[0]))
        wall = decoding.decode(record.image)[:8, :8].mean(axis=(0, 1))
        assert (np.ptp(wall) < 4) == (record.clip == "TS5")  # grey outdoors, else corrected
    report = json.loads(next(tmp_path.glob("tdhp_full/*/report.json")).read_text())
    assert report["total"]["worst_reprojection_px"] < 0.01
    assert report["total"]["left_out"] == {}


def test_other_files_are_one_line(raw, tmp_path):
    folder = tmp_path / "S1/Seq1"
    (folder / "imageSequence").mkdir(parents=True)
    (folder / "imageSequence/video_3.avi").touch()
    with pytest.raises(ValueError, match=r"no .*annot.mat; get the sequence anew"):
        tdhp_full.units(tmp_path)
    (folder / "annot.mat").touch()
    (folder / "camera.calibration").write_text("Skeletool\nname 3\n size 1 2\n extrinsic 1 2 3\n")
    with pytest.raises(ValueError, match=r"no camera.calibration of MPI-INF-3DHP"):
        tdhp_full.units(tmp_path)
    release_3dhp.write_cameras(folder / "camera.calibration")
    (tmp_path / "TS1").mkdir()
    (tmp_path / "TS1/annot_data.mat").touch()
    with pytest.raises(ValueError, match=r"no .*ts1-4cameras.calib; put test_util beside"):
        tdhp_full.units(tmp_path)
