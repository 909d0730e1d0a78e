"""One skeleton: its joints, its edges, its mirror map, and its small file.

Conventions: a joint whose name begins with ``l`` is left, with ``r`` right, any other is central;
``lkne`` mirrors to ``rkne``. What follows the first ``_`` names the format (``lkne_h36m``).
Edges are pairs of joint indices, the smaller first, in ascending order.
"""

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

OTHER_SIDE = {"l": "r", "r": "l"}


class Skeleton(NamedTuple):
    """A named set of joints in a fixed order, and the edges to draw between them."""

    name: str
    joint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]


def base_name(joint_name: str) -> str:
    """Name of a joint without the format it comes from: ``lhip_h36m`` is ``lhip``."""
    return joint_name.split("_", 1)[0]


def mirror_map(joint_names: Sequence[str]) -> Int32[np.ndarray, "J"]:
    """For every joint the index of its mirror image; central joints are their own.

    A ValueError names a left or right joint without a partner.
    """
    index = {name: i for i, name in enumerate(joint_names)}
    mirrored = [OTHER_SIDE.get(name[0], name[0]) + name[1:] for name in joint_names]
    for name, other in zip(joint_names, mirrored, strict=True):
        if other not in index:
            side = "left" if name[0] == "l" else "right"
            raise ValueError(
                f"joint '{name}' is {side} by its first letter but '{other}' is missing; "
                f"add '{other}', or rename '{name}' to begin with neither l nor r"
            )
    return np.array([index[other] for other in mirrored], np.int32)


def select(skeleton: Skeleton, names: Iterable[str]) -> Int32[np.ndarray, "K"]:
    """Indices of the named joints, in the order of the names.

    An unknown name raises a ValueError that suggests the nearest ones.
    """
    index = {name: i for i, name in enumerate(skeleton.joint_names)}
    names = tuple(names)
    for name in names:
        if name not in index:
            where = f"skeleton '{skeleton.name}'"
            raise ValueError(f"{where} has no joint '{name}'; {near_misses(name, index)}")
    return np.array([index[name] for name in names], np.int32)


def near_misses(name: str, known: Iterable[str]) -> str:
    """What to say after an unknown name: the known ones like it, or else all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return "it is one of: " + ", ".join(known)


def canonical_edges(edges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The distinct edges, each with its smaller index first, in ascending order."""
    return tuple(sorted({(min(a, b), max(a, b)) for a, b in edges}))


def validate(skeleton: Skeleton) -> Skeleton:
    """The skeleton itself, or a one-line ValueError that says what to mend in it."""
    name, joint_names, edges = skeleton
    if not joint_names or "" in joint_names:
        raise ValueError(f"skeleton '{name}': give it at least one joint, and every joint a name")
    repeated = [joint for joint, count in Counter(joint_names).items() if count > 1]
    if repeated:
        raise ValueError(f"skeleton '{name}': joint '{repeated[0]}' is there twice; rename one")
    for a, b in edges:
        if not (0 <= a < len(joint_names) and 0 <= b < len(joint_names)) or a == b:
            raise ValueError(
                f"skeleton '{name}': edge ({a}, {b}) must join two different joints "
                f"of 0…{len(joint_names) - 1}"
            )
    try:
        mirror_map(joint_names)
    except ValueError as error:
        raise ValueError(f"skeleton '{name}': {error}") from None
    return skeleton


def read(path: str | Path) -> Skeleton:
    """A user-defined skeleton from a JSON file, its edges given by joint name.

    ``{"name": "mine", "joint_names": ["pelv", "lhip", "rhip"], "edges": [["pelv", "lhip"]]}``.
    Whatever is wrong with it is one line, with the file and the fix: FileNotFoundError
    for a missing file, ValueError for the rest.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no skeleton file at {path}; give the path of an existing JSON file"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}); mend it there") from None
    try:
        return of_json(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def of_json(content: object) -> Skeleton:
    """The validated skeleton in decoded JSON, such as the file that `read` reads."""
    wanted = ("name", "joint_names", "edges")
    if not isinstance(content, dict) or set(content) != set(wanted):
        raise ValueError("a skeleton file is one object with the keys name, joint_names and edges")
    name, joint_names, edges = (content[key] for key in wanted)
    if not isinstance(name, str) or not name:
        raise ValueError("name must be a text, such as 'mine'")
    if not _is_list_of_texts(joint_names):
        raise ValueError('joint_names must be a list of texts, such as ["pelv", "lhip", "rhip"]')
    if not isinstance(edges, list) or not all(_is_list_of_texts(e) and len(e) == 2 for e in edges):
        raise ValueError('edges must be a list of pairs of joint names, such as [["pelv", "lhip"]]')
    skeleton = Skeleton(name, tuple(joint_names), ())
    indices = [tuple(select(skeleton, edge).tolist()) for edge in edges]
    # Validated before the edges are put in order, so that an error shows them as written.
    validate(skeleton._replace(edges=tuple(indices)))
    return skeleton._replace(edges=canonical_edges(indices))


def write(path: str | Path, skeleton: Skeleton) -> None:
    """Write a valid skeleton as the JSON file that `read` reads."""
    name, joint_names, edges = validate(skeleton)
    named_edges = [[joint_names[a], joint_names[b]] for a, b in edges]
    fields = {"name": name, "joint_names": list(joint_names), "edges": named_edges}
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in fields.items())
    Path(path).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
