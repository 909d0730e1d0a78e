"""BVH: a hierarchy of bones and their rotations over time, as animation tools read it.

Vertical axis y, unit cm unless asked otherwise. The root's channels are its position and its
rotation, every other joint's its rotation, all in the order Z X Y: R = Rz Rx Ry, in degrees, for
column vectors, right-handed. Angles go on past ±180 rather than jump. The rest pose, which is the
hierarchy with all rotations zero, is a T-pose facing +z; `solve` says how it and the rotations are
found.

What BVH cannot say: bones have constant lengths here, the median over the frames, so joints come
out somewhat displaced when the input's bones change theirs; `write` returns by how much. Gaps are
filled linearly in time and counted. Joints that no edge connects with the root are left out with a
warning that names them. A file begins with the first frame it is given: BVH does not number frames.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from acae_jax.motion import solve, track, tree
from acae_jax.skeletons import body_parts


class Written(NamedTuple):
    """What became of a motion in a BVH file."""

    joint_names: tuple[str, ...]  # in the file, hinges not counted
    left_out: tuple[str, ...]
    residual_mm: Float64[np.ndarray, " J"]  # mean distance of each joint of the file from the input
    filled: int  # positions that were missing and interpolated


def write(
    path: str | Path,
    joint_names: Sequence[str],
    edges: Sequence[tuple[int, int]],
    positions_mm: Float[np.ndarray, "F J 3"],
    fps: float,
    *,
    root: str | None = None,
    up: Sequence[float] | None = track.UP,
    unit_mm: float = 10.0,
) -> Written:
    """Write one person's motion as a BVH file.

    `root` names the joint at the top of the hierarchy (by default the pelvis, or else the middle of
    the largest connected part). `up` is the given world's upward direction, which becomes y; None
    leaves the axes alone. Lengths in the file are in units of `unit_mm`. Raises ValueError, in one
    line, for what cannot be written.
    """
    path = Path(path)
    names, positions = track.checked(joint_names, positions_mm, fps)
    if not (np.isfinite(unit_mm) and unit_mm > 0):
        raise ValueError(f"unit_mm is {unit_mm}; give the file's unit in mm, such as 10 for cm")
    # A joint that is never there ends its bones: what lies beyond it has no connection.
    absent = set(np.flatnonzero(np.isnan(positions[..., 0]).all(0)).tolist())
    hierarchy = tree.rooted(names, [edge for edge in edges if not absent & set(edge)], root)
    places = list(hierarchy.joints)
    left_out = tuple(name for joint, name in enumerate(names) if joint not in places)
    joints = [names[joint] for joint in places]
    if left_out:
        listed = ", ".join(left_out[:8]) + (", …" if len(left_out) > 8 else "")
        warnings.warn(
            f"{path.name}: {len(left_out)} joints are not connected with the root '{joints[0]}' "
            f"and are left out (a skeleton whose edges connect all keeps all): {listed}",
            stacklevel=2,
        )
    positions = track.levelled(positions[:, places], up, "y")
    is_there = ~np.isnan(positions[..., 0])
    filled = track.without_gaps(positions)
    parts = body_parts.of(names)
    rig = solve.solve(hierarchy, joints, [parts[joint] for joint in places], filled, is_there)
    with track.replacing(path) as part:
        part.write_text(_text(rig, fps, unit_mm), encoding="utf-8", newline="\n")
    apart = solve.posed(rig)[:, np.array(rig.joints) >= 0] - filled
    residual = np.linalg.norm(apart, axis=-1).mean(0, where=is_there)
    return Written(tuple(joints), left_out, residual, int((~is_there).sum()))


def _text(rig: solve.Rig, fps: float, unit_mm: float) -> str:
    angles = np.degrees(_continuous_angles(rig.rotations))
    numbers = np.concatenate([rig.root_mm / unit_mm, angles.reshape(len(angles), -1)], 1)
    lines = ["HIERARCHY", *_block(rig, 0, unit_mm, ""), "MOTION", f"Frames: {len(numbers)}"]
    lines.append(f"Frame Time: {1 / fps:.9f}")
    lines += [" ".join(map(_decimal, row)) for row in numbers.tolist()]
    return "\n".join(lines) + "\n"


def _block(rig: solve.Rig, node: int, unit_mm: float, indent: str) -> list[str]:
    """The lines of a node and of all below it."""
    kind, position = ("JOINT", "") if node else ("ROOT", "Xposition Yposition Zposition ")
    inner = indent + "  "
    offset = " ".join(_decimal(x) for x in (rig.offsets_mm[node] / unit_mm).tolist())
    lines = [
        f"{indent}{kind} {rig.names[node]}",
        f"{indent}{{",
        f"{inner}OFFSET {offset}",
        f"{inner}CHANNELS {3 if node else 6} {position}Zrotation Xrotation Yrotation",
    ]
    children = [child for child, parent in enumerate(rig.parents) if parent == node]
    for child in children:
        lines += _block(rig, child, unit_mm, inner)
    if not children:  # the joint is the bone's end itself; the format wants an end all the same
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}  OFFSET 0 0 0", f"{inner}}}"]
    return [*lines, f"{indent}}}"]


def _decimal(value: float) -> str:
    text = f"{value:.6f}"
    return "0.000000" if text == "-0.000000" else text


def _continuous_angles(
    rotations: Float64[np.ndarray, "F N 3 3"],
) -> Float64[np.ndarray, "F N 3"]:
    """Angles (z, x, y) in radians with Rz Rx Ry = rotation, each frame's nearest to the one before.

    Every rotation has two triples, (z, x, y) and (z + π, π - x, y + π), each up to full turns.
    Where x is a quarter turn only a sum of z and y is determined, and z is kept.
    """
    r = np.moveaxis(rotations, (-2, -1), (0, 1))
    x = np.arctan2(r[2, 1], np.hypot(r[0, 1], r[1, 1]))
    locked = np.cos(x) < 1e-6
    first = np.stack([np.arctan2(-r[0, 1], r[1, 1]), x, np.arctan2(-r[2, 0], r[2, 2])], -1)
    angles = np.empty_like(first)
    before = np.zeros_like(first[0])
    for frame, (one, lock) in enumerate(zip(first, locked, strict=True)):
        if lock.any():
            z = np.where(lock, before[:, 0], one[:, 0])
            # The first row of Rx⁻¹ Rz⁻¹ R is that of Ry: (cos y, 0, sin y).
            row = np.cos(z) * r[0, :, frame] + np.sin(z) * r[1, :, frame]
            y = np.where(lock, np.arctan2(row[2], row[0]), one[:, 2])
            one = np.stack([z, one[:, 1], y], -1)
        if frame:
            one, other = _nearest_turn(one, before), _nearest_turn(one * [1, -1, 1] + np.pi, before)
            nearer = np.abs(other - before).sum(-1) < np.abs(one - before).sum(-1)
            one = np.where(nearer[:, None], other, one)
        angles[frame] = before = one
    return angles


def _nearest_turn(
    angles: Float64[np.ndarray, "N 3"], before: Float64[np.ndarray, "N 3"]
) -> Float64[np.ndarray, "N 3"]:
    """The same angles, by full turns as near as can be to those before."""
    return angles + 2 * np.pi * np.round((before - angles) / (2 * np.pi))
