"""How the pixels that a video file stores become the picture that people see.

A file may say that its pixels are not square, and that its picture is to be turned or mirrored.
OpenCV decodes without the first, and of the second it knows an angle only: a mirrored picture it
would turn. So the matrix that MP4 and MOV files hold is read here; other kinds of file have
OpenCV's angle.
"""

import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

LEAST_ASPECT, MOST_ASPECT = 0.25, 4.0  # of pixels; real formats have 0.5 to 2
MOST_BOXES = 10_000  # looked at in one file
IDENTITY = (1.0, 0.0, 0.0, 1.0)
# Clockwise angles as OpenCV tells them, and what they do.
TURNS = {90: (0.0, 1.0, -1.0, 0.0), 180: (-1.0, 0.0, 0.0, -1.0), 270: (0.0, -1.0, 1.0, 0.0)}
# Bytes from the start of a box's content to its matrix, in versions 0 and 1 of the box.
MATRIX_AT = {b"tkhd": (40, 52), b"mvhd": (36, 48)}

# (a, b, c, d): a stored point (x, y) is shown at (a x + c y, b x + d y), up to a shift.
Matrix = tuple[float, float, float, float]


class Display(NamedTuple):
    """What is done to stored pixels, in this order; `aspect` is the width of one by its height."""

    aspect: float = 1.0
    transposed: bool = False
    reversed_x: bool = False
    reversed_y: bool = False


def of_file(capture: cv2.VideoCapture, path: Path) -> Display:
    """How an opened file is shown; its frames must not be turned by OpenCV."""
    matrix = _matrix_of_file(path)
    if matrix is None:
        matrix = TURNS.get(round(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360, IDENTITY)
    wide, high = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    return of_matrix(matrix)._replace(aspect=_aspect(wide, high, path))


def of_matrix(matrix: Matrix) -> Display:
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


# ------------------------------------------------------------------------------------- MP4 and MOV


def _matrix_of_file(path: Path) -> Matrix | None:
    """The matrix of the first video track times the whole movie's; None if there is none."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(4)
        if file.read(4) not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
            return None
        budget = iter(range(MOST_BOXES))
        for movie, movie_end in _boxes(file, 0, end, b"moov", budget):
            for track, track_end in _boxes(file, movie, movie_end, b"trak", budget):
                if not _is_video(file, track, track_end, budget):
                    continue
                one = _matrix(file, track, track_end, b"tkhd", budget)
                whole = _matrix(file, movie, movie_end, b"mvhd", budget)
                return None if one is None else _product(one, whole or IDENTITY)
    return None


def _boxes(
    file: IO[bytes], start: int, end: int, kind: bytes, budget: Iterator[int]
) -> Iterator[tuple[int, int]]:
    """Where the contents of the boxes of this kind begin and end, among those in start…end."""
    while start + 8 <= end and next(budget, None) is not None:
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, content = int.from_bytes(head[:4]), start + 8
        if size == 1:  # a size of 64 bits follows
            size, content = int.from_bytes(head[8:]), start + 16
        stop = end if size == 0 else start + size  # 0: to the end
        if stop < content or stop > end:
            return
        if head[4:8] == kind:
            yield content, stop
        start = stop


def _is_video(file: IO[bytes], start: int, end: int, budget: Iterator[int]) -> bool:
    for media, media_end in _boxes(file, start, end, b"mdia", budget):
        for handler, _ in _boxes(file, media, media_end, b"hdlr", budget):
            file.seek(handler + 8)
            return file.read(4) == b"vide"
    return False


def _matrix(
    file: IO[bytes], start: int, end: int, kind: bytes, budget: Iterator[int]
) -> Matrix | None:
    """The upper left part of the matrix in the first box of this kind; None if it says nothing."""
    for content, stop in _boxes(file, start, end, kind, budget):
        file.seek(content)
        version = file.read(1)
        at = content + MATRIX_AT[kind][version == b"\1"]
        file.seek(at)
        numbers = file.read(36)
        if at + 36 > stop or len(numbers) < 36:
            return None
        a, b, _, c, d = struct.unpack_from(">5i", numbers)
        return (a / 65536, b / 65536, c / 65536, d / 65536) if a * d != b * c else None
    return None


def _product(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d = (np.reshape(first, (2, 2)) @ np.reshape(then, (2, 2))).ravel().tolist()
    return a, b, c, d
