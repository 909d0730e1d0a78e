"""SMPL, SMPL-H and SMPL-X from the user's own files: joints of parameters, without the mesh.

A joint depends on the shape alone, as the regressor says of the unposed surface, and is then moved
by forward kinematics; so of thousands of vertices only the regressed joints are kept. SMPL-X has
points of the surface among its 127 joints, which need their vertices' own deformation; those few
vertices are kept too. Lengths are in metres and rotations are axis times angle, as in all files of
these models. The root turns about its own joint; the translation comes last.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from scipy.spatial.transform import Rotation

from acae_jax import messages
from acae_jax.datasets.readers import pickled_tables
from acae_jax.files import numpy_files

LIMIT_BYTES = 4 << 30
SMPLX_VERTICES = 10475
SMPLX_JOINTS_ON_VERTICES = (
    *(9120, 9929, 9448, 616, 6),  # nose, right and left eye, right and left ear
    *(5770, 5780, 8846, 8463, 8474, 8635),  # big toe, small toe and heel, left and right
    *(5361, 4933, 5058, 5169, 5286),  # left thumb, index, middle, ring and little finger
    *(8079, 7669, 7794, 7905, 8022),  # right ones
)
"""SMPL-X's joints after the 55 of the kinematic tree; then come 51 landmarks of the face."""

_KINDS = {24: "smpl", 52: "smplh", 55: "smplx"}  # by number of joints
_SITES = {
    "smpl": "https://smpl.is.tue.mpg.de",
    "smplh": "https://mano.is.tue.mpg.de",
    "smplx": "https://smpl-x.is.tue.mpg.de",
}
_NEEDED = ("v_template", "shapedirs", "J_regressor", "kintree_table")
_OF_HANDS = ("hands_componentsl", "hands_componentsr", "hands_meanl", "hands_meanr")
_OF_SURFACE = ("posedirs", "weights", "f", "lmk_faces_idx", "lmk_bary_coords")


class Surface(NamedTuple):
    """Points of the surface, each a weighted mean of some of the v vertices that are kept."""

    template_m: Float[np.ndarray, "v 3"]
    by_shape_m: Float[np.ndarray, "v 3 s"]
    by_pose_m: Float[np.ndarray, "v 3 p"]
    by_joint: Float[np.ndarray, "v J"]
    points: Float[np.ndarray, "k v"]


class BodyModel(NamedTuple):
    """The joints of a body model: where they rest, how shape moves them, and whose child each is.

    kind                       smpl, smplh or smplx
    parents                    of each joint; -1 for the root
    rest_m, by_shape_m         J joints; s coefficients: `beta_count` of shape, then of expression
    hand_means                 left and right, 15 joints in axis times angle; empty without hands
    hand_components            left and right principal components of these
    surface                    SMPL-X's joints on the surface; None in other models
    """

    kind: str
    parents: tuple[int, ...]
    rest_m: Float[np.ndarray, "J 3"]
    by_shape_m: Float[np.ndarray, "J 3 s"]
    beta_count: int
    hand_means: Float[np.ndarray, "2 h"]
    hand_components: Float[np.ndarray, "2 c h"]
    surface: Surface | None


def find(folder: str | Path, kind: str, gender: str) -> Path:
    """The file of a model ("smpl", "smplh", "smplx") for "male", "female" or "neutral".

    It may lie at any depth below the folder, under its official name. A FileNotFoundError of one
    line says where to get it and where to put it.
    """
    short = gender if gender == "neutral" else gender[0]
    names = {
        "smpl": rf"(smpl_{gender}|basicmodel_{short}_lbs_.*)\.(npz|pkl)",
        "smplh": rf"(smplh_{gender}\.(npz|pkl)|smplh/{gender}/model\.(npz|pkl))",
        "smplx": rf"smplx_{gender}\.(npz|pkl)",
    }
    pattern = re.compile(rf"(.*/)?{names[kind]}", re.IGNORECASE)
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    found = [path for path in files if pattern.fullmatch(path.relative_to(folder).as_posix())]
    if not found:
        raise FileNotFoundError(
            f"{folder} has no file of {kind.upper()} for {gender}: register at {_SITES[kind]}, "
            f"download the model and put {kind.upper()}_{gender.upper()}.npz or .pkl there"
        )
    return min(found, key=lambda path: path.suffix)  # .npz needs less memory than .pkl


