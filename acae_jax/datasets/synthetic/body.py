"""The embedded body: shape, pose, skin, and the joints of six formats. NumPy, float32, millimetres.

World: x to the left of a person who stands in the rest pose, y up, z to their front (right-handed);
the floor is y = 0. The rest pose is MakeHuman's: upright, arms lowered to about 45 degrees.

The mesh is a reduced MakeHuman body (CC0 1.0, see assets/LICENSE.CC0.txt), mirror-symmetric. After
its `skin_count` skin vertices come a few points inside the body, one for each of MakeHuman's joint
cubes: they take part in shaping and skinning, and no face uses them. Every joint of every format is
an affine combination of these points, so the relation between formats is exact.

Shape follows MakeHuman's macro targets: a target's weight is the product of the factors in its
name, and each factor is piecewise linear in a slider.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, UInt8

ASSETS = Path(__file__).parent / "assets"
FORMATS = ("mh_default", "cmu_mb", "game_engine", "mixamo", "coco_body", "markers")
REGIONS = (
    "face", "hair", "eye", "mouth", "neck", "torso", "upper_arm", "forearm", "hand",
    "hip", "thigh", "calf", "foot",
)  # fmt: skip
_PEOPLES = ("african", "asian", "caucasian")
_AGE_ANCHORS = (11.0, 25.0, 85.0)  # years of the targets child, young, old


class JointCombinations(NamedTuple):
    """One format: joint j is the sum of weights · points over the entries from `starts[j]` on."""

    joint_names: tuple[str, ...]
    starts: Int[np.ndarray, " J"]
    indices: Int[np.ndarray, " N"]
    weights: Float32[np.ndarray, " N"]


class Body(NamedTuple):
    """The loaded assets."""

    vertices_mm: Float32[np.ndarray, "V 3"]
    targets_mm: Float32[np.ndarray, "T V*3"]
    target_names: tuple[str, ...]
    faces: Int[np.ndarray, "F 3"]
    vertex_region: UInt8[np.ndarray, " V"]
    mirror: Int[np.ndarray, " V"]
    skin_count: int
    bone_names: tuple[str, ...]
    parents: tuple[int, ...]
    bone_heads: Int[np.ndarray, " B"]
    skin_weights: Float32[np.ndarray, "V B"]
    formats: dict[str, JointCombinations]


class Shape(NamedTuple):
    """Who the person is; MakeHuman's sliders. All but age lie in [0, 1], 0.5 is average."""

    sex: float = 0.5  # 0 female, 1 male
    age: float = 25.0  # years, 11 to 85
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5
    peoples: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)  # african, asian, caucasian; sum 1


class Rest(NamedTuple):
    """A shaped body in the rest pose, standing on the floor."""

    vertices_mm: Float32[np.ndarray, "V 3"]
    heads_mm: Float32[np.ndarray, "B 3"]


class Pose(NamedTuple):
    """Rotation of each bone relative to its parent and to the rest pose, in world-aligned axes.

    All identity and zero translation is the rest pose. `translation_mm` moves the pelvis.
    """

    rotations: Float32[np.ndarray, "B 3 3"]
    translation_mm: Float32[np.ndarray, "3"]


@functools.cache
def load() -> Body:
    """Loads the body from the package, once."""
    with np.load(ASSETS / "body.npz", allow_pickle=False) as arrays:
        count, bones = len(arrays["vertices"]), len(arrays["bone_names"])
        skin = np.zeros((count, bones), np.float32)
        np.put_along_axis(skin, arrays["skin_bones"].astype(np.int64), arrays["skin_weights"], 1)
        formats = {}
        for name in FORMATS:
            sizes = arrays[f"{name}/sizes"].astype(np.int64)
            formats[name] = JointCombinations(
                tuple(arrays[f"{name}/joint_names"].tolist()),
                np.concatenate([[0], np.cumsum(sizes)[:-1]]),
                arrays[f"{name}/indices"].astype(np.int64),
                arrays[f"{name}/weights"],
            )
        faces = arrays["faces"].astype(np.int32)
        return Body(
            vertices_mm=arrays["vertices"],
            targets_mm=arrays["targets"].astype(np.float32).reshape(-1, count * 3),
            target_names=tuple(arrays["target_names"].tolist()),
            faces=faces,
            vertex_region=arrays["vertex_region"],
            mirror=arrays["mirror"].astype(np.int64),
            skin_count=int(faces.max()) + 1,
            bone_names=tuple(arrays["bone_names"].tolist()),
            parents=tuple(arrays["parents"].tolist()),
            bone_heads=arrays["bone_heads"].astype(np.int64),
            skin_weights=skin / skin.sum(1, keepdims=True),
            formats=formats,
        )


