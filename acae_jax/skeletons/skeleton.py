"""One skeleton: its joints, its edges, its mirror map, and its small file.

Conventions: a joint is left or right if a joint is there whose name says the other side and is the
same otherwise; any other joint is central. Sides are spelled as in ``lkne``, ``left_knee``,
``LeftKnee``, ``KneeLeft``, ``LKnee``, ``knee_l`` or ``Knee.L``. The catalogue has the first, and
what follows the first ``_`` of its names is the format (``lkne_h36m``).
Edges are pairs of joint indices, the smaller first, in ascending order.
"""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int32

from acae_jax import messages
from acae_jax.files import json_files

# Where a name may say its side, in the order in which partners are sought. A format may follow.
FIRST_LETTER = re.compile(r"^[lr]")
WORD = re.compile(r"left|right", re.IGNORECASE)
CAPITAL = re.compile(r"^[LR]")
LETTER_APART = re.compile(r"(?<=[^A-Za-z])[LRlr](?![A-Za-z])|(?<=[a-z0-9])[LR](?![A-Za-z0-9])")
SPELLINGS = (FIRST_LETTER, WORD, CAPITAL, LETTER_APART)
# Not as a part of another word, as in "upright".
WHOLE_WORD = re.compile(r"(?i:(?<![a-z])(left|right))|(?<=[a-z0-9])(Left|Right)(?![a-z])")
# A word, perhaps with a side before or after it.
BASE = re.compile(r"(?:(?:left|right|[lr])_)?[^_]*(?:_(?:left|right|[lr])(?![^_]))?", re.IGNORECASE)
OTHER_SIDE = {"l": "r", "r": "l", "left": "right", "right": "left"}


class Skeleton(NamedTuple):
    """A named set of joints in a fixed order, and the edges to draw between them."""

    name: str
    joint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]


def base_name(joint_name: str) -> str:
    """Name of a joint without the format it comes from: ``lhip_h36m`` is ``lhip``."""
    base = BASE.match(joint_name)
    assert base is not None  # it matches nothing, too
    return base[0]


def without_sides(joint_names: Sequence[str]) -> list[str]:
    """The names less what says a side: of ``LeftKnee_mine``, beside its partner, ``Knee_mine``."""
    rests = {
        name: left[: side.start()] + left[side.end() :]
        for left, (right, side) in _pairs(tuple(joint_names)).items()
        for name in (left, right)
    }
    return [rests.get(name, name) for name in joint_names]


def mirror_map(joint_names: Sequence[str]) -> Int32[np.ndarray, " J"]:
    """For every joint the index of its mirror image; joints without a partner are their own."""
    partners = pairs(joint_names)
    other = {**partners, **{right: left for left, right in partners.items()}}
    index = {name: i for i, name in enumerate(joint_names)}
    return np.array([index[other.get(name, name)] for name in joint_names], np.int32)


def sides(joint_names: Sequence[str]) -> list[str]:
    """For every joint the letter l or r of its side, empty for one without a partner."""
    partners = pairs(joint_names)
    letters = {**dict.fromkeys(partners, "l"), **dict.fromkeys(partners.values(), "r")}
    return [letters.get(name, "") for name in joint_names]


def pairs(joint_names: Sequence[str]) -> dict[str, str]:
    """The name of each left joint, and of the right one that is its mirror image."""
    return {left: right for left, (right, _) in _pairs(tuple(joint_names)).items()}


@functools.lru_cache(maxsize=64)
def _pairs(joint_names: tuple[str, ...]) -> dict[str, tuple[str, re.Match[str]]]:
    """Each left joint's partner, and where its own name says the side."""
    # Remembered, because pictures ask for every person in every frame.
    names = dict.fromkeys(joint_names)
    paired: set[str] = set()
    partners = {}
    for spelling in SPELLINGS:
        for name in names:
            for side in spelling.finditer(name):
                other = _mirrored(name, side)
                if side[0][0] in "lL" and other in names and paired.isdisjoint((name, other)):
                    partners[name] = other, side
                    paired |= {name, other}  # nobody has two, in whatever spellings
    return partners


def _mirrored(name: str, side: re.Match[str]) -> str:
    """The name with the other side, written in capitals where this one is."""
    other = OTHER_SIDE[side[0].lower()]
    if side[0][0].isupper():
        other = other.upper() if side[0].isupper() else other.title()
    return name[: side.start()] + other + name[side.end() :]


def _check_sides(joint_names: Sequence[str]) -> None:
    """A ValueError if a joint's name says a side and its partner is missing.

    A first letter l or r says one unless other joints have their sides elsewhere: ``root``.
    """
    partners = pairs(joint_names)
    by_letter = not partners or any(f"r{left[1:]}" == right for left, right in partners.items())
    for name in joint_names:
        if name in partners or name in partners.values():
            continue
        word, letter = WHOLE_WORD.search(name), by_letter and FIRST_LETTER.search(name)
        if word:
            said, how, mend = word, "", f"without '{word[0]}'"
        elif letter:
            said, how, mend = letter, " by its first letter", "to begin with neither l nor r"
        else:
            continue
        other = _mirrored(name, said)
        side = "left" if said[0][0] in "lL" else "right"
        raise ValueError(
            f"joint '{name}' is {side}{how} but '{other}' is missing; add '{other}', or rename "
            f"'{name}' {mend}"
        )


def select(skeleton: Skeleton, names: Iterable[str]) -> Int32[np.ndarray, " K"]:
    """Indices of the named joints, in the order of the names.

    An unknown name raises a ValueError that suggests the nearest ones.
    """
    index = {name: i for i, name in enumerate(skeleton.joint_names)}
    names = tuple(names)
    for name in names:
        if name not in index:
            where = f"skeleton '{skeleton.name}'"
            raise ValueError(f"{where} has no joint '{name}'; {messages.near_misses(name, index)}")
    return np.array([index[name] for name in names], np.int32)


def bone_lengths(
    joints: Float[np.ndarray, "*b j 3"], edges: Sequence[tuple[int, int]]
) -> Float[np.ndarray, "*b e"]:
    """The length of each edge, in the unit of the joints."""
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    return np.linalg.norm(joints[..., a, :] - joints[..., b, :], axis=-1)


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
        _check_sides(joint_names)
    except ValueError as error:
        raise ValueError(f"skeleton '{name}': {error}") from None
    if WHOLE_WORD.search(f"_{name}"):
        # In unions and bundles joints are called after it.
        raise ValueError(f"skeleton '{name}': a skeleton's name must not say left or right")
    return skeleton


def read(path: str | Path) -> Skeleton:
    """A user-defined skeleton from a JSON file, its edges given by joint name.

    ``{"name": "mine", "joint_names": ["pelv", "lhip", "rhip"], "edges": [["pelv", "lhip"]]}``.
    Whatever is wrong with it is one line, with the file and the fix: FileNotFoundError
    for a missing file, ValueError for the rest.
    """
    path = Path(path)
    try:
        content = json_files.read(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no skeleton file at {path}; give the path of an existing JSON file"
        ) from None
    try:
        return of_json(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def of_json(content: object) -> Skeleton:
    """The validated skeleton in decoded JSON, such as the file that `read` reads."""
    keys = ("name", "joint_names", "edges")
    if not isinstance(content, dict) or set(content) != set(keys):
        raise ValueError("a skeleton file is one object with the keys name, joint_names and edges")
    name, joint_names, edges = (content[key] for key in keys)
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
