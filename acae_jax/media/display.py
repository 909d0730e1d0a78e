"""How the pixels that a video file stores become the picture that people see.

A file may say that its pixels are not square, and that its picture is to be turned or mirrored.
OpenCV decodes without the first, and of the second it knows an angle only: a mirrored picture it
would turn. So `display_matrix` reads the headers where they can say that; other kinds of file have
OpenCV's angle.
"""

import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from acae_jax.media import display_matrix

LEAST_ASPECT, MOST_ASPECT = 0.25, 4.0  # of pixels; real formats have 0.5 to 2
# Clockwise angles as OpenCV tells them, and what they do.
TURNS = {90: (0.0, 1.0, -1.0, 0.0), 180: (-1.0, 0.0, 0.0, -1.0), 270: (0.0, -1.0, 1.0, 0.0)}


class Display(NamedTuple):
    """What is done to stored pixels, in this order; `aspect` is the width of one by its height."""

    aspect: float = 1.0
    transposed: bool = False
    reversed_x: bool = False
    reversed_y: bool = False


def of_file(capture: cv2.VideoCapture, path: Path) -> Display:
    """How an opened file is shown; its frames must not be turned by OpenCV."""
    matrix = display_matrix.of_file(path)
    if matrix is None:
        matrix = TURNS.get(
            round(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360, display_matrix.IDENTITY
        )
    wide, high = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    return of_matrix(matrix)._replace(aspect=_aspect(wide, high, path))


def of_matrix(matrix: display_matrix.Matrix) -> Display:
    """The nearest of the eight ways in which axes can be swapped and reversed; square pixels."""
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Display(reversed_x=a < 0, reversed_y=d < 0)
    return Display(transposed=True, reversed_x=c < 0, reversed_y=b < 0)


def shown(image: UInt8[np.ndarray, "h w 3"], display: Display) -> UInt8[np.ndarray, "H W 3"]:
    """The stored image as people see it, with square pixels: its height stays, as players do it."""
    if display.aspect != 1:
        height, width = image.shape[:2]
        size = max(1, round(width * display.aspect)), height
        kind = cv2.INTER_LINEAR if display.aspect > 1 else cv2.INTER_AREA
        image = cv2.resize(image, size, interpolation=kind)
    if display.transposed:
        image = image.swapaxes(0, 1)
    if display.reversed_x:
        image = image[:, ::-1]
    if display.reversed_y:
        image = image[::-1]
    return np.ascontiguousarray(image)


def _aspect(width: float, height: float, path: Path) -> float:
    if not (width > 0 and height > 0):  # the file says nothing
        return 1.0
    if LEAST_ASPECT <= width / height <= MOST_ASPECT:
        return width / height
    warnings.warn(
        f"{path} states pixels of {width:g}:{height:g}; they are taken for square", stacklevel=3
    )
    return 1.0
