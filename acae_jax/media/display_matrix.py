"""How a file's header turns and mirrors its picture: of MP4 and MOV, and of Matroska and WebM.

OpenCV tells an angle only, which is wrong of a mirrored picture. Both kinds of file are trees of
elements with sizes; a damaged one ends the search, not the program.
"""

import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

MOST_ELEMENTS = 10_000  # looked at in one file
IDENTITY = (1.0, 0.0, 0.0, 1.0)
MP4 = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})  # begin a file
MATROSKA = b"\x1a\x45\xdf\xa3"
# Bytes from the start of a box's content to its matrix, in versions 0 and 1 of the box.
MATRIX_AT = {b"tkhd": (40, 52), b"mvhd": (36, 48)}
# Names of Matroska's elements.
SEGMENT, TRACKS, TRACK = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
TRACK_TYPE, VIDEO, PROJECTION = b"\x83", b"\xe0", b"\x76\x70"
PROJECTION_TYPE, YAW, PITCH, ROLL = b"\x76\x71", b"\x76\x73", b"\x76\x74", b"\x76\x75"

# (a, b, c, d): a stored point (x, y) is shown at (a x + c y, b x + d y), up to a shift.
Matrix = tuple[float, float, float, float]


class Element(NamedTuple):
    """A part of a file: its name, and where its content begins and ends."""

    name: bytes
    start: int
    end: int


def of_file(path: Path) -> Matrix | None:
    """The matrix of a file's first video track; None if there is none."""
    with path.open("rb") as file:
        whole = Element(b"", 0, file.seek(0, 2))
        file.seek(0)
        head = file.read(8)
        if head[:4] == MATROSKA:
            return _of_matroska(_Tree(file, _matroska_element), whole)
        if head[4:] in MP4:
            return _of_mp4(_Tree(file, _mp4_element), whole)
    return None


class _Tree:
    """A file as a tree of elements, of which a limited number is looked at."""

    def __init__(self, file: IO[bytes], element: Callable[[bytes, int, int], Element | None]):
        self._file, self._element = file, element
        self._budget = MOST_ELEMENTS

    def children(self, parent: Element, name: bytes) -> Iterator[Element]:
        """The elements of this name directly inside the parent."""
        start = parent.start
        while start < parent.end and self._budget:
            self._budget -= 1
            one = self._element(self.read(start, 16), start, parent.end)
            if one is None or not start < one.start <= one.end <= parent.end:
                return
            if one.name == name:
                yield one
            start = one.end

    def first(self, parent: Element, *names: bytes) -> Element | None:
        """The first element on this way down, of the first ones above it."""
        for name in names:
            parent = next(self.children(parent, name), Element(b"", 0, 0))
        return parent if parent.name else None

    def read(self, start: int, count: int) -> bytes:
        """So many bytes, or less at the end of the file."""
        self._file.seek(start)
        return self._file.read(count)


# ------------------------------------------------------------------------------------- MP4 and MOV


def _mp4_element(head: bytes, start: int, parent_end: int) -> Element | None:
    if len(head) < 8:
        return None
    size, content = int.from_bytes(head[:4]), start + 8
    if size == 1:  # a size of 64 bits follows
        size, content = int.from_bytes(head[8:]), start + 16
    return Element(head[4:8], content, start + size if size else parent_end)


def _of_mp4(tree: _Tree, whole: Element) -> Matrix | None:
    """The track's matrix times the movie's."""
    for movie in tree.children(whole, b"moov"):
        for track in tree.children(movie, b"trak"):
            handler = tree.first(track, b"mdia", b"hdlr")
            if handler is not None and tree.read(handler.start + 8, 4) == b"vide":
                one, then = _mp4_matrix(tree, track, b"tkhd"), _mp4_matrix(tree, movie, b"mvhd")
                return None if one is None else _product(one, then or IDENTITY)
    return None


def _mp4_matrix(tree: _Tree, parent: Element, name: bytes) -> Matrix | None:
    """The upper left part of the matrix in a box; None if it is no matrix."""
    box = tree.first(parent, name)
    if box is None:
        return None
    start = box.start + MATRIX_AT[name][tree.read(box.start, 1) == b"\1"]
    numbers = tree.read(start, 36)
    if start + 36 > box.end or len(numbers) < 36:
        return None
    a, b, _, c, d = struct.unpack_from(">5i", numbers)
    return (a / 65536, b / 65536, c / 65536, d / 65536) if a * d != b * c else None


def _product(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d = first
    e, f, g, h = then
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


# ------------------------------------------------------------------------------- Matroska and WebM


def _matroska_element(head: bytes, start: int, parent_end: int) -> Element | None:
    if not head or not head[0]:
        return None
    name = head[: 9 - head[0].bit_length()]  # leading zeros tell how many bytes follow
    size = head[len(name) : len(name) + 8]
    if not size or not size[0]:
        return None
    count = 9 - size[0].bit_length()
    number = int.from_bytes(size[:count]) & ~(1 << 7 * count)
    content = start + len(name) + count
    is_open = number == (1 << 7 * count) - 1  # the size was not known when it was written
    return Element(name, content, parent_end if is_open else content + number)


def _of_matroska(tree: _Tree, whole: Element) -> Matrix | None:
    """A turn about the line of sight, and a half turn about the vertical as a mirror."""
    tracks = tree.first(whole, SEGMENT, TRACKS)
    for track in tree.children(tracks, TRACK) if tracks else ():
        kind = tree.first(track, TRACK_TYPE)
        if kind is None or tree.read(kind.end - 1, 1) != b"\1":
            continue
        projection = tree.first(track, VIDEO, PROJECTION)
        if projection is None:
            return None
        form = tree.first(projection, PROJECTION_TYPE)
        if form is not None and any(tree.read(form.start, min(8, form.end - form.start))):
            return None  # of a sphere
        yaw, pitch, roll = (_degrees(tree, projection, name) for name in (YAW, PITCH, ROLL))
        if pitch != 0 or yaw not in (0, 180, -180) or not -180 <= roll <= 180:
            return None
        cos, sin = math.cos(math.radians(roll)), math.sin(math.radians(roll))
        return (-cos, sin, sin, cos) if yaw else (cos, -sin, sin, cos)
    return None


def _degrees(tree: _Tree, parent: Element, name: bytes) -> float:
    element = tree.first(parent, name)
    size = element.end - element.start if element else 0
    number = tree.read(element.start, size) if element and size in (4, 8) else b""
    return struct.unpack(">f" if size == 4 else ">d", number)[0] if len(number) == size > 0 else 0.0
