"""Which record goes into which slot of which batch: a pure function of (seed, step, slot).

Every batch holds exactly the quota of every dataset: one contiguous block of slots for each, in the
order of the quota table. This order is part of the method. Ghost groups are contiguous slices of
the batch, so each group normalises over few datasets.

Every dataset is an endless stream of its own. Its epoch e is a permutation of all its records,
drawn from (seed, name, e). So each record comes once an epoch, and a dataset's stream does not
depend on the other datasets. The permutation is a Feistel network with cycle walking (Black and
Rogaway 2002): it is applied again until the result lies inside the dataset. Nothing is stored, and
any step is reached in O(1). A draw takes 10-30 µs for any size; `grain`'s `index_shuffle` takes
2 ms for datasets with less than 10 records.

`grain.MapDataset.mix` is not used, because it truncates its weights: with quotas of (3, 7, 5), 37
of 3000 batches were wrong.
"""

import functools
import itertools
import math
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_ROUNDS = 4
_MIN_HALF_BITS = 3  # fewer bits in a half would leave too few different permutations
_WORD = 0xFFFFFFFF


class Mixture(NamedTuple):
    """A valid quota table and the sizes of its datasets; `create` makes it."""

    names: tuple[str, ...]
    quotas: tuple[int, ...]  # slots per batch
    lengths: tuple[int, ...]  # records
    seed: int

    @property
    def batch_size(self) -> int:
        """Slots in a batch, over all hosts."""
        return sum(self.quotas)


class Slot(NamedTuple):
    """The content of one slot: record `index` of dataset `dataset`, in that dataset's `epoch`."""

    dataset: int
    epoch: int
    index: int


def create(
    quotas: Sequence[tuple[str, int]],
    lengths: Sequence[int],
    *,
    seed: int,
    ghost_size: int,
    devices: int = 1,
    parts: int = 1,
    scale: int = 1,
) -> Mixture:
    """Return the mixture of a table of (dataset, slots per batch), with every quota times `scale`.

    `lengths` are the numbers of records of the datasets, in the table's order. Raises ValueError
    unless quotas are positive, names are distinct, no dataset is empty, and the batch can be cut
    into `devices` times `parts` equal shares of whole ghost groups of `ghost_size` slots.
    """
    names = tuple(name for name, _ in quotas)
    if len(lengths) != len(names):
        raise ValueError(f"mixture: {len(names)} datasets but {len(lengths)} lengths")
    if not names:
        raise ValueError("mixture: the quota table is empty; name at least one dataset")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"mixture: dataset {twice!r} stands twice in the quota table; add them up")
    for name, quota in quotas:
        if quota <= 0:
            raise ValueError(
                f"mixture: quota of {name!r} must be positive, got {quota}; "
                "leave the dataset out of the table instead"
            )
    for name, length in zip(names, lengths, strict=True):
        if length <= 0:
            raise ValueError(f"mixture: dataset {name!r} is empty; prepare it again")
    if min(ghost_size, devices, parts, scale) < 1:
        raise ValueError(
            "mixture: ghost_size, devices, parts and scale must be positive, "
            f"got {ghost_size}, {devices}, {parts} and {scale}"
        )
    total = sum(quota for _, quota in quotas)
    whole = ghost_size * devices * parts
    if total * scale % whole:
        fitting = fitting_scale(total, whole)
        raise ValueError(
            f"mixture: quotas sum to {total * scale} slots, which is not {devices} device(s) × "
            f"{parts} part(s) × whole ghost groups of {ghost_size}; take every quota {fitting} "
            f"times (data.quota_scale={fitting}), change one by {-total * scale % whole}, or "
            "choose another ghost size"
        )
    return Mixture(names, tuple(quota * scale for _, quota in quotas), tuple(lengths), seed)


def fitting_scale(slots: int, multiple: int) -> int:
    """The smallest factor by which `slots` becomes a multiple of `multiple`."""
    return math.lcm(slots, multiple) // slots


def slot(mixture: Mixture, step: int, slot: int) -> Slot:
    """Return the content of a slot of a step's batch; it is the same in every process."""
    starts = _starts(mixture.quotas)
    if step < 0 or not 0 <= slot < starts[-1]:
        raise IndexError(f"no slot {slot} of step {step}: a batch has {starts[-1]} slots")
    dataset = bisect_right(starts, slot) - 1
    position = step * mixture.quotas[dataset] + slot - starts[dataset]
    length = mixture.lengths[dataset]
    epoch, place = divmod(position, length)
    keys = _round_keys(mixture.seed, mixture.names[dataset], epoch)
    return Slot(dataset, epoch, _permuted(place, length, keys))


def slots_of_host(mixture: Mixture, host: int, hosts: int, parts: int = 1) -> tuple[int, ...]:
    """Return the slots that host `host` of `hosts` reads: its share of each part of the batch."""
    if not 0 <= host < hosts or mixture.batch_size % (hosts * parts):
        raise ValueError(
            f"mixture: {mixture.batch_size} slots in {parts} part(s) cannot be cut for host {host} "
            f"of {hosts}; the batch size must be a multiple of the number of hosts times parts"
        )
    slots = np.arange(mixture.batch_size).reshape(parts, hosts, -1)
    return tuple(slots[:, host].ravel().tolist())


@functools.cache
def _starts(quotas: tuple[int, ...]) -> tuple[int, ...]:
    """First slot of each dataset's block, and the batch size."""
    return (0, *itertools.accumulate(quotas))


@functools.lru_cache(maxsize=1024)
def _round_keys(seed: int, name: str, epoch: int) -> tuple[int, ...]:
    """Independent 32-bit keys of the Feistel rounds, for one epoch of one dataset."""
    entropy = (seed, zlib.crc32(name.encode()), epoch)
    return tuple(int(key) for key in np.random.SeedSequence(entropy).generate_state(_ROUNDS))


def _permuted(place: int, length: int, keys: tuple[int, ...]) -> int:
    """Where the permutation of range(length) with these keys sends `place`."""
    if length == 1:
        return 0
    half = max(_MIN_HALF_BITS, ((length - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = place >> half, place & mask
        for key in keys:
            # MurmurHash3's 32-bit finaliser: every input bit changes every output bit.
            word = right ^ key
            word = ((word ^ (word >> 16)) * 0x85EBCA6B) & _WORD
            word = ((word ^ (word >> 13)) * 0xC2B2AE35) & _WORD
            left, right = right, left ^ ((word ^ (word >> 16)) & mask)
        place = (left << half) | right
        if place < length:  # else go on: the cycle comes back inside
            return place
