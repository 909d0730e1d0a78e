"""The embedded datasets as a table: who is filmed, how, and what is labelled.

Like real ones, each studio has its own skeleton format, people, motions, cameras, rooms, clothes,
light and label noise. It labels only its own format. `embedded_2d` labels COCO's points in
the image only. `embedded_test` labels every format, free of noise; its people, motions, rooms and
clothes occur nowhere else.
"""

from typing import NamedTuple

import numpy as np

from acae_jax.data import crop_record
from acae_jax.datasets.synthetic import actions, body, motions
from acae_jax.datasets.synthetic.looks import Wardrobe

EVERY = crop_record.beside(body.FORMATS)  # what the test set is labelled in: all formats


class Rig(NamedTuple):
    """Cameras of a studio."""

    count: int  # cameras around the scene
    height_mm: tuple[float, float]
    distance_mm: tuple[float, float]
    view_deg: tuple[float, float]  # angle of view of the longer image side
    image_px: tuple[int, int] = (1280, 960)
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)  # k1 k2 p1 p2 k3


class Studio(NamedTuple):
    """One dataset's definition."""

    name: str
    format: str
    motions: tuple[str, ...]  # clips and key poses
    rig: Rig
    rooms: int  # how many different surroundings
    walls: tuple[str, ...]  # kinds of props.panorama
    floors: tuple[str, ...]  # kinds of props.texture
    wardrobe: Wardrobe
    noise_mm: float  # standard deviation of every joint label, per axis
    subjects: int = 16
    room_mm: float = 6000.0  # distance of the walls
    frontal: float = 1.0  # log odds of a camera in front of the chest, against one at the side
    improvised: float = 0.35  # share of takes that wander between random poses
    ages: tuple[float, float] = (18.0, 70.0)
    lamp_elevation_deg: tuple[float, float] = (40.0, 75.0)
    lamp_strength: tuple[float, float] = (0.5, 0.9)
    ambient: tuple[float, float] = (0.35, 0.6)
    occlusion: float = 0.1  # probability of an object in front
    blur_px: tuple[float, float] = (0.0, 0.7)
    grain: float = 0.01
    quality: int = 92  # JPEG
    labels_2d: bool = False


TEST_MOTIONS = (
    *("dance_b", "walk", "punch", "throw", "ski", "sit_desk", "tie_shoe", "point"),
    *("cycle", "half_kneel", "carry_box", "photograph", "step_over", "twist_trunk"),
    *("arms_crossed", "reach_side", "drink", "stairs_up"),
)
_CLIPS = tuple(name for name in motions.load() if name not in TEST_MOTIONS)
_ACTIONS = tuple(name for name in actions.ACTIONS if name not in TEST_MOTIONS)


def _share(part: int, parts: int, clips: tuple[str, ...]) -> tuple[str, ...]:
    """A studio's motions: its clips, and two of every `parts` key poses of training."""
    parts_of_studio = (part % parts, (part + 1) % parts)
    return (*clips, *(n for i, n in enumerate(_ACTIONS) if i % parts in parts_of_studio))


