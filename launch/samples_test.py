"""Whether builders read real files of releases right.

    python launch/samples_test.py --samples SAMPLES

SAMPLES holds a folder for each of some datasets, with files that their terms forbid to give on:

h36m      metadata.xml, and test_h36m_body3d.npz as MMPose has it in tests/data: the cameras project
          its 3D joints onto the release's 2D joints
panoptic  some sequences with calibration and poses: people are in view of their cameras, their
          bones keep their lengths, and left ones are as long as right ones

Prints a line for each, or says what is wrong. Folders that are not there are skipped.
"""

import argparse
from pathlib import Path

import numpy as np

from acae_jax.datasets import frames_to_records, release
from acae_jax.datasets.official import h36m, panoptic
from acae_jax.geometry import cameras


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


CHECKS = {"h36m": of_h36m, "panoptic": of_panoptic}


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
            print(f"{name:10}{run(samples / name)}")


if __name__ == "__main__":
    main()
