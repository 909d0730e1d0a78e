"""Whether builders read real files of releases right.

    python launch/samples_test.py --samples SAMPLES

SAMPLES holds a folder for each of some datasets, with files that their terms forbid to give on:

h36m      metadata.xml, and test_h36m_body3d.npz as MMPose has it in tests/data: the cameras project
          its 3D joints onto the release's 2D joints
panoptic  some sequences with calibration and poses: people are in view of their cameras, their
          bones keep their lengths, and left ones are as long as right ones
mpi_inf_3dhp  ts1-4cameras.calib, and cameras_train.pkl and test_3dhp_test.npz as MMPose has them in
          tests/data: the camera of the test set is number 8 of the training set, and fitted
          intrinsics project its 3D joints onto the release's 2D joints
mpii      images and test_mpii.json as MMPose has it in tests/data, written as the release's MATLAB
          file: the detector sees the people where their labels are
posetrack18  images and annotations of some validation videos: likewise

Prints a line for each, or says what is wrong. Folders that are not there are skipped.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import scipy.io

from acae_jax.datasets import building, frames_to_records, release
from acae_jax.datasets.official import h36m, mpii, panoptic, posetrack, tdhp_full
from acae_jax.datasets.readers import pickled_tables
from acae_jax.datasets.release import Builder
from acae_jax.datasets.steps import placed
from acae_jax.files import json_files
from acae_jax.geometry import boxes, cameras


def of_h36m(folder: Path) -> str:
    """Reprojection of four frames, px."""
    known = h36m.read_cameras(folder / "metadata.xml")
    errors_px = []
    with np.load(folder / "test_h36m_body3d.npz", allow_pickle=False) as file:
        for name, joints_m, joints_px in zip(file["imgname"], file["S"], file["part"], strict=True):
            subject, camera = int(name[1 : name.index("/")]), name.split(".")[1][:8]
            points_mm = 1000 * joints_m[:, :3].astype(float)  # of the camera
            seen_px = cameras.camera_to_image(known[camera, subject], points_mm)
            errors_px.append(np.abs(seen_px - joints_px[:, :2]).max())
    check(max(errors_px) < 1e-3, f"joints are {max(errors_px):.3f} px off")
    return f"{len(errors_px)} frames, joints at most {max(errors_px):.1e} px off"


def of_panoptic(folder: Path) -> str:
    """People in view, and bones."""
    joints = release.joint_names(panoptic.RELEASE)
    bones = {
        side: [
            [joints.index(side + end) for end in ends] for ends in (("sho", "elb"), ("hip", "kne"))
        ]
        for side in "lr"
    }
    sequences = sorted(folder.glob("*/calibration_*.json"))
    differences, in_view = [], []
    for path in sequences:
        camera, size_px = panoptic.read_camera(path, "00_00")
        for poses in sorted(path.parent.glob("hdPose3d_stage1_coco19/*.json")):
            for mm in panoptic.read_people(poses):
                seen_px = frames_to_records.projected_px(camera, mm)
                in_view.append(((seen_px > 0) & (seen_px < size_px)).all(axis=1).mean())
                left, right = (
                    np.array([np.linalg.norm(mm[a] - mm[b]) for a, b in bones[side]])
                    for side in "lr"
                )
                differences.append(np.abs(left - right))
    uneven_mm, share = float(np.nanmedian(differences)), float(np.mean(in_view))
    check(uneven_mm < 30, f"left bones differ from right ones by {uneven_mm:.0f} mm")
    check(share > 0.5, f"only {share:.0%} of the joints are in view")
    return (
        f"{len(sequences)} sequences, {len(in_view)} people, {share:.0%} of the joints in view, "
        f"left and right bones differ by {uneven_mm:.0f} mm"
    )


def of_mpi_inf_3dhp(folder: Path) -> str:
    """The camera of the test set, and reprojection of two frames of it."""
    camera = tdhp_full.read_test_camera(folder / "ts1-4cameras.calib")
    same = pickled_tables.read(folder / "cameras_train.pkl")["S8_Seq1_Cam8"]
    shift_mm = -camera.rotation @ camera.position_mm - 1000 * same["T"].ravel()
    turn, away_mm = np.abs(camera.rotation - same["R"]).max(), np.abs(shift_mm).max()
    check(turn < 1e-5 and away_mm < 0.1, f"the camera is {away_mm:.1f} mm away, {turn:.1e} turned")
    errors_px = []
    with np.load(folder / "test_3dhp_test.npz", allow_pickle=False) as file:
        for joints_m, joints_px in zip(file["S"], file["part"], strict=True):
            mm, px = 1000 * joints_m[:, :3].astype(float), joints_px[:, :2].astype(float)
            fitted = cameras.create(placed.intrinsics(mm, px))
            errors_px.append(np.linalg.norm(cameras.project(fitted, mm) - px, axis=1))
    middle = float(np.median(errors_px))
    check(middle < 0.5, f"joints are {middle:.2f} px off")
    return f"test camera {away_mm:.3f} mm off, joints {middle:.2f} px off in the median"


def of_mpii(folder: Path) -> str:
    """Labels in detections."""
    with tempfile.TemporaryDirectory() as temporary:
        raw = Path(temporary)
        (raw / "images").symlink_to(folder.resolve())
        people = [
            one
            for one in json_files.read(folder / "test_mpii.json")
            if (folder / one["image"]).exists()
        ]
        entries = []
        for one in people:
            points = [
                {"x": x, "y": y, "id": joint}
                for joint, (x, y) in enumerate(one["joints"])
                if one["joints_vis"][joint]
            ]
            person = _structs([{"annopoints": _structs([{"point": _structs(points)}])}])
            entries.append({"image": _structs([{"name": one["image"]}]), "annorect": person})
        content = {"annolist": _structs(entries), "img_train": np.ones((1, len(entries)))}
        path = raw / "mpii_human_pose_v1_u12_1.mat"
        scipy.io.savemat(path, {"RELEASE": _structs([content])})
        return _in_detections(mpii, raw)


def of_posetrack(folder: Path) -> str:
    """Labels in detections."""
    with tempfile.TemporaryDirectory() as temporary:
        raw = Path(temporary)
        (raw / "posetrack_data/annotations").mkdir(parents=True)
        labels = raw / "posetrack_data/annotations/train"
        labels.symlink_to((folder / "annotations/val").resolve())
        (raw / "images").mkdir()
        for part in ("train", "val"):  # the files name the images of the validation videos
            (raw / "images" / part).symlink_to((folder / "images/val").resolve())
        return _in_detections(posetrack, raw)


def _in_detections(builder: Builder, raw: Path) -> str:
    """Whether the detector sees the people of a 2D dataset where their labels are."""
    building.check(builder, raw)
    networks = frames_to_records.Networks()
    tally = frames_to_records.Tally(builder.RELEASE)
    frames = (frame for unit in builder.units(raw) for frame in builder.frames(raw, unit))
    records = list(frames_to_records.records(builder.RELEASE, frames, networks, tally))
    check(not tally.left_out, f"people or frames are left out: {dict(tally.left_out)}")
    overlaps = [float(boxes.iou(r.box, boxes.of_points(r.joints_px))) for r in records]
    check(
        min(overlaps) > 0.4, f"a detection has an IoU of {min(overlaps):.2f} with the labels' box"
    )
    return (
        f"{len(records)} people are detected where their labels are, with an IoU of "
        f"{min(overlaps):.2f} to {max(overlaps):.2f}"
    )


def _structs(rows: list[dict]) -> np.ndarray:
    """An array of structs as scipy writes it."""
    array = np.zeros((1, len(rows)), [(name, object) for name in rows[0]])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row.values())
    return array


CHECKS = {
    "h36m": of_h36m,
    "panoptic": of_panoptic,
    "mpi_inf_3dhp": of_mpi_inf_3dhp,
    "mpii": of_mpii,
    "posetrack18": of_posetrack,
}


def check(is_right: bool, wrong: str) -> None:
    """End with one line unless all is right."""
    if not is_right:
        raise SystemExit(wrong)


def main() -> None:
    """Run the checks of the folders that are there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=Path, required=True)
    samples = parser.parse_args().samples
    for name, run in CHECKS.items():
        if (samples / name).is_dir():
            print(f"{name:14}{run(samples / name)}")


if __name__ == "__main__":
    main()