_TABLE = (
    Studio(
        name="embedded_mh_default",
        format="mh_default",
        motions=_share(0, 5, ("run", "jump")),
        rig=Rig(
            4,
            (1200, 1700),
            (3800, 5200),
            (48, 56),
            (1000, 1000),
            (-0.20, 0.10, 0.0008, -0.0005, 0.0),
        ),
        rooms=2,
        walls=("studio",),
        floors=("carpet", "planks"),
        wardrobe=Wardrobe(saturation=0.5, patterned=0.4),
        noise_mm=5.0,
        subjects=12,
        lamp_elevation_deg=(60, 85),
        ambient=(0.5, 0.7),
    ),
    Studio(
        name="embedded_cmu_mb",
        format="cmu_mb",
        motions=_share(1, 5, ("dance_a", "kick", "roll")),
        rig=Rig(
            12, (900, 2200), (3000, 5000), (60, 75), (1920, 1080), (-0.28, 0.09, 0.0, 0.0, 0.0)
        ),
        rooms=3,
        walls=("studio",),
        floors=("plain", "carpet"),
        wardrobe=Wardrobe(saturation=0.3, brightness=0.5, tight=0.8, patterned=0.15),
        noise_mm=8.0,
        subjects=14,
        occlusion=0.05,
        ambient=(0.4, 0.6),
    ),
    Studio(
        name="embedded_game_engine",
        format="game_engine",
        motions=_share(2, 5, ("run", "spinkick", "jump")),
        rig=Rig(40, (800, 2000), (2600, 6500), (45, 80)),
        rooms=24,
        walls=("street", "nature"),
        floors=("grass", "tiles", "plain"),
        wardrobe=Wardrobe(saturation=0.95, patterned=0.7, shorts=0.3),
        noise_mm=1.0,
        subjects=30,
        room_mm=14000,
        lamp_elevation_deg=(20, 70),
        lamp_strength=(0.8, 1.4),
        ambient=(0.2, 0.45),
        blur_px=(0.0, 0.3),
        grain=0.0,
    ),
    Studio(
        name="embedded_mixamo",
        format="mixamo",
        motions=_share(3, 5, ("backflip", "dance_a", "kick")),
        rig=Rig(
            10, (700, 2200), (2800, 4500), (50, 70), (2048, 2048), (-0.1, 0.02, 0.0, 0.0005, 0.0)
        ),
        rooms=3,
        walls=("green",),
        floors=("plain",),
        wardrobe=Wardrobe(saturation=0.8, patterned=0.6, shorts=0.4),
        noise_mm=10.0,
        subjects=12,
        lamp_strength=(0.7, 1.1),
    ),
    Studio(
        name="embedded_coco_body",
        format="coco_body",
        motions=_share(4, 5, ("run", "spin", "getup_faceup")),
        rig=Rig(
            16, (1100, 1900), (2400, 4500), (55, 80), (1280, 720), (0.05, -0.12, 0.001, 0.001, 0.0)
        ),
        rooms=12,
        walls=("room",),
        floors=("planks", "tiles", "carpet"),
        wardrobe=Wardrobe(loose_mm=22.0, cap=0.2),
        noise_mm=15.0,
        subjects=24,
        room_mm=4600,
        occlusion=0.35,
        lamp_strength=(0.3, 0.9),
        grain=0.025,
        quality=80,
        ages=(14.0, 80.0),
    ),
    Studio(
        name="embedded_markers",
        format="markers",
        motions=_share(5, 5, ("cartwheel", "jump", "spin", "crawl", "run")),
        rig=Rig(8, (900, 2200), (4200, 6000), (38, 50), (800, 600), (-0.15, 0.05, 0.0, 0.0, 0.0)),
        rooms=2,
        walls=("studio", "room"),
        floors=("tiles", "plain"),
        wardrobe=Wardrobe(saturation=0.4, brightness=0.7, tight=0.45, shorts=0.5),
        noise_mm=3.0,
        subjects=16,
        lamp_elevation_deg=(30, 60),
        grain=0.02,
        quality=85,
    ),
    Studio(
        name="embedded_2d",
        format="coco_body",
        motions=(*_CLIPS, *_ACTIONS),
        rig=Rig(200, (800, 2200), (2200, 9000), (40, 85)),
        rooms=60,
        walls=("room", "street", "nature"),
        floors=("planks", "tiles", "carpet", "grass", "plain"),
        wardrobe=Wardrobe(saturation=0.9, patterned=0.6, cap=0.25, loose_mm=24.0, shorts=0.35),
        noise_mm=12.0,
        subjects=120,
        room_mm=8000,
        improvised=0.5,
        occlusion=0.3,
        lamp_elevation_deg=(15, 80),
        lamp_strength=(0.3, 1.4),
        ambient=(0.2, 0.6),
        blur_px=(0.0, 1.2),
        grain=0.02,
        quality=85,
        ages=(12.0, 80.0),
        labels_2d=True,
    ),
    Studio(
        name="embedded_test",
        format=EVERY,
        motions=TEST_MOTIONS,
        rig=Rig(60, (900, 2000), (2500, 6500), (42, 78)),
        rooms=24,
        walls=("room", "street", "nature", "studio"),
        floors=("planks", "tiles", "carpet", "grass", "plain"),
        wardrobe=Wardrobe(saturation=0.85, patterned=0.6, cap=0.2, loose_mm=18.0, shorts=0.3),
        noise_mm=0.0,
        improvised=0.2,
        subjects=40,
        room_mm=7000,
        occlusion=0.1,
        lamp_elevation_deg=(20, 80),
        lamp_strength=(0.4, 1.2),
        ambient=(0.25, 0.6),
        grain=0.012,
    ),
)
STUDIOS = {studio.name: studio for studio in _TABLE}

# Records of each dataset by size: of the 3D sets for training, of the 2D set, of the test set.
SIZES = {"tiny": (24, 24, 24), "quick": (1800, 1500, 600), "full": (12000, 8000, 2400)}


def count(studio: Studio, size: str) -> int:
    """Number of records of a dataset; ValueError for an unknown size."""
    if size not in SIZES:
        raise ValueError(f"no size {size!r}; choose one of {', '.join(SIZES)}")
    train, weak, test = SIZES[size]
    return test if studio.format == EVERY else weak if studio.labels_2d else train


def stream(seed: int, studio: Studio, purpose: str, index: int) -> np.random.Generator:
    """The generator for one thing of a studio, independent of those of all others."""
    words = [int.from_bytes(text.encode(), "little") for text in (studio.name, purpose)]
    return np.random.default_rng([seed, *words, index])