def sample_shape(
    rng: np.random.Generator, ages: tuple[float, float] = (18.0, 75.0), spread: float = 1.0
) -> Shape:
    """Draws a person.

    `ages` are years. `spread` scales the deviation of muscle, weight, height and proportions from
    the average.
    """

    def slider(deviation: float) -> float:
        return float(np.clip(rng.normal(0.5, spread * deviation), 0, 1))

    peoples = rng.dirichlet((0.4, 0.4, 0.4))
    return Shape(
        # Mostly near one of the two ends, as people are.
        sex=float(np.clip(rng.integers(2) + rng.normal(0, 0.12), 0, 1)),
        age=float(rng.uniform(*ages)),
        muscle=slider(0.22),
        weight=slider(0.2),
        height=slider(0.07),
        proportions=slider(0.2),
        peoples=(float(peoples[0]), float(peoples[1]), float(peoples[2])),
    )


def _factors(shape: Shape) -> dict[str, float]:
    """Values of the words that target names are made of."""
    factors = {"male": shape.sex, "female": 1 - shape.sex}
    anchors = np.clip(np.interp(shape.age, _AGE_ANCHORS, (0, 1, 2)), 0, 2)
    for index, name in enumerate(("child", "young", "old")):
        factors[name] = max(0.0, 1 - abs(float(anchors) - index))
    for word in ("muscle", "weight"):
        value = getattr(shape, word)
        factors[f"min{word}"] = max(0.0, 1 - 2 * value)
        factors[f"max{word}"] = max(0.0, 2 * value - 1)
        factors[f"average{word}"] = 1 - abs(2 * value - 1)
    factors["minheight"] = max(0.0, 1 - 2 * shape.height)
    factors["maxheight"] = max(0.0, 2 * shape.height - 1)
    factors["uncommonproportions"] = max(0.0, 1 - 2 * shape.proportions)
    factors["idealproportions"] = max(0.0, 2 * shape.proportions - 1)
    return factors | dict(zip(_PEOPLES, shape.peoples, strict=True))


def rest(body: Body, shape: Shape) -> Rest:
    """Shapes the body; the result stands on the floor y = 0."""
    factors = _factors(shape)
    weights = [np.prod([factors[word] for word in name.split("-")]) for name in body.target_names]
    rows = np.flatnonzero(weights)
    offsets = np.asarray(weights, np.float32)[rows] @ body.targets_mm[rows]
    vertices = body.vertices_mm + offsets.reshape(-1, 3)
    vertices -= np.array([0, vertices[: body.skin_count, 1].min(), 0], np.float32)
    return Rest(vertices, vertices[body.bone_heads])


def rest_pose(body: Body) -> Pose:
    """The pose that leaves the body as it is."""
    count = len(body.bone_names)
    return Pose(np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)), np.zeros(3, np.float32))


def pose(body: Body, rest: Rest, pose: Pose) -> Float32[np.ndarray, "V 3"]:
    """Moves the bones and skins the points by linear blending."""
    turns = np.empty_like(pose.rotations)
    heads = np.empty_like(rest.heads_mm)
    for bone, parent in enumerate(body.parents):
        if parent < 0:
            turns[bone] = pose.rotations[bone]
            heads[bone] = rest.heads_mm[bone] + pose.translation_mm
        else:
            turns[bone] = turns[parent] @ pose.rotations[bone]
            apart = rest.heads_mm[bone] - rest.heads_mm[parent]
            heads[bone] = heads[parent] + turns[parent] @ apart
    shifts = heads - (turns @ rest.heads_mm[:, :, None])[:, :, 0]
    moves = np.concatenate([turns, shifts[:, :, None]], 2).reshape(-1, 12)
    blended = (body.skin_weights @ moves).reshape(-1, 3, 4)
    turned = (blended[:, :, :3] @ rest.vertices_mm[:, :, None])[:, :, 0]
    return turned + blended[:, :, 3]


def grounded(
    body: Body, vertices_mm: Float32[np.ndarray, "V 3"], clearance_mm: float = 0.0
) -> Float32[np.ndarray, "V 3"]:
    """Moves a posed body upright until its lowest skin vertex is `clearance_mm` above y = 0."""
    lowest = vertices_mm[: body.skin_count, 1].min() - clearance_mm
    return vertices_mm - np.array([0, lowest, 0], np.float32)


def joints(
    body: Body, format_name: str, vertices_mm: Float32[np.ndarray, "V 3"]
) -> Float32[np.ndarray, "J 3"]:
    """Reads the joints of one format off a shaped or posed body."""
    if format_name not in body.formats:
        raise ValueError(f"Unknown format {format_name!r}; the body has {', '.join(body.formats)}.")
    combinations = body.formats[format_name]
    parts = vertices_mm[combinations.indices] * combinations.weights[:, None]
    return np.add.reduceat(parts, combinations.starts, axis=0)


def joint_names(body: Body, formats: Sequence[str] = FORMATS) -> list[str]:
    """Lists joints as name_format, format after format: the order of the record format `every`."""
    return [f"{joint}_{name}" for name in formats for joint in body.formats[name].joint_names]
