"""A split of a stored dataset as a stream of clean crops, ready for the network, and their labels.

Nothing stays in memory between batches, unless that is asked for. If there are several processes,
each makes the images of its own share of a batch, but the labels of the whole batch. So every
process computes the same scores without communication.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from acae_jax.benchmarks import scoring
from acae_jax.data import examples, sources
from acae_jax.data.crop_batches import Layout
from acae_jax.skeletons.union import JointUnion


class CropModel(NamedTuple):
    """What a builder of evaluations gets: a model of crops, and the folder of the datasets.

    `predict` takes variables and this process's share of a batch, and returns the joints
    (n, p, 3) of the whole batch in mm. `members` has the indices of each format's joints among
    them. `layout` is that of the labels.
    """

    predict: Callable[[dict, dict[str, np.ndarray]], jax.Array]
    members: Mapping[str, Sequence[int]]
    layout: Layout
    folder: str  # of the datasets
    devices: int


class Crops(NamedTuple):
    """A batch: the network's input (this process's share, padded), and the labels of the whole
    batch, without padding.
    """

    inputs: dict[str, np.ndarray]
    true_mm: Float[np.ndarray, "n j 3"]
    valid: Bool[np.ndarray, "n j"]


class StoredCrops:
    """The crops of a dataset in batches; it can be iterated over any number of times.

    `devices` get equal shares of a batch. `scored` has the formats of the layout that count, by
    default all. With `in_memory`, the batches are kept after the first iteration.
    """

    def __init__(
        self,
        source: sources.Records,
        layout: Layout,
        batch_size: int,
        devices: int,
        scored: JointUnion | None = None,
        in_memory: bool = False,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        self.layout = layout
        self.scored = scored or layout.union
        self.source = source
        self._rows = scoring.padded_rows(len(source), -(-batch_size // devices) * devices)
        self._kept: list[Crops] | None = [] if in_memory else None

    def __len__(self) -> int:
        """The number of crops."""
        return len(self.source)

    def __iter__(self) -> Iterator[Crops]:
        if self._kept:
            yield from self._kept
            return
        batches = []
        for rows in self._rows:
            crops = self._crops(rows)
            if self._kept is not None:
                batches.append(crops)
            yield crops
        self._kept = batches or self._kept

    def labels(self) -> Iterator[tuple[Float[np.ndarray, "n j 3"], Bool[np.ndarray, "n j"]]]:
        """The true joints in mm and which are labelled, batch by batch; no image is decoded."""
        for rows in self._rows:
            yield _labels([self._example(row) for row in np.unique(rows).tolist()])

    def intrinsics(self) -> Float[np.ndarray, "n 3 3"]:
        """The intrinsic matrix of every crop."""
        return np.stack([self._example(row)["intrinsics"] for row in range(len(self))])

    def image(self, index: int) -> UInt8[np.ndarray, "s s 3"]:
        """The image of one crop."""
        return self._example(index)["image"]()

    def _example(self, row: int) -> dict[str, Any]:
        """One example, with a function in place of its image."""
        settings = self.layout._asdict()
        return examples.arrange(self.source[row], (0, 0, row), augmentation=None, **settings)

    def _crops(self, rows: Int[np.ndarray, " n"]) -> Crops:
        by_row = {row: self._example(row) for row in np.unique(rows).tolist()}
        own = np.split(rows, jax.process_count())[jax.process_index()].tolist()
        images = {row: by_row[row]["image"]() for row in dict.fromkeys(own)}
        inputs = [{"image": images[row], "intrinsics": by_row[row]["intrinsics"]} for row in own]
        return Crops(scoring.stacked(inputs), *_labels([*by_row.values()]))


def _labels(
    batch: Sequence[Mapping[str, Any]],
) -> tuple[Float[np.ndarray, "n j 3"], Bool[np.ndarray, "n j"]]:
    joints_mm, valid = ([example[name] for example in batch] for name in ("joints_mm", "valid"))
    return np.stack(joints_mm), np.stack(valid)
