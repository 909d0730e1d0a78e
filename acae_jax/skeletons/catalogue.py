"""The catalogue: every skeleton that the package knows by name, read from the files in data/.

Every file there is one JSON object with any of these sections, and a name stands in one file only:

* ``formats``: labelling conventions; joint names, edges as index pairs, and the suffix that the
  joints get in a mixture (``_`` and the format's name unless it says otherwise);
* ``labels_2d``: the label sets of 2D datasets, likewise;
* ``exports``: the skeletons offered to users; parts of formats, perhaps under other joint names;
* ``datasets``: for each of the 28 datasets the formats it labels, in its own joint order;
* ``mixtures``: the datasets of a recipe, in order.

Where a part lists no joints but says "all", it has its format's joints in their order.
"""

import functools
import json
from importlib import resources
from typing import Any, NamedTuple

from acae_jax import messages
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.skeleton import Skeleton

SECTIONS = ("formats", "exports", "labels_2d", "datasets", "mixtures")


class Part(NamedTuple):
    """Joints of one format, in the order in which a dataset or an export has them."""

    format: str
    joint_names: tuple[str, ...]


def names() -> tuple[str, ...]:
    """Everything that `load` knows: the formats, the exports and the 2D label sets."""
    return (*formats(), *exports(), *labels_2d())


def formats() -> tuple[str, ...]:
    """Names of the formats."""
    return tuple(_section("formats"))


def exports() -> tuple[str, ...]:
    """Names of the skeletons offered to users."""
    return tuple(_section("exports"))


def labels_2d() -> tuple[str, ...]:
    """Names of the 2D label sets."""
    return tuple(_section("labels_2d"))


def datasets() -> tuple[str, ...]:
    """Ids of the 28 datasets."""
    return tuple(_section("datasets"))


def mixtures() -> tuple[str, ...]:
    """Names of the mixtures of datasets."""
    return tuple(_section("mixtures"))


def load(name: str) -> Skeleton:
    """The skeleton of this name, or the one in the file if the name ends in ``.json``.

    An unknown name raises a ValueError that suggests the nearest ones.
    """
    if name.endswith(".json"):
        return skeleton.read(name)
    if name in _section("exports"):
        return _load_export(name)
    for section in ("formats", "labels_2d"):
        if name in _section(section):
            entry = _section(section)[name]
            edges = skeleton.canonical_edges((a, b) for a, b in entry["edges"])
            return Skeleton(name, tuple(entry["joint_names"]), edges)
    raise ValueError(
        f"no skeleton '{name}' in the catalogue; {messages.near_misses(name, names())} "
        "For a skeleton of your own give the path of its .json file."
    )


def dataset_skeleton(dataset: str) -> Skeleton:
    """The joints that a dataset labels, in its own order.

    Plain names (``lhip``) if it labels one format; names as in the mixtures (``lhip_smplx``)
    if it labels several. Edges are those of the formats among these joints.
    """
    parts = dataset_parts(dataset)
    if len(parts) == 1:
        joint_names = parts[0].joint_names
    else:
        joint_names = tuple(n + suffix(part.format) for part in parts for n in part.joint_names)
    return Skeleton(dataset, joint_names, _edges_within(parts))


def dataset_parts(dataset: str) -> tuple[Part, ...]:
    """The formats that a dataset labels, with its own joint order."""
    return _parts(_entry("datasets", dataset))


def export_parts(name: str) -> tuple[Part, ...]:
    """The joints of the formats that an exported skeleton is made of, under the formats' names."""
    return _parts(_entry("exports", name)["parts"])


def mixture_datasets(mixture: str) -> tuple[str, ...]:
    """Ids of a mixture's datasets, in the recipe's order."""
    return tuple(_entry("mixtures", mixture))


def suffix(format_name: str) -> str:
    """What a format's joints are called after in a mixture: ``_h36m``; nothing for smpl."""
    return _entry("formats", format_name).get("suffix", f"_{format_name}")


def _load_export(name: str) -> Skeleton:
    """An exported skeleton under the joint names that users see."""
    entry, parts = _entry("exports", name), export_parts(name)
    joint_names = entry.get("joint_names") or [n for part in parts for n in part.joint_names]
    index = {joint: i for i, joint in enumerate(joint_names)}
    extra = [(index[a], index[b]) for a, b in entry.get("extra_edges", ())]
    edges = skeleton.canonical_edges([*_edges_within(parts), *extra])
    return Skeleton(name, tuple(joint_names), edges)


def _parts(joints_of_formats: dict[str, Any]) -> tuple[Part, ...]:
    return tuple(
        Part(name, load(name).joint_names if joints == "all" else tuple(joints))
        for name, joints in joints_of_formats.items()
    )


def _edges_within(parts: tuple[Part, ...]) -> tuple[tuple[int, int], ...]:
    """The formats' edges among the joints of the parts, as indices into all of these joints."""
    edges, start = [], 0
    for part in parts:
        whole = load(part.format)
        index = {name: start + i for i, name in enumerate(part.joint_names)}
        named = [(whole.joint_names[a], whole.joint_names[b]) for a, b in whole.edges]
        edges += [(index[a], index[b]) for a, b in named if a in index and b in index]
        start += len(part.joint_names)
    return skeleton.canonical_edges(edges)


def _entry(section: str, name: str) -> Any:
    entries = _section(section)
    if name not in entries:
        # Sections are plurals of what they hold: "datasets" of "dataset".
        kind = section.removesuffix("s")
        raise ValueError(f"no {kind} '{name}'; {messages.near_misses(name, entries)}")
    return entries[name]


def _section(section: str) -> dict[str, Any]:
    return _catalogue()[section]


@functools.cache
def _catalogue() -> dict[str, dict[str, Any]]:
    """All sections of all files, put together."""
    together: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    # formats.json first: names are listed with the 19 formats of the 28 datasets in front.
    files = (resources.files("acae_jax.skeletons") / "data").iterdir()
    files = [file for file in files if file.name.endswith(".json")]
    for file in sorted(files, key=lambda file: (file.name != "formats.json", file.name)):
        for section, entries in json.loads(file.read_text(encoding="utf-8")).items():
            if section not in together:
                hint = messages.near_misses(section, SECTIONS)
                raise ValueError(f"{file.name}: no section '{section}'; {hint}")
            for name, entry in entries.items():
                if name in together[section]:
                    raise ValueError(f"{file.name}: '{name}' of {section} is in another file too")
                together[section][name] = entry
    return together
