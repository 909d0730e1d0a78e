"""Joint formats of the embedded body: every joint is an affine combination of mesh points.

Four of the six follow MakeHuman's rigs. The rigs' files place limb joints on the same points, so
the formats take their joints from what does differ: the rigs' bones and skin weights.

* mh_default: the bone heads of the `default` rig, with the middles of its two-part limb bones.
* game_engine: where the rig's weights blend: the mean of the skin with the weights
  (w_parent w_child)² area, the seam of two bones.
* mixamo: the ring of skin edges at which the stronger of two bones changes.
* cmu_mb: the bones of the rig; limb joints as marker studios compute them, from pairs of bony
  landmarks on the skin.

coco_body has the 17 points of COCO where annotators click, markers a set of 41 skin markers (names
as in BML-MoVi). Left is defined, right is its mirror image; central joints are averaged with it.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from body_points import Mesh

Combination = dict[int, float]


def _mix(*parts: tuple[float, Combination]) -> Combination:
    result: Combination = {}
    for share, part in parts:
        for index, weight in part.items():
            result[index] = result.get(index, 0.0) + share * weight
    return result


def _mean(*parts: Combination) -> Combination:
    return _mix(*((1 / len(parts), part) for part in parts))


class _Definer:
    """Ways of naming a point on one mesh; all give combinations with sum 1."""

    def __init__(self, mesh: Mesh, rig_weights: dict[str, dict[str, np.ndarray]]):
        self.mesh, self.rigs = mesh, rig_weights
        self.skin = len(mesh.eyes)
        corners = mesh.template[mesh.faces]
        area = np.linalg.norm(
            np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
        )
        self.area = np.bincount(mesh.faces.ravel(), np.repeat(area, 3), self.skin) * ~mesh.eyes

    def cube(self, name: str) -> Combination:
        cubes = self.mesh.cubes
        return {cubes[name if name in cubes else f"l-{name}"]: 1.0}

    def at(self, combination: Combination) -> np.ndarray:
        return np.array(list(combination.values())) @ self.mesh.template[list(combination)]

    def right(self, combination: Combination) -> Combination:
        return {int(self.mesh.mirror[i]): w for i, w in combination.items()}

    def _blend(self, rig: str, parents: str, children: str) -> tuple[np.ndarray, np.ndarray]:
        weights = self.rigs[rig]
        return weights[parents], weights[children]

    def seam(self, rig: str, parents: str, children: str) -> Combination:
        """Centre of the skin shared by two bones."""
        parent, child = self._blend(rig, parents, children)
        share = (parent * child) ** 2 * self.area
        rows = np.flatnonzero(share > 1e-3 * share.max())
        return dict(zip(rows.tolist(), (share[rows] / share[rows].sum()).tolist(), strict=True))

    def ring(self, rig: str, parents: str, children: str) -> Combination:
        """Centre of the closed line on the skin where the stronger of two bones changes."""
        parent, child = self._blend(rig, parents, children)
        edges = np.concatenate(
            [self.mesh.faces[:, [0, 1]], self.mesh.faces[:, [1, 2]], self.mesh.faces[:, [2, 0]]]
        )
        lead = parent - child + 1e-6  # exactly equal weights count as the parent
        edges = edges[
            (lead[edges].prod(1) < 0)
            & ((parent + child)[edges].min(1) > 0.15)
            & (self.area[edges] > 0).all(1)
        ]
        first, second = edges.T
        middle = self.mesh.template[edges].mean(1)
        # Edges lie unevenly along the ring: each counts by the free space around it.
        apart = np.linalg.norm(middle[:, None] - middle[None], axis=-1)
        share = 1 / np.exp(-((apart / 25) ** 2)).sum(1)
        share /= share.sum()
        along = lead[first] / (lead[first] - lead[second])
        result: Combination = {}
        for a, b, t, w in zip(
            first.tolist(), second.tolist(), along.tolist(), share.tolist(), strict=True
        ):
            result[a] = result.get(a, 0.0) + w * (1 - t)
            result[b] = result.get(b, 0.0) + w * t
        return result

    def ray(
        self, origin: Combination, direction: Sequence[float] | np.ndarray, reach_mm: float = 200
    ) -> Combination:
        """The skin vertex nearest to a ray from inside the body; of near ones, the outermost."""
        unit = np.asarray(direction, float) / np.linalg.norm(direction)
        apart = self.mesh.template[: self.skin] - self.at(origin)
        along = apart @ unit
        aside = np.linalg.norm(apart - along[:, None] * unit, axis=1)
        cost = aside - 0.05 * along + 1e6 * ((along < 2) | (along > reach_mm) | (self.area == 0))
        return {int(cost.argmin()): 1.0}


def _landmarks(d: _Definer) -> dict[str, Combination]:
    """Bony landmarks of the left side and the middle, as skin vertices."""
    cube, ray = d.cube, d.ray
    upper, fore = (
        d.at(cube("elbow")) - d.at(cube("shoulder")),
        d.at(cube("hand")) - d.at(cube("elbow")),
    )
    hinge = np.cross(fore, upper)  # out of the body side of the elbow
    thumb = d.at(cube("finger-1-2")) - d.at(cube("hand"))
    thumb -= fore * (thumb @ fore) / (fore @ fore)
    skull = _mean(cube("head"), cube("head-2"))
    pelvic = _mix((0.6, cube("upper-leg")), (0.4, cube("spine-4")))
    outward = np.array([1.0, 1.0, 0.2])
    return {
        "fronthead": ray(skull, (0.5, 0.25, 1)),
        "backhead": ray(skull, (0.5, 0.2, -1)),
        "backneck": ray(cube("neck"), (0, 0, -1)),
        "upperback": ray(cube("spine-1"), (0, 0, -1)),
        "clavicle": ray(_mix((0.5, cube("clavicle")), (0.5, d.right(cube("clavicle")))), (0, 0, 1)),
        "sternum": ray(cube("spine-1"), (0, 0.15, 1), 400),
        "umbilicus": ray(cube("spine-3"), (0, 0, 1), 400),
        "shom": ray(cube("shoulder"), (0.15, 1, 0)),
        "armpit": ray(cube("shoulder"), (-0.1, -1, 0)),
        "upperarm": ray(_mean(cube("shoulder"), cube("elbow")), outward),
        "elbm": ray(cube("elbow"), hinge),
        "elbinner": ray(cube("elbow"), -hinge),
        "olecranon": ray(
            cube("elbow"), upper / np.linalg.norm(upper) - fore / np.linalg.norm(fore)
        ),
        "forearm": ray(_mean(cube("elbow"), cube("hand")), outward),
        "writhumbside": ray(cube("hand"), thumb),
        "wripinkieside": ray(cube("hand"), -thumb),
        "fin": ray(cube("finger-3-1"), outward),
        "asis": ray(pelvic, (0.2, 0, 1)),
        "psis": ray(_mix((0.7, cube("spine-4")), (0.3, cube("upper-leg"))), (0.1, 0, -1)),
        "trochanter": ray(cube("upper-leg"), (1, -0.4, -0.1)),
        "frontthigh": ray(_mean(cube("upper-leg"), cube("knee")), (0, 0, 1)),
        "thigh": ray(_mix((0.4, cube("upper-leg")), (0.6, cube("knee"))), (1, 0, 0)),
        "knem": ray(cube("knee"), (1, 0, -0.1)),
        "kneinner": ray(cube("knee"), (-1, 0, -0.1)),
        "patella": ray(cube("knee"), (0, 0.1, 1)),
        "shin": ray(_mean(cube("knee"), cube("ankle")), (0.4, 0, 1)),
        "ankm": ray(cube("ankle"), (1, -0.25, -0.2)),
        "ankinner": ray(cube("ankle"), (-1, -0.1, 0)),
        "hee": ray(cube("ankle"), (0, -0.9, -1)),
        "toe": ray(cube("foot-1"), (0, 1, 0.3)),
        "ear": ray(_mix((0.78, cube("head")), (0.22, cube("head-2"))), (1, 0, 0)),
        "nose": ray(cube("mouth"), (0, 0, 1)),
    }


def _mh_default(d: _Definer, mark: dict[str, Combination]) -> dict[str, Combination]:
    places = (
        "pelv pelvis,spi1 spine-4,spi2 spine-3,spi3 spine-2,spi4 spine-1,neck neck,head head,"
        "htop head-2,jaw jaw,leye eye,lcla clavicle,lsca scapula,lsho shoulder,lelb elbow,"
        "lwri hand,lhan hand-3,lhip upper-leg,lkne knee,lank ankle,lfoo foot-1,ltoe foot-2"
    )
    joints = {name: d.cube(cube) for name, cube in (pair.split() for pair in places.split(","))}
    joints["nec2"] = d.seam("default", "neck01", "neck02")
    for name, bone in (
        ("lupa", "upperarm"),
        ("lfor", "lowerarm"),
        ("lthi", "upperleg"),
        ("lshi", "lowerleg"),
    ):
        joints[name] = d.seam("default", f"{bone}01.L", f"{bone}02.L")
    return joints


def _game_engine(d: _Definer, mark: dict[str, Combination]) -> dict[str, Combination]:
    bones = (
        "spi1 pelvis:spine_01,spi2 spine_01:spine_02,spi3 spine_02:spine_03,"
        "neck spine_03:neck_01,head neck_01:head,lcla spine_03:clavicle_l,"
        "lsho clavicle_l:upperarm_l,lelb upperarm_l:lowerarm_l,lwri lowerarm_l:hand_l,"
        "lhip pelvis:thigh_l,lkne thigh_l:calf_l,lank calf_l:foot_l,lfoo foot_l:ball_l"
    )
    joints = {"pelv": d.cube("pelvis")}
    for name, pair in (entry.split() for entry in bones.split(",")):
        joints[name] = d.seam("game_engine", *pair.split(":"))
    return joints


def _mixamo(d: _Definer, mark: dict[str, Combination]) -> dict[str, Combination]:
    bones = (
        "spin Hips:Spine,spi1 Spine:Spine1,spi2 Spine1:Spine2,neck Spine2:Neck,head Neck:Head,"
        "lsho LeftShoulder:LeftArm,lelb LeftArm:LeftForeArm,lwri LeftForeArm:LeftHand,"
        "lhip Hips:LeftUpLeg,lkne LeftUpLeg:LeftLeg,lank LeftLeg:LeftFoot,ltoe LeftFoot:LeftToeBase"
    )
    joints = {"htop": d.cube("head-2"), "lhan": d.cube("finger-3-1"), "ltoe2": d.cube("toe-2-4")}
    for name, pair in (entry.split() for entry in bones.split(",")):
        joints[name] = d.ring("mixamo", *(f"mixamorig:{bone}" for bone in pair.split(":")))
    joints["lcla"] = _mix(
        (0.4, d.cube("clavicle")), (0.35, d.cube("scapula")), (0.25, d.cube("neck"))
    )
    joints["pelv"] = _mean(joints["spin"], _mean(joints["lhip"], d.right(joints["lhip"])))
    return joints


def _cmu_mb(d: _Definer, mark: dict[str, Combination]) -> dict[str, Combination]:
    places = (
        "spi0 spine-4,spin spine-2,thor spine-1,neck neck,head head,htop head-2,lcla clavicle,"
        "lhan hand-3,lfin finger-3-1,lthu finger-1-2,ltoe toe-3-1"
    )
    joints = {name: d.cube(cube) for name, cube in (pair.split() for pair in places.split(","))}
    joints["nec1"] = d.seam("cmu_mb", "Neck", "Neck1")
    trochanter = mark["trochanter"]
    joints["lhip"] = _mix((0.76, trochanter), (0.24, d.right(trochanter)))
    joints["pelv"] = _mean(mark["asis"], d.right(mark["asis"]), mark["psis"], d.right(mark["psis"]))
    joints["lsho"] = _mix((0.7, mark["shom"]), (0.3, mark["armpit"]))
    joints["lelb"] = _mean(mark["elbm"], mark["elbinner"])
    joints["lwri"] = _mean(mark["writhumbside"], mark["wripinkieside"])
    joints["lkne"] = _mean(mark["knem"], mark["kneinner"])
    joints["lank"] = _mean(mark["ankm"], mark["ankinner"])
    return joints


def _coco_body(d: _Definer, mark: dict[str, Combination]) -> dict[str, Combination]:
    return {
        "nose": mark["nose"],
        "leye": d.ray(d.cube("eye"), (0, 0, 1)),
        "lear": mark["ear"],
        "lsho": _mix((0.6, d.cube("shoulder")), (0.4, mark["shom"])),
        "lelb": _mix((0.6, d.cube("elbow")), (0.4, mark["olecranon"])),
        "lwri": _mix((0.6, d.cube("hand")), (0.4, d.cube("hand-3"))),
        "lhip": _mix((0.45, d.cube("upper-leg")), (0.35, mark["trochanter"]), (0.2, mark["asis"])),
        "lkne": _mix((0.5, d.cube("knee")), (0.5, mark["patella"])),
        "lank": _mix((0.6, d.cube("ankle")), (0.4, mark["ankm"])),
    }


def _markers(d: _Definer, mark: dict[str, Combination]) -> dict[str, Combination]:
    central = ("backneck", "upperback", "clavicle", "sternum", "umbilicus")
    left = (
        "fronthead", "backhead", "shom", "upperarm", "elbm", "forearm", "writhumbside",
        "wripinkieside", "fin", "asis", "psis", "frontthigh", "thigh", "knem", "shin", "ankm",
        "hee", "toe",
    )  # fmt: skip
    return {name: mark[name] for name in central} | {f"l{name}": mark[name] for name in left}


_FORMATS: dict[str, tuple[Callable, str]] = {
    "mh_default": (
        _mh_default,
        "pelv-spi1-spi2-spi3-spi4-neck-nec2-head-htop,head-jaw,head-leye,"
        "spi4-lcla-lsca-lsho-lupa-lelb-lfor-lwri-lhan,"
        "pelv-lhip-lthi-lkne-lshi-lank-lfoo-ltoe",
    ),
    "cmu_mb": (
        _cmu_mb,
        "pelv-spi0-spin-thor-neck-nec1-head-htop,thor-lcla-lsho-lelb-lwri-lhan-lfin,lwri-lthu,"
        "pelv-lhip-lkne-lank-ltoe",
    ),
    "game_engine": (
        _game_engine,
        "pelv-spi1-spi2-spi3-neck-head,spi3-lcla-lsho-lelb-lwri,pelv-lhip-lkne-lank-lfoo",
    ),
    "mixamo": (
        _mixamo,
        "pelv-spin-spi1-spi2-neck-head-htop,spi2-lcla-lsho-lelb-lwri-lhan,pelv-lhip-lkne-lank-ltoe-ltoe2",
    ),
    "coco_body": (
        _coco_body,
        "nose-leye-lear,lsho-lelb-lwri,lhip-lkne-lank",
    ),
    "markers": (
        _markers,
        "lfronthead-lbackhead,backneck-upperback,clavicle-sternum-umbilicus,clavicle-lshom-lupperarm-lelbm-lforearm-"
        "lwripinkieside-lfin,lwripinkieside-lwrithumbside,umbilicus-lasis-lthigh-lknem-lshin-lankm-ltoe,lankm-lhee,"
        "upperback-lpsis-lthigh,lasis-lfrontthigh-lknem",
    ),
}


def formats(
    mesh: Mesh, rig_weights: dict[str, dict[str, np.ndarray]]
) -> dict[str, dict[str, Combination]]:
    """Defines the joints of every format: central ones, then left and right in pairs."""
    definer = _Definer(mesh, rig_weights)
    mark = _landmarks(definer)
    result = {}
    for name, (define, _) in _FORMATS.items():
        joints = define(definer, mark)
        central = {n: _mean(c, definer.right(c)) for n, c in joints.items() if n[0] != "l"}
        pairs = {}
        for joint, combination in joints.items():
            if joint[0] == "l":
                pairs[joint] = combination
                pairs["r" + joint[1:]] = definer.right(combination)
        result[name] = central | pairs
    return result


def pack(joints: dict[str, dict[str, Combination]]) -> dict[str, np.ndarray]:
    """Turns combinations into flat arrays: names, sizes, vertex indices and weights."""
    arrays = {"format_names": np.array(list(joints))}
    for name, combinations in joints.items():
        arrays[f"{name}/joint_names"] = np.array(list(combinations))
        arrays[f"{name}/sizes"] = np.array([len(c) for c in combinations.values()], np.uint16)
        arrays[f"{name}/indices"] = np.array(
            [i for c in combinations.values() for i in c], np.uint16
        )
        weights = [np.array(list(c.values())) for c in combinations.values()]
        arrays[f"{name}/weights"] = np.concatenate([w / w.sum() for w in weights]).astype(
            np.float32
        )
    return arrays


def skeletons(arrays: dict[str, np.ndarray]) -> dict:
    """Returns the content of skeletons/data/embedded.json: joint names and edges by index."""
    result = {}
    for name, (_, spec) in _FORMATS.items():
        joints = arrays[f"{name}/joint_names"].tolist()
        edges = set()
        for chain in spec.split(","):
            for side in "lr":
                links = [side + j[1:] if j[0] == "l" else j for j in chain.split("-")]
                path = [joints.index(j) for j in links]
                edges |= {(min(pair), max(pair)) for pair in itertools.pairwise(path)}
        result[name] = {"joint_names": joints, "edges": [list(edge) for edge in sorted(edges)]}
    return {"formats": result}
