"""How long each frame of an animated image is shown, in ms, as its headers say.

Pillow tells only while it unpacks frame after frame; here pixels are stepped over, and what is read
grows with the file alone, whatever it claims to hold. 0 means that a frame states no duration.
"""

import struct
from collections.abc import Iterator
from typing import IO


def of_gif(file: IO[bytes]) -> Iterator[float]:
    """Of a GIF's images, from the graphic control extensions before them."""
    file.seek(10)
    _skip_palette(file, file.read(3)[:1])
    shown_ms = 0
    while (kind := file.read(1)) not in (b"", b";"):
        if kind not in (b"!", b","):  # stray bytes between blocks, which Pillow steps over too
            continue
        if kind == b",":
            yield shown_ms
            shown_ms = 0
            _skip_palette(file, file.read(9)[8:])
            file.read(1)  # the least size of a code
        elif file.read(1) == b"\xf9":
            control = file.read(5)  # size, flags, duration, transparent colour
            shown_ms = 10 * int.from_bytes(control[2:4], "little")
        while (size := file.read(1)) not in (b"", b"\0"):  # pieces of pixels or of an extension
            file.seek(size[0], 1)


def of_png(file: IO[bytes]) -> Iterator[float]:
    """Of an animated PNG's frames, from its frame controls."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        end = file.tell() + size + 4
        if kind == b"fcTL" and len(control := file.read(24)) == 24:
            part, whole = struct.unpack(">HH", control[20:])
            yield 1000 * part / (whole or 100)
        file.seek(end)


def of_webp(file: IO[bytes]) -> Iterator[float]:
    """Of an animated WebP's frames, from the heads of their chunks."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        kind, size = struct.unpack("<4sI", head)
        end = file.tell() + size + size % 2
        if kind == b"ANMF":
            yield int.from_bytes(file.read(15)[12:], "little")
        file.seek(end)


def _skip_palette(file: IO[bytes], flags: bytes) -> None:
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, 1)
