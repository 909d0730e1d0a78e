"""What a bundle says of itself: names, skeletons, sizes; and how that is kept as JSON.

The file may come from anywhere, so everything in it is checked before it is used.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from acae_jax.bundles.uncertainty import Calibration

Edges = tuple[tuple[int, int], ...]
LONGEST_SIDE_PX = 4096


class Selection(NamedTuple):
    """A skeleton as a choice of a model's joints: which, what they are called in it, and its edges,
    which count within the selection.
    """

    indices: tuple[int, ...]
    joint_names: tuple[str, ...]
    edges: Edges


class Variation(NamedTuple):
    """How the crops varied that a network learned from, by default as published: rolls within
    ± `roll` radians, zooms from the first to the second number.
    """

    roll: float = math.pi / 9
    zoom: tuple[float, float] = (0.75, 1.25)


PUBLISHED = Variation()


class Looks(NamedTuple):
    """How a network that tells where the person is wants its crops.

    The first crop's side is `margin` times the box's longer side. The network's point `middle` is
    the centre of the next, whose side is `radii` times the distance to its point `top`, which is
    above it. Where the spread of `top` is more than `doubt_mm`, other turns of the crop may be
    better.
    """

    middle: int
    top: int
    margin: float = 1.25
    radii: float = 2.5
    doubt_mm: float = 40.0


class Facts(NamedTuple):
    """What a model needs to be used, and what people want to know of it.

    Joints are those that come out in the end, after the bundle's `matrix` if it has one. `edges`
    join them; `bones_mm` are the edges' mean lengths in the training poses, () if unknown. `about`
    is for people: licence, scores, training facts, versions.
    """

    name: str
    side_px: int
    joint_names: tuple[str, ...]
    edges: Edges
    skeletons: dict[str, Selection]
    default_skeleton: str
    bones_mm: tuple[float, ...]
    uncertainty: Calibration | None
    about: dict[str, Any]
    trained: Variation = PUBLISHED
    looks: Looks | None = None


def to_json(facts: Facts) -> dict[str, Any]:
    """The facts as JSON's types, for `of_json`."""
    skeletons = {name: one._asdict() for name, one in facts.skeletons.items()}
    calibration = facts.uncertainty and facts.uncertainty._asdict()
    plain = {**facts._asdict(), "skeletons": skeletons, "uncertainty": calibration}
    plain["trained"] = facts.trained._asdict()
    plain["looks"] = facts.looks and facts.looks._asdict()
    return json.loads(json.dumps(plain, allow_nan=False))


def of_json(content: Any) -> Facts:
    """The facts in decoded JSON; a ValueError of one line that names what is wrong in it."""
    if isinstance(content, Mapping):
        content = {"looks": None, **content}  # bundles of version 0.1 have none
    _check_keys(content, Facts._fields, "facts")
    joint_names = _texts(content["joint_names"], "joint_names")
    edges = _edges(content["edges"], len(joint_names), "edges")
    _check(isinstance(content["skeletons"], dict), "skeletons must be an object")
    skeletons = {
        name: _selection(one, len(joint_names), f"skeletons.{name}")
        for name, one in content["skeletons"].items()
    }
    default = content["default_skeleton"]
    _check(isinstance(default, str) and default in skeletons, "default_skeleton names no skeleton")
    side_px = content["side_px"]
    _check(
        type(side_px) is int and 1 <= side_px <= LONGEST_SIDE_PX,
        f"side_px must be an integer from 1 to {LONGEST_SIDE_PX}",
    )
    bones_mm = _numbers(content["bones_mm"], "bones_mm")
    _check(len(bones_mm) in (0, len(edges)), "bones_mm must be one number for each edge, or none")
    _check(isinstance(content["name"], str), "name must be a text")
    _check(isinstance(content["about"], dict), "about must be an object")
    return Facts(
        name=content["name"],
        side_px=side_px,
        joint_names=joint_names,
        edges=edges,
        skeletons=skeletons,
        default_skeleton=default,
        bones_mm=bones_mm,
        uncertainty=_calibration(content["uncertainty"]),
        about=content["about"],
        trained=_variation(content["trained"]),
        looks=_looks(content["looks"]),
    )


