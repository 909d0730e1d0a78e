"""What a person looks like: the colours of skin, hair and clothes at every point of the rest body.

Patterns are functions of the position on the rest body, scaled to a stature of 1750 mm, so they
bend with the person. Colours are linear RGB.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8

from acae_jax.datasets.synthetic import body
from acae_jax.images import props

_STATURE_MM = 1750.0
_REGION = {name: index for index, name in enumerate(body.REGIONS)}
_SKIN = np.array([[0.93, 0.76, 0.66], [0.83, 0.62, 0.48], [0.64, 0.43, 0.30], [0.36, 0.22, 0.15]])
_HAIR = np.array(
    [
        [0.05, 0.04, 0.04],
        [0.20, 0.12, 0.07],
        [0.42, 0.28, 0.14],
        [0.75, 0.60, 0.35],
        [0.62, 0.6, 0.6],
    ]
)


_GRAIN = np.array([[0.11, 0.05], [0.07, 0.13], [0.09, -0.06]], np.float32)


class Wardrobe(NamedTuple):
    """How the people of one dataset dress."""

    saturation: float = 0.7
    brightness: float = 0.95
    patterned: float = 0.5  # probability of a pattern on a garment
    shorts: float = 0.25
    tight: float = 0.2  # probability of a motion-capture suit: one garment, close to the body
    cap: float = 0.1
    loose_mm: float = 14.0  # largest distance of clothes from the body
    fronted: float = 0.7  # probability that the top differs in front: an open jacket, a bib


class Garment(NamedTuple):
    """A piece of clothing: two colours and the pattern that mixes them."""

    colours: Float[np.ndarray, "2 3"]
    pattern: str  # plain, rows, columns, checks, blots, print
    period_mm: float
    phase: Float[np.ndarray, "3"]


class Look(NamedTuple):
    """One person's appearance."""

    skin: Float[np.ndarray, "3"]
    hair: Float[np.ndarray, "3"]
    shoes: Float[np.ndarray, "3"]
    top: Garment
    bottom: Garment
    front: Float[np.ndarray, "3"] | None  # colour of what an open jacket or a bib shows
    front_mm: float  # half its width
    sleeve_mm: float  # |x| of the rest body where sleeves end
    leg_mm: float  # height of the rest body where trouser legs end
    waist_mm: float
    long_hair: bool
    beard: bool
    loose_mm: float
    hair_mm: float


def sample(rng: np.random.Generator, wardrobe: Wardrobe) -> Look:
    """Draws a person's appearance."""
    place = rng.uniform(0, len(_SKIN) - 1)
    low = int(min(place, len(_SKIN) - 2))
    skin = _SKIN[low] + (_SKIN[low + 1] - _SKIN[low]) * (place - low)
    hair = _HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.7, 1.2)
    if rng.random() < wardrobe.cap:
        hair = props.colour(rng, wardrobe.saturation)
    suit = rng.random() < wardrobe.tight
    top = _garment(rng, wardrobe)
    bottom = top if suit else _garment(rng, wardrobe)
    sleeves = (235.0, 320.0, 360.0, 700.0) if not suit else (700.0,)
    short_legs = not suit and rng.random() < wardrobe.shorts
    return Look(
        skin=_linear(skin * rng.uniform(0.9, 1.08, 3)),
        hair=_linear(hair),
        shoes=_linear(props.colour(rng, wardrobe.saturation)),
        top=top,
        bottom=bottom,
        front=_contrasting(rng, top) if rng.random() < wardrobe.fronted else None,
        front_mm=float(rng.uniform(45, 115)),
        sleeve_mm=float(rng.choice(sleeves)),
        leg_mm=float(rng.uniform(480, 680)) if short_legs else 75.0,
        waist_mm=float(rng.uniform(860, 1030)),
        long_hair=rng.random() < 0.4,
        beard=rng.random() < 0.2,
        loose_mm=2.0 if suit else float(rng.uniform(3, wardrobe.loose_mm)),
        hair_mm=float(rng.uniform(4, 22)),
    )


def _linear(srgb: np.ndarray) -> np.ndarray:
    return np.clip(srgb, 0, 1).astype(np.float32) ** np.float32(2.2)


def _garment(rng: np.random.Generator, wardrobe: Wardrobe) -> Garment:
    colours = [props.colour(rng, wardrobe.saturation, wardrobe.brightness) for _ in range(2)]
    kinds = ("rows", "columns", "checks", "blots", "print")
    pattern = str(rng.choice(kinds)) if rng.random() < wardrobe.patterned else "plain"
    period = float(rng.uniform(45, 170))
    return Garment(
        _linear(np.stack(colours)), pattern, period, rng.uniform(0, 6.28, 3).astype(np.float32)
    )