def read(path: str | Path) -> BodyModel:
    """The model of an official file, .npz or .pkl (chumpy's arrays too); none of its code is run.

    Raises FileNotFoundError, and ValueError, in one line, if it is none.
    """
    path = Path(path)
    try:
        content = _Content(path)
        v_template, shapedirs, regressor, kintree = (content.array(name) for name in _NEEDED)
        joints, vertices = regressor.shape
        if joints not in _KINDS or v_template.shape != (vertices, 3):
            raise ValueError(f"it has {joints} joints and {v_template.shape} numbers of vertices")
        kind = _KINDS[joints]
        beta_count = _beta_count(kind, shapedirs.shape[-1])
        return BodyModel(
            kind,
            _parents(kintree),
            regressor @ v_template,
            np.einsum("jv,vas->jas", regressor, shapedirs, optimize=True),
            beta_count,
            *(_hands(content) if kind != "smpl" else (np.zeros((2, 0)), np.zeros((2, 0, 0)))),
            _surface(content, v_template, shapedirs) if kind == "smplx" else None,
        )
    except (ValueError, IndexError) as error:
        why = messages.one_line(error)
        raise ValueError(f"{path} is no model of SMPL's family: {why}") from error


def joints_m(
    model: BodyModel,
    pose: Float[np.ndarray, "n J 3"],
    betas: Float[np.ndarray, "#n b"],
    translation_m: Float[np.ndarray, "#n 3"],
    expression: Float[np.ndarray, "#n e"] | None = None,
) -> Float[np.ndarray, "n J 3"]:
    """The joints of the kinematic tree; fewer coefficients of shape than the model's are enough.

    `pose` includes the root's orientation and, in SMPL-H and SMPL-X, the hands (see
    `pose_with_hands`).
    """
    shape = _coefficients(model, len(pose), betas, expression)
    return _posed(model, pose, shape)[2] + translation_m[:, None]


def joints_and_surface_m(
    model: BodyModel,
    pose: Float[np.ndarray, "n J 3"],
    betas: Float[np.ndarray, "#n b"],
    translation_m: Float[np.ndarray, "#n 3"],
    expression: Float[np.ndarray, "#n e"] | None = None,
) -> Float[np.ndarray, "n K 3"]:
    """All 127 joints of SMPL-X: 55 of the tree, 21 vertices, 51 landmarks of the face.

    ValueError for a model without a surface.
    """
    if model.surface is None:
        raise ValueError(f"{model.kind} has no joints on the surface here; SMPL-X has")
    surface = model.surface
    shape = _coefficients(model, len(pose), betas, expression)
    turns, rest, positions = _posed(model, pose, shape)
    local = Rotation.from_rotvec(pose[:, 1:].reshape(-1, 3)).as_matrix()
    bent = (local - np.eye(3)).reshape(len(pose), -1)
    vertices = surface.template_m + np.einsum("vas,ns->nva", surface.by_shape_m, shape)
    vertices = vertices + np.einsum("vap,np->nva", surface.by_pose_m, bent)
    # A joint takes a vertex x to turn (x - rest) + position; the vertex goes to their mean.
    shifts = positions - (turns @ rest[..., None])[..., 0]
    mean_turns = np.einsum("vj,njab->nvab", surface.by_joint, turns)
    vertices = (mean_turns @ vertices[..., None])[..., 0] + surface.by_joint @ shifts
    return np.concatenate([positions, surface.points @ vertices], 1) + translation_m[:, None]


def pose_with_hands(
    model: BodyModel,
    body_pose: Float[np.ndarray, "n k 3"],
    left: Float[np.ndarray, "n c"],
    right: Float[np.ndarray, "n c"],
) -> Float[np.ndarray, "n J 3"]:
    """The whole pose from that of the joints before the hands, and the hands' coefficients.

    These count from the mean hand (`flat_hand_mean` is false in the models' own code).
    """
    hands = [
        mean + coefficients @ components[: coefficients.shape[1]]
        for mean, components, coefficients in zip(
            model.hand_means, model.hand_components, (left, right), strict=True
        )
    ]
    return np.concatenate([body_pose, *(hand.reshape(len(hand), -1, 3) for hand in hands)], 1)


