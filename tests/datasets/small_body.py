"""Files of body models of some tens of vertices, and their joints by the models' definition.

The bodies stand as people do (joints of `miniature.people_mm`, in metres, y up), with three
vertices about each joint. `placed` is the truth: 4 × 4 matrices, written apart from the reader.
"""

from pathlib import Path

import miniature
import numpy as np

BODY = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
ROOT = 2**32 - 1  # the parent of the root, in the files


def _fingers(first: int) -> tuple[int, ...]:
    """The parents of 2 × 15 joints, after the wrists 20 and 21."""
    chains = ((20, 21)[finger // 5] for finger in range(10))
    return tuple(
        parent for finger, wrist in enumerate(chains)
        for parent in (wrist, first + 3 * finger, first + 3 * finger + 1)
    )  # fmt: skip


PARENTS = {24: (*BODY, 20, 21), 52: (*BODY, *_fingers(22)), 55: (*BODY, 15, 15, 15, *_fingers(25))}


def content(joint_count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """What the file of a model of so many joints holds: 24 SMPL, 52 SMPL-H, 55 SMPL-X."""
    random = np.random.default_rng(seed)
    joints_m = miniature.people_mm(joint_count, 1, up="y", motion="walk")[0, 0] / 1000
    vertices = np.repeat(joints_m, 3, axis=0) + random.normal(size=(3 * joint_count, 3)) / 50
    shares = random.dirichlet(np.ones(3), joint_count)
    regressor = np.zeros((joint_count, 3 * joint_count))
    for joint in range(joint_count):
        regressor[joint, 3 * joint : 3 * joint + 3] = shares[joint]
    weights = random.dirichlet(np.full(joint_count, 0.1), len(vertices))
    table = np.array([[ROOT, *PARENTS[joint_count][1:]], range(joint_count)], np.uint32)
    shapes = 20 if joint_count == 55 else 10
    made = {
        "v_template": vertices,
        "shapedirs": random.normal(size=(*vertices.shape, shapes)) / 50,
        "posedirs": random.normal(size=(*vertices.shape, 9 * (joint_count - 1))) / 200,
        "weights": weights,
        "J_regressor": regressor,
        "kintree_table": table,
    }
    for side in "lr" if joint_count > 24 else "":
        made[f"hands_components{side}"] = random.normal(size=(45, 45)) / 5
        made[f"hands_mean{side}"] = random.normal(size=45) / 5
    if joint_count == 55:
        faces = random.integers(0, len(vertices), (30, 3))
        made |= {
            "f": faces,
            "lmk_faces_idx": random.integers(0, 30, 51),
            "lmk_bary_coords": random.dirichlet(np.ones(3), 51),
        }
    return made


def write(path: Path, made: dict[str, np.ndarray]) -> None:
    """An official .npz file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **made)


def rotation(turn: np.ndarray) -> np.ndarray:
    """Rodrigues' formula."""
    angle = np.linalg.norm(turn)
    x, y, z = turn / max(angle, 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def placed(
    made: dict[str, np.ndarray], pose: np.ndarray, shape: np.ndarray, translation_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The joints (J, 3) and all vertices (v, 3) of one pose (J, 3), in metres."""
    shaped = made["v_template"] + made["shapedirs"][..., : len(shape)] @ shape
    rest = made["J_regressor"] @ shaped
    worlds = []
    for joint, parent in enumerate(PARENTS[len(rest)]):
        local = np.eye(4)
        local[:3, :3] = rotation(pose[joint])
        local[:3, 3] = rest[joint] - (rest[parent] if joint else 0)
        worlds.append(worlds[parent] @ local if joint else local)
    bent = np.concatenate([(rotation(turn) - np.eye(3)).ravel() for turn in pose[1:]])
    posed = shaped + made["posedirs"] @ bent
    moved = np.zeros_like(posed)
    for joint, world in enumerate(worlds):
        own = (posed - rest[joint]) @ world[:3, :3].T + world[:3, 3]
        moved += made["weights"][:, [joint]] * own
    return np.array([world[:3, 3] for world in worlds]) + translation_m, moved + translation_m


def poses(joint_count: int, frame_count: int, seed: int) -> np.ndarray:
    """Random poses (f, J, 3) of people who stand with the y axis upwards and turn a little."""
    random = np.random.default_rng(seed)
    return random.normal(size=(frame_count, joint_count, 3)) * 0.15
