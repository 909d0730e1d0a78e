"""Builds official datasets: finds builders, checks the folder of a release, lists what there is."""

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import yaml

from acae_jax import messages
from acae_jax.datasets import official, release, shards, writer
from acae_jax.datasets.release import Builder, Release
from acae_jax.files import paths


def load(name: str) -> Builder:
    """The builder of a dataset; ValueError for an unknown name."""
    if name not in official.NAMES:
        hint = messages.near_misses(name, official.NAMES)
        raise ValueError(f"no official dataset {name!r}; {hint}")
    return cast(Builder, importlib.import_module(f"{official.__name__}.{name}"))


def check(builder: Builder, raw: Path) -> None:
    """Raise ValueError, in one line, unless a folder holds the release of this builder."""
    release.check_layout(builder.RELEASE, raw)


def plan(builder: Builder, raw: Path, out: Path) -> shards.Plan:
    """What there is to build of a release; ValueError, in one line, if its folder is not right.

    Nothing is written.
    """
    check(builder, raw)
    units = builder.units(raw)
    if not units:
        raise ValueError(f"{builder.RELEASE.name}: {raw} holds nothing to build")
    if len({unit.name for unit in units}) < len(units):
        raise ValueError(f"{builder.RELEASE.name}: two units of {raw} have one name")
    return shards.Plan(builder.RELEASE, units, partial(builder.frames, raw), out)


def build(
    raws: Mapping[str, str | Path], out: Path, workers: int | None, share: tuple[int, int]
) -> list[Release]:
    """Build datasets from the folders of their releases, and say how it went.

    All folders are looked at before anything is built. Returns the datasets that are complete: not
    those that wait for other shares.
    """
    return build_plans(
        [plan(load(name), paths.local(raw).expanduser(), out) for name, raw in raws.items()],
        workers,
        share,
    )


def build_plans(
    plans: Sequence[shards.Plan], workers: int | None, share: tuple[int, int]
) -> list[Release]:
    """Build some plans, one after the other, and say how it went; returns as `build`."""
    complete = []
    for one in plans:
        folder = shards.build(one, workers, share)
        if folder is None:
            print(f"{one.release.name}: share {share[0]}/{share[1]} is done, others are missing")
        else:
            print(shards.told(folder))
            complete.append(one.release)
    return complete


def built(out: Path) -> list[Release]:
    """The datasets that are complete in a folder; ValueError, in one line, without any."""
    found = []
    for name in official.NAMES:
        facts = load(name).RELEASE
        if (writer.folder(out, name, facts.version) / "dataset_info.json").is_file():
            found.append(facts)
    if not found:
        raise ValueError(f"{out} holds no official dataset; build one: acae prepare NAME --raw …")
    return found


def read_raws(path: Path) -> dict[str, str]:
    """The folders of releases by dataset, from a YAML file: `h36m: /data/h36m`."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise ValueError(f"{path} must have lines such as h36m: /data/h36m")
    return {str(name): folder for name, folder in content.items()}


def listed() -> str:
    """What each dataset is, where to ask for it, and what its folder must hold."""
    return "\n\n".join(_told(load(name).RELEASE) for name in official.NAMES)


def _told(facts: Release) -> str:
    lines = [
        f"{facts.name:<14}{facts.title}",
        f"{len(release.joint_names(facts))} joints, {facts.quota} of 128 slots",
        f"{facts.url} – {facts.access}; {facts.size}",
        f"files: {', '.join(facts.layout)}",
    ]
    if facts.body_models:
        lines.append(f"body models: {', '.join(f'body_models/{n}' for n in facts.body_models)}")
    return f"\n{'':<14}".join(lines)