def _contrasting(rng: np.random.Generator, garment: Garment) -> np.ndarray:
    """A colour clearly brighter or darker than a garment's first one."""
    dark = garment.colours[0].mean() < 0.25
    hue = props.colour(rng, saturation=0.6)
    return _linear(0.65 + 0.35 * hue if dark else 0.3 * hue)


def _mix(garment: Garment, point_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """The share of the garment's second colour at points of the rest body."""
    wave = np.sin(point_mm * np.float32(2 * np.pi / garment.period_mm) + garment.phase)
    x, y, z = wave.T
    if garment.pattern == "rows":
        return (y > 0.2).astype(np.float32)
    if garment.pattern == "columns":
        return (x > 0.3).astype(np.float32)
    if garment.pattern == "checks":
        return 0.5 * (x > 0) + 0.5 * (y > 0)
    if garment.pattern == "blots":
        return (x * y + y * z + z * x > 0.25).astype(np.float32)
    if garment.pattern == "print":
        chest = (np.abs(point_mm[:, 0]) < 95) & (np.abs(point_mm[:, 1] - 1270) < 85)
        return (chest & (point_mm[:, 2] > 0)).astype(np.float32)
    return np.zeros(len(point_mm), np.float32)


def covered(
    look: Look, region: UInt8[np.ndarray, " n"], rest_mm: Float[np.ndarray, "n 3"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of the points under the top, under the bottom garment, and in shoes.

    `rest_mm` is scaled to the reference stature (see `reference_points`).
    """
    height = rest_mm[:, 1]
    trunk = (region == _REGION["torso"]) | (region == _REGION["hip"])
    arm = (region == _REGION["upper_arm"]) | (region == _REGION["forearm"])
    leg = (region == _REGION["thigh"]) | (region == _REGION["calf"])
    top = (trunk & (height > look.waist_mm)) | (arm & (np.abs(rest_mm[:, 0]) < look.sleeve_mm))
    bottom = (trunk & ~top) | (leg & (height > look.leg_mm))
    shoes = (region == _REGION["foot"]) & (height < 95)
    return top, bottom, shoes


def reference_points(rest_mm: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """Scales a rest body to the stature in which looks are described."""
    return rest_mm * (_STATURE_MM / np.ptp(rest_mm[:, 1]))


def offsets(
    look: Look, region: UInt8[np.ndarray, " v"], rest_mm: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, " v"]:
    """Distance of clothes and hair from the body at its vertices, in mm along the normals."""
    top, bottom, shoes = covered(look, region, rest_mm)
    result = np.where(top | bottom, look.loose_mm, 0.0)
    fold = np.sin(rest_mm @ np.array([0.031, 0.047, 0.023]) + look.top.phase[0])
    result = result * (0.7 + 0.3 * fold) + np.where(shoes, 4.0, 0.0)
    return result + np.where(region == _REGION["hair"], look.hair_mm, 0.0)


def albedo(
    look: Look, region: UInt8[np.ndarray, " n"], rest_mm: Float[np.ndarray, "n 3"]
) -> Float32[np.ndarray, "n 3"]:
    """Colour of points of the rest body (scaled to the reference stature)."""
    result = np.broadcast_to(look.skin, (len(region), 3)).copy()
    hair = region == _REGION["hair"]
    if look.long_hair:
        hair |= (region == _REGION["neck"]) & (rest_mm[:, 2] < -10)
    if look.beard:
        hair |= (region == _REGION["face"]) & (rest_mm[:, 1] < 1565) & (rest_mm[:, 2] > 20)
    result[hair] = look.hair
    result[region == _REGION["eye"]] = (0.03, 0.025, 0.025)
    result[region == _REGION["mouth"]] = look.skin * np.array([0.75, 0.4, 0.4])
    top, bottom, shoes = covered(look, region, rest_mm)
    for mask, garment in ((top, look.top), (bottom, look.bottom)):
        mix = _mix(garment, rest_mm[mask])[:, None]
        result[mask] = garment.colours[0] * (1 - mix) + garment.colours[1] * mix
    if look.front is not None:
        chest = top & (region == _REGION["torso"]) & (rest_mm[:, 2] > 0)
        result[chest & (np.abs(rest_mm[:, 0]) < look.front_mm)] = look.front
    result[shoes] = look.shoes
    grain = np.sin(rest_mm @ _GRAIN).sum(axis=1)
    return (result * (1 + 0.06 * grain)[:, None]).astype(np.float32)
