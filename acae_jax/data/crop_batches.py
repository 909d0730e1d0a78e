"""Batches of person crops, from the datasets of a quota table.

`maker` returns the function that makes an example of a record; `training` makes batches with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acae_jax.data import crop_record, examples, feed, mixture, sources
from acae_jax.data.crop_record import CropRecord
from acae_jax.images import background, occlusion
from acae_jax.skeletons import catalogue
from acae_jax.skeletons.union import JointUnion, listed

Batch = dict[str, np.ndarray]


class Layout(NamedTuple):
    """What all examples of a run share: the joints, the 2D labels, the side of the crop."""

    union: JointUnion
    label_names: tuple[str, ...]
    side_px: int


def open_crops(name: str, folder: str | Path, split: str, union: JointUnion) -> sources.Source:
    """A split of a prepared dataset; ValueError if a format has other joints there than here."""
    source = sources.open(name, folder, split)
    for format_name, theirs in source.joint_names.items():
        ours = union.member_joints.get(format_name)
        if format_name in catalogue.labels_2d():
            ours = catalogue.load(format_name).joint_names
        if ours is not None and theirs != ours:
            raise ValueError(
                f"dataset {name!r} labels {format_name} with the joints {listed(theirs)}, but this "
                f"skeleton has {listed(ours)}: prepare the dataset again, or use its skeleton"
            )
    return source


def formats(source: sources.Source) -> tuple[str, ...]:
    """The formats that a dataset labels, in the order of its records' joints."""
    return tuple(source.joint_names) or crop_record.formats(source[0].format)


def maker(
    layout: Layout,
    augmentation: examples.Augmentation,
    *,
    device_colour: bool = False,
    occluders: Sequence[occlusion.Occluder] = (),
    backgrounds: Sequence[background.Background] = (),
    background_probabilities: Sequence[float | None] = (),
) -> feed.MakeExample:
    """The function (record, dataset, (seed, step, slot)) → augmented example, for the feed.

    `background_probabilities` is empty, or has one value for each dataset of the quota table; None
    stands for the augmentation's own probability.
    """
    return partial(
        _example,
        background_probabilities=tuple(background_probabilities),
        augmentation=augmentation,
        device_colour=device_colour,
        occluders=occluders,
        backgrounds=backgrounds,
        **layout._asdict(),
    )


def _example(
    record: CropRecord,
    dataset: int,
    seed_step_slot: tuple[int, int, int],
    background_probabilities: Sequence[float | None],
    **settings: Any,
) -> dict[str, Any]:
    """`examples.arrange` as the feed calls it; at module level, so that workers can import it."""
    own = background_probabilities[dataset] if background_probabilities else None
    return examples.arrange(
        record, seed_step_slot, dataset_index=dataset, background_probability=own, **settings
    )


def training(
    quotas: Sequence[tuple[str, int]],
    folder: str | Path,
    union: JointUnion,
    make_example: feed.MakeExample,
    *,
    seed: int,
    ghost_size: int,
    devices: int,
    scale: int = 1,
    parts: int = 1,
    workers: int = 0,
    in_memory: bool = False,
) -> Callable[[int], Iterator[Batch]]:
    """The function from a first step to an endless iterator of this process's share of batches."""
    on_disk = [open_crops(name, folder, "train", union) for name, _ in quotas]
    records = [list(source) for source in on_disk] if in_memory else on_disk
    plan = mixture.create(
        [(sources.plain_name(name), quota) for name, quota in quotas],
        [len(source) for source in records],
        seed=seed,
        ghost_size=ghost_size,
        devices=devices,
        parts=parts,
        scale=scale,
    )
    return partial(
        feed.batches,
        plan,
        records,
        make_example,
        host=jax.process_index(),
        hosts=jax.process_count(),
        parts=parts,
        workers=workers,
    )


def clean(
    layout: Layout, source: sources.Records, rows: Iterable[int], seed: int = 0
) -> list[Batch]:
    """Examples of these records, without augmentation."""
    return [
        examples.make(source[row], (seed, 0, row), augmentation=None, **layout._asdict())
        for row in rows
    ]


def evenly_spread(count: int, limit: int) -> list[int]:
    """Indices of at most `limit` of `count` records, at even distances."""
    return np.linspace(0, count - 1, min(limit, count)).astype(int).tolist()


def shapes(
    layout: Layout, batch_size: int, device_colour: bool = False
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of the arrays of a batch."""
    j, k, side_px = len(layout.union.joint_names), len(layout.label_names), layout.side_px
    example = {
        "image": ((side_px, side_px, 3), jnp.uint8),
        "intrinsics": ((3, 3), jnp.float32),
        "joints_mm": ((j, 3), jnp.float32),
        "valid": ((j,), jnp.bool_),
        "labels_px": ((k, 2), jnp.float32),
        "labels_valid": ((k,), jnp.bool_),
        "dataset": ((), jnp.int32),
    }
    if device_colour:
        example |= {"colour": ((5, 2), jnp.float32), "erased": ((4,), jnp.int32)}
    return {
        name: jax.ShapeDtypeStruct((batch_size, *shape), dtype)
        for name, (shape, dtype) in example.items()
    }
