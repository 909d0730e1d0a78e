"""Joints over time in BVH files, by forward kinematics; `motion.bvh` writes them.

A joint's transform is that of its parent, then its offset, then its channels in their order;
rotations are in degrees, for column vectors, right-handed. Position channels of a joint take the
place of its offset, as most tools have it. A chain's end is called after its joint: "Head_end".
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

LIMIT_BYTES = 1 << 30
DEEPEST = 200
AXES = {"X": 0, "Y": 1, "Z": 2}
CHANNEL = re.compile(r"([XYZ])(position|rotation)")


class Motion(NamedTuple):
    """Joints over time, in the file's unit of length and its world."""

    names: tuple[str, ...]
    positions: Float[np.ndarray, "F J 3"]
    rate_hz: float


class Node(NamedTuple):
    """A joint: its parent's index (-1 for the root), its offset and its channels ("Xrotation")."""

    name: str
    parent: int
    offset: np.ndarray
    channels: tuple[str, ...]


def read(path: str | Path) -> Motion:
    """The joints of a BVH file.

    Raises FileNotFoundError; ValueError, in one line, if it is damaged, or has more bytes than
    LIMIT_BYTES.
    """
    path = Path(path)
    if path.stat().st_size > LIMIT_BYTES:
        raise ValueError(f"{path} has more than {LIMIT_BYTES} bytes")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        head, found, tail = text.partition("MOTION")
        if not found:
            raise ValueError("it has no part MOTION")
        nodes = _hierarchy(head.split())
        rate_hz, values = _frames(tail, sum(len(node.channels) for node in nodes))
    except ValueError as error:
        raise ValueError(f"{path} is no readable BVH: {error}") from None
    except IndexError:
        raise ValueError(f"{path} is no readable BVH: its hierarchy is cut short") from None
    return Motion(tuple(node.name for node in nodes), _positions(nodes, values), rate_hz)


def _hierarchy(words: list[str]) -> list[Node]:
    """The nodes, parents before children; IndexError if the words end too early."""
    if words[:1] != ["HIERARCHY"]:
        raise ValueError("it does not begin with HIERARCHY")
    nodes: list[Node] = []
    open_nodes: list[int] = []
    at = 1
    while at < len(words):
        if words[at] == "}":
            if not open_nodes:
                raise ValueError("it closes a bracket too many")
            open_nodes.pop()
            at += 1
            continue
        if "{" not in words[at:]:
            raise ValueError(f"it has {words[at][:40]!r} where a joint belongs")
        start = words.index("{", at)
        kind, name = words[at], " ".join(words[at + 1 : start])
        parent = open_nodes[-1] if open_nodes else -1
        if kind == "End" and parent >= 0:
            name = f"{nodes[parent].name}_end"
        elif kind not in ("ROOT", "JOINT") or (kind == "JOINT") != (parent >= 0):
            raise ValueError(f"it has {kind!r} where a joint belongs")
        if words[start + 1] != "OFFSET":
            raise ValueError(f"joint {name!r} has no OFFSET")
        offset = np.array([_number(word) for word in words[start + 2 : start + 5]])
        if len(offset) < 3 or len(open_nodes) > DEEPEST:
            raise IndexError
        at, channels = start + 5, ()
        if words[at] == "CHANNELS":
            count = int(_number(words[at + 1]))
            channels = tuple(words[at + 2 : at + 2 + count])
            at += 2 + count
            if not all(CHANNEL.fullmatch(channel) for channel in channels):
                raise ValueError(f"joint {name!r} has unknown channels {' '.join(channels)}")
        if name in {node.name for node in nodes}:
            raise ValueError(f"joint {name!r} is there twice")
        nodes.append(Node(name, parent, offset, channels))
        open_nodes.append(len(nodes) - 1)
    if open_nodes or not nodes:
        raise IndexError
    return nodes


def _frames(text: str, width: int) -> tuple[float, np.ndarray]:
    """The rate and the channels' values (frames, width)."""
    match = re.match(r"\s*Frames:\s*(\d+)\s*Frame\s+Time:\s*(\S+)", text)
    if match is None:
        raise ValueError("MOTION does not begin with Frames and Frame Time")
    count, seconds = int(match[1]), _number(match[2])
    if seconds <= 0:
        raise ValueError(f"its Frame Time is {match[2]}")
    words = text[match.end() :].split()
    if len(words) != count * width or not count:
        raise ValueError(
            f"it has {len(words)} numbers, not {count * width}: {width} in each of {count} frames"
        )
    try:
        values = np.array(words, np.float64)
    except ValueError as error:
        raise ValueError(f"its motion holds something other than numbers ({error})") from None
    if not np.isfinite(values).all():
        raise ValueError("its motion holds numbers that are not finite")
    return 1 / seconds, values.reshape(count, width)


def _positions(nodes: list[Node], values: np.ndarray) -> np.ndarray:
    """Where the joints are in each frame."""
    count, column = len(values), 0
    rotations = np.empty((len(nodes), count, 3, 3))
    positions = np.empty((count, len(nodes), 3))
    for index, node in enumerate(nodes):
        turn, shift = np.broadcast_to(np.eye(3), (count, 3, 3)), np.tile(node.offset, (count, 1))
        for channel in node.channels:
            axis, kind = AXES[channel[0]], channel[1:]
            if kind == "position":
                shift[:, axis] = values[:, column]
            else:
                turn = turn @ _about(axis, np.radians(values[:, column]))
            column += 1
        if node.parent >= 0:
            before = rotations[node.parent]
            shift = positions[:, node.parent] + (before @ shift[..., None])[..., 0]
            turn = before @ turn
        rotations[index], positions[:, index] = turn, shift
    return positions


def _about(axis: int, angles: np.ndarray) -> np.ndarray:
    """Rotations about an axis of the world."""
    cosine, sine = np.cos(angles), np.sin(angles)
    turn = np.zeros((len(angles), 3, 3))
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn[:, axis, axis] = 1
    turn[:, one, one] = turn[:, other, other] = cosine
    turn[:, other, one], turn[:, one, other] = sine, -sine
    return turn


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"it has {word!r} where a number belongs") from None
