"""Random colour: brightness, contrast, hue and saturation in a random order.

Images are float32 RGB in [0, 1]. Values are clipped before each change to hue-saturation-value and
at the end, never between brightness and contrast.
"""

import itertools
from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Float32

CHANGES = ("brightness", "contrast", "saturation", "hue")
_IN_HSV = ("hue", "saturation")


def jitter(
    image: Float32[np.ndarray, "h w 3"],
    rng: np.random.Generator,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
) -> Float32[np.ndarray, "h w 3"]:
    """Apply the four changes in a random order with random strengths.

    Brightness adds U(-brightness, brightness); contrast scales the distance from 0.5 and
    saturation the saturation by 1 + U(-value, value); the hue turns by U(-hue, hue) radians.
    """
    strength = 2 * rng.random(4) - 1
    amounts = {
        "brightness": brightness * strength[0],
        "contrast": 1 + contrast * strength[1],
        "saturation": 1 + saturation * strength[2],
        "hue": hue * strength[3],
    }
    names = tuple(amounts)
    return apply(image, [(names[i], float(amounts[names[i]])) for i in rng.permutation(4)])


def apply(
    image: Float32[np.ndarray, "h w 3"], steps: list[tuple[str, float]]
) -> Float32[np.ndarray, "h w 3"]:
    """Apply (name, amount) steps, each name at most once, in order; `jitter` says what they mean.

    Neighbouring brightness and contrast are one multiply-add, neighbouring hue and saturation one
    visit to HSV, which is exact because nothing is clipped in between.
    """
    for in_hsv, group in itertools.groupby(steps, lambda step: step[0] in _IN_HSV):
        change = _turn_and_saturate if in_hsv else _scale_and_shift
        image = change(image, group)
    return np.clip(image, 0, 1)


def _scale_and_shift(image: np.ndarray, steps: Iterable[tuple[str, float]]) -> np.ndarray:
    gain, offset = 1.0, 0.0
    for name, amount in steps:
        if name == "brightness":
            offset += amount
        elif name == "contrast":
            gain, offset = gain * amount, (offset - 0.5) * amount + 0.5
        else:
            raise ValueError(f"unknown colour change {name!r}")
    result = image * np.float32(gain)
    result += np.float32(offset)
    return result


def _turn_and_saturate(image: np.ndarray, steps: Iterable[tuple[str, float]]) -> np.ndarray:
    hsv = cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2HSV)
    turn, gain = 0.0, 1.0
    for name, amount in steps:
        if name == "hue":
            turn += amount
        else:
            gain *= amount
    # The hue is in degrees here; that it may go up to 720 is left to the way back.
    scale = np.array([[1, 0, 0, np.degrees(turn) % 360], [0, gain, 0, 0], [0, 0, 1, 0]])
    hsv = cv2.transform(hsv, scale)
    if gain > 1:
        np.minimum(hsv[..., 1], 1, out=hsv[..., 1])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