def _coefficients(
    model: BodyModel, count: int, betas: np.ndarray, expression: np.ndarray | None
) -> Float[np.ndarray, "{count} s"]:
    """All coefficients of each pose, 0 where they are not given."""
    result = np.zeros((count, model.by_shape_m.shape[-1]))
    parts = {"shape": betas, "expression": np.zeros((1, 0)) if expression is None else expression}
    start, stop = 0, model.beta_count
    for name, values in parts.items():
        if values.shape[1] > stop - start:
            raise ValueError(
                f"{values.shape[1]} coefficients of {name} are given; the model has {stop - start}"
            )
        result[:, start : start + values.shape[1]] = values
        start, stop = stop, result.shape[1]
    return result


def _posed(
    model: BodyModel, pose: Float[np.ndarray, "n J 3"], shape: Float[np.ndarray, "n s"]
) -> tuple[Float[np.ndarray, "n J 3 3"], Float[np.ndarray, "n J 3"], Float[np.ndarray, "n J 3"]]:
    """Each joint's orientation, where it rests, and where it is without the translation."""
    turns = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape, 3)
    rest = model.rest_m + np.einsum("jas,ns->nja", model.by_shape_m, shape)
    positions = rest.copy()
    for joint in sorted(range(len(model.parents)), key=lambda j: _depth(model.parents, j)):
        parent = model.parents[joint]
        if parent >= 0:
            bone = (rest[:, joint] - rest[:, parent])[..., None]
            positions[:, joint] = positions[:, parent] + (turns[:, parent] @ bone)[..., 0]
            turns[:, joint] = turns[:, parent] @ turns[:, joint]
    return turns, rest, positions


def _depth(parents: tuple[int, ...], joint: int) -> int:
    return 0 if parents[joint] < 0 else 1 + _depth(parents, parents[joint])


# ----------------------------------------------------------------------------------------- reading


class _Content:
    """The arrays of a file by name."""

    def __init__(self, path: Path):
        self._path = path
        self._pickled = None if path.suffix == ".npz" else pickled_tables.read(path, LIMIT_BYTES)

    def array(self, name: str) -> Any:
        if self._pickled is None:
            (array,) = numpy_files.arrays(self._path, [name], LIMIT_BYTES)
        else:
            array = pickled_tables.numbers(self._pickled, name)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name!r} holds something other than numbers")
        return array if array.dtype.kind in "iu" else array.astype(np.float64, copy=False)


def _beta_count(kind: str, count: int) -> int:
    """How many of the coefficients are of shape; in SMPL-X the others are of expression.

    Its files have 300 and 100 of them, or 10 and 10.
    """
    if kind != "smplx":
        return count
    return 300 if count >= 400 else count // 2


def _parents(kintree: Integer[np.ndarray, "2 J"]) -> tuple[int, ...]:
    """Each joint's parent, from the table of parents' and joints' numbers."""
    parents, numbers = kintree.astype(np.int64).tolist()
    column = {number: index for index, number in enumerate(numbers)}
    result = tuple(column.get(parent, -1) for parent in parents)
    ancestors = np.array(result)
    for _ in result:
        ancestors = np.where(ancestors >= 0, np.array(result)[ancestors], -1)
    if (ancestors >= 0).any() or result.count(-1) != 1:
        raise ValueError("its kintree_table is no tree with one root")
    return result


def _hands(content: _Content) -> tuple[np.ndarray, np.ndarray]:
    left, right, mean_left, mean_right = (content.array(name) for name in _OF_HANDS)
    return np.stack([mean_left.ravel(), mean_right.ravel()]), np.stack([left, right])


def _surface(content: _Content, v_template: np.ndarray, shapedirs: np.ndarray) -> Surface | None:
    """SMPL-X's joints on the surface; None of a model with another surface than SMPL-X's own."""
    if len(v_template) != SMPLX_VERTICES:
        return None
    posedirs, by_joint, faces, lmk_faces, lmk_shares = (content.array(n) for n in _OF_SURFACE)
    corners = faces[lmk_faces.astype(np.int64)].astype(np.int64)
    own = np.array(SMPLX_JOINTS_ON_VERTICES)
    kept, place = np.unique(np.concatenate([own, corners.ravel()]), return_inverse=True)
    points = np.zeros((len(own) + len(corners), len(kept)))
    points[np.arange(len(own)), place[: len(own)]] = 1
    rows = len(own) + np.repeat(np.arange(len(corners)), corners.shape[1])
    np.add.at(points, (rows, place[len(own) :]), lmk_shares.ravel())
    return Surface(v_template[kept], shapedirs[kept], posedirs[kept], by_joint[kept], points)
