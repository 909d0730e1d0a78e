"""Random colour: brightness, contrast, hue and saturation in a random order.

Images are uint8 RGB. The changes work on float32 with white at 1. Values are clipped before each
change to hue-saturation-value and at the end, never between brightness and contrast. They are
rounded once, at the end. `apply` computes on the host, `device_colour` the same on accelerators.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

CHANGES = ("brightness", "contrast", "saturation", "hue")
_IN_HSV = ("hue", "saturation")

Stages = Float[np.ndarray, "5 2"]
"""Five pairs: gain and offset of a multiply-add alternate with turn of the hue (radians) and factor
of the saturation, beginning and ending with a multiply-add."""

UNCHANGED = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])


def draw(
    rng: np.random.Generator,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
) -> list[tuple[str, float]]:
    """Draw the four changes for `stages`: random strengths in a random order.

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
    return [(names[i], float(amounts[names[i]])) for i in rng.permutation(4)]


def stages(steps: list[tuple[str, float]]) -> Stages:
    """The five stages equal to some (name, amount) steps, each name at most once.

    Neighbouring brightness and contrast are one multiply-add, and neighbouring hue and saturation
    one visit to HSV. Both are exact because nothing is clipped in between.
    """
    result = np.array(UNCHANGED)
    at = 0
    for name, amount in steps:
        if name not in CHANGES:
            raise ValueError(f"unknown colour change {name!r}; there are {', '.join(CHANGES)}")
        at += at % 2 != (name in _IN_HSV)
        if name == "brightness":
            result[at, 1] += amount
        elif name == "contrast":
            result[at] = result[at, 0] * amount, (result[at, 1] - 0.5) * amount + 0.5
        else:
            result[at, _IN_HSV.index(name)] = amount
    return result


def apply(image: UInt8[np.ndarray, "h w 3"], stages: Stages) -> UInt8[np.ndarray, "h w 3"]:
    """Apply the five stages; the multiply-adds include the scaling of bytes to [0, 1] and back."""
    pixels, gain, offset = image, 1 / 255, 0.0  # applied when the pixels are needed
    for at in (0, 2, 4):
        gain, offset = gain * stages[at, 0], offset * stages[at, 0] + stages[at, 1]
        if at < 4 and (stages[at + 1] != UNCHANGED[at + 1]).any():
            pixels = cv2.addWeighted(pixels, gain, pixels, 0, offset, dtype=cv2.CV_32F)
            if at or offset < 0 or 255 * gain + offset > 1:  # else bytes stay within [0, 1]
                np.clip(pixels, 0, 1, out=pixels)
            pixels = _turn_and_saturate(pixels, *stages[at + 1])
            gain, offset = 1.0, 0.0
    if pixels is not image and (gain, offset) == (1, 0):
        return cv2.convertScaleAbs(pixels, alpha=255)  # nothing is negative, and this is faster
    # OpenCV rounds and clips to bytes.
    return cv2.addWeighted(pixels, 255 * gain, pixels, 0, 255 * offset, dtype=cv2.CV_8U)


def _turn_and_saturate(
    image: Float32[np.ndarray, "h w 3"], turn: float, gain: float
) -> Float32[np.ndarray, "h w 3"]:
    """Turn the hue and scale the saturation of values in [0, 1]."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    # The hue is in degrees here; it may reach 720, which the change back to RGB accepts.
    scale = np.array([[1, 0, 0, np.degrees(turn) % 360], [0, gain, 0, 0], [0, 0, 1, 0]])
    hsv = cv2.transform(hsv, scale)
    if gain > 1:
        # A scalar needs four numbers, the last without effect; OpenCV's stubs know arrays only.
        hsv = cv2.min(hsv, (720, 1, 1, 0))  # pyright: ignore
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
