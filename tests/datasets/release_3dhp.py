"""Files of a tiny MPI-INF-3DHP, of which MuCo-3DHP is made, too."""

from pathlib import Path

import miniature
import numpy as np
import scipy.io

# The official order of the joints, and the catalogue's.
OFFICIAL = [
    "thor", "spi4", "spi2", "spin", "pelv", "neck", "head", "htop", "lcla", "lsho", "lelb",
    "lwri", "lhan", "rcla", "rsho", "relb", "rwri", "rhan", "lhip", "lkne", "lank", "lfoo",
    "ltoe", "rhip", "rkne", "rank", "rfoo", "rtoe",
]  # fmt: skip
CATALOGUE = [
    "thor", "spi4", "spi2", "lcla", "lhan", "rcla", "rhan", "lfoo", "ltoe", "rfoo", "rtoe",
    "htop", "neck", "rsho", "relb", "rwri", "lsho", "lelb", "lwri", "rhip", "rkne", "rank",
    "lhip", "lkne", "lank", "spin", "head", "pelv",
]  # fmt: skip
CAMERAS = miniature.ring(14, up="y", lens=(0,) * 5)


def official(values: np.ndarray) -> np.ndarray:
    """Joints of the catalogue's order in the official one, one row a frame."""
    picked = values[:, [CATALOGUE.index(name) for name in OFFICIAL]]
    return picked.reshape(len(values), -1)


def seen(camera, joints_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints in the space of a camera without a lens, and in its image."""
    in_camera_mm = np.einsum("ij,...j->...i", camera.rotation, joints_mm - camera.position_mm)
    homogeneous = np.einsum("ij,...j->...i", camera.intrinsics, in_camera_mm)
    return in_camera_mm, homogeneous[..., :2] / homogeneous[..., 2:]


def write_cameras(path: Path) -> None:
    """A camera.calibration."""
    lines = ["Skeletool Camera Calibration File V1.0"]
    for number, camera in enumerate(CAMERAS):
        k, placed = np.eye(4), np.eye(4)
        k[:3, :3] = camera.intrinsics
        placed[:3, :3] = camera.rotation
        placed[:3, 3] = -camera.rotation @ camera.position_mm
        lines += [
            f"name          {number}",
            "  sensor      10 10",
            f"  size        {miniature.SIZE[0]} {miniature.SIZE[1]}",
            "  animated    0",
            f"  intrinsic   {' '.join(f'{x:.7g}' for x in k.ravel())} ",
            f"  extrinsic   {' '.join(f'{x:.9g}' for x in placed.ravel())} ",
            "  radial      0",
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_labels(path: Path, joints_mm: np.ndarray) -> None:
    """An annot.mat of joints (frame, 28, 3) in the catalogue's order."""
    variables = {
        name: np.empty((len(CAMERAS), 1), object) for name in ("annot2", "annot3", "univ_annot3")
    }
    for number, camera in enumerate(CAMERAS):
        in_camera_mm, labels_px = seen(camera, joints_mm)
        variables["annot2"][number, 0] = official(labels_px)
        variables["annot3"][number, 0] = official(in_camera_mm)
        variables["univ_annot3"][number, 0] = official(1.1 * in_camera_mm)
    variables["cameras"] = np.arange(len(CAMERAS))[None]
    variables["frames"] = np.arange(len(joints_mm))[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables)
