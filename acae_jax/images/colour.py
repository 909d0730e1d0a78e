"""Random colour: brightness, contrast, hue and saturation in a random order.

Images are uint8 RGB. In between they are float32 with white at 1: values are clipped before each
change to hue-saturation-value and at the end, never between brightness and contrast, and rounded
once, at the end.
"""

import itertools

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

CHANGES = ("brightness", "contrast", "saturation", "hue")
_IN_HSV = ("hue", "saturation")


def draw(
    rng: np.random.Generator,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
) -> list[tuple[str, float]]:
    """Draw the four changes for `apply`: random strengths in a random order.

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


def apply(
    image: UInt8[np.ndarray, "h w 3"], steps: list[tuple[str, float]]
) -> UInt8[np.ndarray, "h w 3"]:
    """Apply (name, amount) steps, each name at most once, in order; `draw` says what they mean.

    Neighbouring brightness and contrast are one multiply-add, together with the change from and to
    bytes, and neighbouring hue and saturation one visit to HSV. Both are exact because nothing is
    clipped in between.
    """
    # Brightness and contrast wait as gain and offset until the pixels are needed.
    pixels, gain, offset = image, 1 / 255, 0.0
    for in_hsv, group in itertools.groupby(steps, lambda step: step[0] in _IN_HSV):
        if in_hsv:
            pixels = cv2.addWeighted(pixels, gain, pixels, 0, offset, dtype=cv2.CV_32F)
            pixels = _turn_and_saturate(np.clip(pixels, 0, 1, out=pixels), dict(group))
            gain, offset = 1.0, 0.0
            continue
        for name, amount in group:
            if name == "brightness":
                offset += amount
            elif name == "contrast":
                gain, offset = gain * amount, (offset - 0.5) * amount + 0.5
            else:
                raise ValueError(f"unknown colour change {name!r}")
    # OpenCV rounds and clips to bytes.
    return cv2.addWeighted(pixels, 255 * gain, pixels, 0, 255 * offset, dtype=cv2.CV_8U)


def _turn_and_saturate(
    image: Float32[np.ndarray, "h w 3"], amounts: dict[str, float]
) -> Float32[np.ndarray, "h w 3"]:
    """Turn the hue and scale the saturation of values in [0, 1]."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    turn, gain = amounts.get("hue", 0.0), amounts.get("saturation", 1.0)
    # The hue is in degrees here; that it may go up to 720 is left to the way back.
    scale = np.array([[1, 0, 0, np.degrees(turn) % 360], [0, gain, 0, 0], [0, 0, 1, 0]])
    hsv = cv2.transform(hsv, scale)
    if gain > 1:
        # One number for each channel and a fourth; OpenCV's stubs know arrays only.
        hsv = cv2.min(hsv, (720, 1, 1, 0))  # pyright: ignore
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
