"""Somebody's own recordings, made up: embedded people of a look and a skeleton that no training set
has, as a folder of photographs, labels and cameras.

    python launch/own_people.py --out recordings
    acae prepare recordings/dataset.yaml --out data/own

Painted people in wide robes stand in low coloured light before poor cameras. Labelled are stickers
on their skin and clothes: points of the body that are no joints of any format. Training and test
have the same eight people, in other clothes and motions. `launch/own_data_test.py` trains on them.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets.synthetic import body, scenes, studios, takes
from acae_jax.datasets.synthetic.looks import Wardrobe
from acae_jax.datasets.synthetic.studios import Rig, Studio
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.skeleton import Skeleton

NAME, SKELETON = "stickers", "stickers.json"
UP = "+y"  # of the world of embedded people
# Where the stickers are on the resting body (mm from its middle); each is on the nearest skin.
CENTRAL = {
    "crown": (0, 849, 20),
    "brow": (0, 765, 150),
    "chin": (0, 625, 140),
    "nape": (0, 620, -30),
    "chest": (0, 430, 130),
    "navel": (0, 160, 140),
    "loin": (0, 190, -60),
}
SIDED = {
    "cheek": (60, 690, 110),
    "deltoid": (200, 525, -20),
    "armpit": (140, 460, 20),
    "biceps": (245, 450, 60),
    "funnybone": (320, 345, -40),
    "palm": (440, 215, 210),
    "fingertip": (490, 130, 310),
    "buttock": (85, 40, -100),
    "pocket": (165, 60, 60),
    "lap": (140, -150, 110),
    "kneecap": (160, -370, 90),
    "calf": (190, -500, -60),
    "heel": (220, -800, -50),
    "toetip": (235, -800, 190),
}
EDGES = (
    *(("crown", "brow"), ("brow", "chin"), ("nape", "crown"), ("chest", "navel"), ("nape", "loin")),
    *(
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (
            *(("deltoid", "biceps"), ("biceps", "funnybone"), ("funnybone", "palm")),
            *(("palm", "fingertip"), ("pocket", "lap"), ("lap", "kneecap"), ("kneecap", "calf")),
            *(("calf", "heel"), ("heel", "toetip"), ("buttock", "pocket"), ("armpit", "deltoid")),
        )
    ),
)
STUDIO = Studio(
    name=NAME,
    format=body.FORMATS[0],  # takes measure motion by it
    motions=tuple(name for s in studios.STUDIOS.values() for name in s.motions),
    rig=Rig(6, (300, 900), (2300, 3600), (70, 95), (1280, 960), (-0.3, 0.1, 0.0, 0.0, 0.0)),
    rooms=2,
    walls=("nature",),
    floors=("tiles",),
    wardrobe=Wardrobe(saturation=1.0, patterned=1.0, shorts=0.0, tight=0.0, loose_mm=55.0),
    noise_mm=3.0,
    subjects=8,
    improvised=0.5,
    lamp_elevation_deg=(10.0, 25.0),
    lamp_strength=(1.2, 2.0),
    ambient=(0.2, 0.3),
    occlusion=0.0,
    blur_px=(0.5, 1.2),
    grain=0.03,
    quality=50,
)
PAINT = np.array([[0.02, 0.25, 0.6], [0.05, 0.5, 0.1], [0.5, 0.03, 0.3]], np.float32)  # linear RGB
HAIR = np.array([0.8, 0.8, 0.75], np.float32)


def points() -> dict[str, int]:
    """The sticker's names and their vertices, in the skeleton's order."""
    assets = body.load()
    skin = assets.vertices_mm[: assets.skin_count]
    middle = np.flatnonzero(assets.mirror[: assets.skin_count] == np.arange(assets.skin_count))

    def nearest(at_mm: tuple[float, ...], among: np.ndarray) -> int:
        return int(among[np.linalg.norm(skin[among] - np.array(at_mm), axis=1).argmin()])

    chosen = {name: nearest(at_mm, middle) for name, at_mm in CENTRAL.items()}
    for name, at_mm in SIDED.items():
        left = nearest(at_mm, np.arange(assets.skin_count))
        chosen |= {f"left_{name}": left, f"right_{name}": int(assets.mirror[left])}
    return chosen


def own_skeleton() -> Skeleton:
    """The skeleton of the stickers."""
    names = tuple(points())
    return skeleton.validate(
        Skeleton(
            NAME,
            names,
            skeleton.canonical_edges((names.index(a), names.index(b)) for a, b in EDGES),
        )
    )


def records(seed: int, first: int, count: int) -> Iterator[CropRecord]:
    """Records of takes from number `first` on, labelled with stickers."""
    stickers = list(points().values())
    for index in range(first * takes.FRAMES, first * takes.FRAMES + count):
        number, frame = divmod(index, takes.FRAMES)
        if frame == 0:
            take = _painted(takes.make(STUDIO, seed, number), number)
        record = scenes.make(STUDIO, seed, take, index)
        noise = np.random.default_rng([seed, index]).normal(0, STUDIO.noise_mm, (len(stickers), 3))
        joints_mm = take.vertices_mm[frame][stickers] + noise
        yield record._replace(joints_mm=joints_mm.astype(np.float32), format=NAME)


def _painted(take: takes.Take, number: int) -> takes.Take:
    """A take with skin, hair and shoes of colours that no training set has."""
    skin = PAINT[number % len(PAINT)]
    look = take.look._replace(skin=skin, hair=HAIR, long_hair=True, beard=False)
    return take._replace(look=look)


def write(folder: Path, train: int, test: int, seed: int = 0, masks: bool = True) -> Path:
    """Write photographs, labels, cameras, the skeleton and their description; returns that file.

    The photographs of the test are those of other takes. `masks` is what the description says.
    """
    own = own_skeleton()
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    skeleton.write(folder / SKELETON, own)
    cameras, views = {}, {}
    for split, first, count in (("train", 0, train), ("test", -(-train // takes.FRAMES), test)):
        for number, record in enumerate(records(seed, first, count)):
            view = f"{split}_{number:04d}"
            views.setdefault(split, []).append(view)
            cameras[view] = _camera(record)
            (folder / f"photos/{view}.jpg").write_bytes(record.image)
            joints_mm = dict(zip(own.joint_names, record.joints_mm.tolist(), strict=True))
            person = {"image": f"{view}.jpg", "person": record.person or "somebody"}
            person |= {"box": record.box.tolist(), "joints_mm": joints_mm}
            (folder / f"photos/{view}.json").write_text(json.dumps([person]))
    (folder / "cameras.json").write_text(json.dumps(cameras))
    clip = {"images": "photos/{camera}.jpg", "annotations": "photos/{camera}.json"}
    content = {
        "name": NAME,
        "skeleton": SKELETON,
        "cameras": "cameras.json",
        "masks": masks,
        "up": UP,
        "clips": [{**clip, "camera": some, "split": split} for split, some in views.items()],
    }
    path = folder / "dataset.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _camera(record: CropRecord) -> dict[str, list]:
    extrinsics = np.column_stack([record.rotation, -record.rotation @ record.position_mm])
    return {"intrinsic_matrix": record.intrinsics.tolist(), "extrinsic_matrix": extrinsics.tolist()}


def main() -> None:
    """Write the folder."""
    flags = argparse.ArgumentParser(description="Make up somebody's own recordings.")
    flags.add_argument("--out", type=Path, default=Path("recordings"))
    flags.add_argument("--train", type=int, default=900, help="photographs for training")
    flags.add_argument("--test", type=int, default=240, help="photographs for the test")
    flags.add_argument("--seed", type=int, default=0)
    options = flags.parse_args()
    path = write(options.out, options.train, options.test, options.seed)
    print(f"{options.train} + {options.test} photographs; next: acae prepare {path} --out data/own")


if __name__ == "__main__":
    main()
