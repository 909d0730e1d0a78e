"""Folders in the layout of the published MeTRAbs models, with weights and settings as asked for."""

import pickle

import numpy as np
import torch_bytes

NAMES = ("pelv_smpl", "lhip_smpl", "rhip_smpl", "head_coco")

CONFIG = {
    "proc_side": 256,
    "stride_train": 32,
    "stride_test": 32,
    "centered_stride": True,
    "legacy_centered_stride_bug": True,
    "efficientnet_size": "s",
    "depth": 8,
    "box_size_mm": 2200.0,
    "weak_perspective": False,
    "mix_3d_inside_fov": 0.5,
    "affine_weights": "some_file",
    "transform_coords": False,
    "predict_all_and_latents": False,
}


def matrix(points=4):
    """(J, J'): one joint more, the middle of the first two."""
    found = np.zeros((points, points + 1))
    found[:, :points] = np.eye(points)
    found[:2, points] = 0.5
    return found


def skeletons(points=4):
    """All joints in numpy's arrays, and two skeletons in plain lists."""
    return {
        "": {
            "indices": np.arange(points),
            "names": list(NAMES) + [f"more{i}" for i in range(4, points)],
            "edges": np.array([[0, 1]]),
        },
        "smpl_24": {"indices": [2, 0], "names": ["rhip", "pelv"], "edges": [(0, 1)]},
        "kinectv2_25": {"indices": [points], "names": ["middle"], "edges": []},
    }


def write(folder, config=(), points=4, save=None):
    """Write a folder; `save` writes ckpt.pt (without: a head of so many points and no backbone)."""
    folder.mkdir(exist_ok=True)
    lines = [f"{key}: {str(value).lower()}" for key, value in {**CONFIG, **dict(config)}.items()]
    (folder / "config.yaml").write_text("# settings\n" + "\n".join(lines) + "\n")
    names = list(NAMES) + [f"more{i}_x" for i in range(4, points)]
    np.savez(folder / "joint_info.npz", joint_names=names, joint_edges=[[0, 1], [0, 2]])
    np.save(folder / "joint_transform_matrix.npy", matrix(points))
    (folder / "skeleton_infos.pkl").write_bytes(pickle.dumps(skeletons(points)))
    if save is None:
        state = {
            "heatmap_heads.conv_final.weight": np.ones((9 * points, 1280, 1, 1), np.float32),
            "heatmap_heads.conv_final.bias": np.ones(9 * points, np.float32),
        }
        torch_bytes.save(folder / "ckpt.pt", state)
    else:
        save(folder / "ckpt.pt")
    return folder
