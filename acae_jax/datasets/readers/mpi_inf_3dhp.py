"""Cameras and labels of MPI-INF-3DHP's training sequences, of which MuCo-3DHP is made, too.

For 2094 frames of S4/Seq2 the labels of all cameras have left and right swapped; they are swapped
back. Labels of frames that the videos do not have are left out, by the release's own counts.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets.readers import mat
from acae_jax.geometry import cameras
from acae_jax.skeletons import catalogue, skeleton

JOINTS = (0, 1, 2, 8, 12, 13, 17, 21, 22, 26, 27, 7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19,
          20, 3, 6, 4)  # fmt: skip
FRAME_COUNTS = {
    "S1/Seq1": 6416, "S1/Seq2": 12430, "S2/Seq1": 6502, "S2/Seq2": 6081,
    "S3/Seq1": 12488, "S3/Seq2": 12283, "S4/Seq1": 6171, "S4/Seq2": 6675,
    "S5/Seq1": 12820, "S5/Seq2": 12312, "S6/Seq1": 6188, "S6/Seq2": 6145,
    "S7/Seq1": 6239, "S7/Seq2": 6320, "S8/Seq1": 6468, "S8/Seq2": 6054,
}  # fmt: skip
SWAPPED = {"S4/Seq2": (3759, 5853)}


def read_cameras(path: Path) -> dict[int, tuple[cameras.Camera, tuple[int, int]]]:
    """The cameras of camera.calibration by number, and the sizes of their images.

    ValueError if the file is no such calibration.
    """
    found = {}
    name, values = 0, {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            key, *words = line.split() or [""]
            if key == "name":
                name, values = int(words[0]), {}
            elif key in ("size", "intrinsic", "extrinsic"):
                values[key] = np.array(words, float)
            if key == "extrinsic":
                k, placed = (values[part].reshape(4, 4) for part in ("intrinsic", "extrinsic"))
                rotation = placed[:3, :3]
                camera = cameras.create(k[:3, :3], rotation, -rotation.T @ placed[:3, 3])
                width, height = values["size"].astype(int).tolist()
                found[name] = camera, (width, height)
    except (ValueError, LookupError) as error:
        raise ValueError(f"{path} is no camera.calibration of MPI-INF-3DHP: {error}") from None
    if not found:
        raise ValueError(f"{path} is no camera.calibration of MPI-INF-3DHP: it has no camera")
    return found


def labels(
    raw: Path, sequence: str, variable: str, numbers: Sequence[int]
) -> Iterator[Float[np.ndarray, "f 28 d"]]:
    """What annot.mat has of a sequence for each of some cameras, in the catalogue's order.

    annot2 is in px, annot3 in mm of the camera, univ_annot3 scaled so that all are of one height.
    """
    mirror = skeleton.mirror_map(catalogue.dataset_skeleton("tdhp_full").joint_names)
    for rows in mat.cells(raw / sequence / "annot.mat", variable, indices=numbers):
        rows = rows[: FRAME_COUNTS[sequence]].reshape(
            min(len(rows), FRAME_COUNTS[sequence]), 28, -1
        )
        joints = rows[:, list(JOINTS)].astype(np.float64)
        if sequence in SWAPPED:
            swapped = slice(*SWAPPED[sequence])
            joints[swapped] = joints[swapped][:, mirror]
        yield joints