def _selection(content: Any, joints: int, where: str) -> Selection:
    _check_keys(content, Selection._fields, where)
    indices = _indices(content["indices"], joints, f"{where}.indices")
    joint_names = _texts(content["joint_names"], f"{where}.joint_names")
    _check(len(indices) == len(joint_names) > 0, f"{where} must have a name for each index")
    return Selection(indices, joint_names, _edges(content["edges"], len(indices), f"{where}.edges"))


def _calibration(content: Any) -> Calibration | None:
    if content is None:
        return None
    _check_keys(content, Calibration._fields, "uncertainty")
    parts = {name: _numbers(content[name], f"uncertainty.{name}") for name in Calibration._fields}
    calibration = Calibration(**parts)
    rising = all(
        a < b for a, b in zip(calibration.spreads_mm, calibration.spreads_mm[1:], strict=False)
    )
    _check(
        rising and len(calibration.spreads_mm) == len(calibration.errors_mm) > 0,
        "uncertainty must be a curve: rising spreads_mm, and as many errors_mm",
    )
    return calibration


def _variation(content: Any) -> Variation:
    _check_keys(content, Variation._fields, "trained")
    zoom = _numbers(content["zoom"], "trained.zoom")
    (roll,) = _numbers([content["roll"]], "trained.roll")
    _check(
        len(zoom) == 2 and 0 < zoom[0] <= 1 <= zoom[1] and 0 <= roll <= math.pi,
        "trained must be a roll from 0 to π and two zooms, around 1",
    )
    return Variation(roll, (zoom[0], zoom[1]))


def _looks(content: Any) -> Looks | None:
    if content is None:
        return None
    _check_keys(content, Looks._fields, "looks")
    lengths = [content[name] for name in ("margin", "radii", "doubt_mm")]
    margin, radii, doubt_mm = _numbers(lengths, "looks.margin, .radii and .doubt_mm")
    middle, top = (content[name] for name in ("middle", "top"))
    _check(
        all(type(one) is int and one >= 0 for one in (middle, top)),
        "looks.middle and .top must be indices of the network's points",
    )
    _check(
        0.1 <= margin <= 10 and 0.1 <= radii <= 10,
        "looks.margin and .radii must lie between 0.1 and 10",
    )
    return Looks(middle, top, margin, radii, doubt_mm)


def _edges(content: Any, joints: int, where: str) -> Edges:
    _check(isinstance(content, list), f"{where} must be a list of pairs of indices")
    pairs = [_indices(pair, joints, where) for pair in content]
    _check(all(len(pair) == 2 for pair in pairs), f"{where} must be a list of pairs of indices")
    return tuple((a, b) for a, b in pairs)


def _indices(content: Any, joints: int, where: str) -> tuple[int, ...]:
    valid = isinstance(content, list) and all(
        type(index) is int and 0 <= index < joints for index in content
    )
    _check(valid, f"{where} must be a list of indices below {joints}")
    return tuple(content)


def _numbers(content: Any, where: str) -> tuple[float, ...]:
    valid = isinstance(content, list) and all(type(number) in (int, float) for number in content)
    try:
        numbers = tuple(float(number) for number in content) if valid else ()
    except OverflowError:  # an integer with hundreds of digits
        numbers = (math.inf,)
    _check(valid and all(map(math.isfinite, numbers)), f"{where} must be a list of finite numbers")
    return numbers


def _texts(content: Any, where: str) -> tuple[str, ...]:
    valid = isinstance(content, list) and all(isinstance(text, str) and text for text in content)
    _check(valid, f"{where} must be a list of texts")
    return tuple(content)


def _check_keys(content: Any, names: Sequence[str], where: str) -> None:
    valid = isinstance(content, Mapping) and set(content) == set(names)
    _check(valid, f"{where} must be an object with the keys {', '.join(names)}")


def _check(valid: bool, message: str) -> None:
    if not valid:
        raise ValueError(message)
