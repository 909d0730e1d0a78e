"""A split of a stored dataset as a stream of clean crops, ready for the network, and their labels.

Nothing is kept between batches, however large the split is, unless it is held in memory on purpose.
Of several processes, each makes the images of its own share of a batch and the labels of all of it,
so that every process comes to the same scores without asking the others.
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
    """What evaluations are built from: a model that sees crops, and where labelled ones lie.

    `predict` takes variables and this process's share of a batch, and gives the joints (n, p, 3) of
    all in mm; `members` says where among them each format's joints are. `layout` is that of the
    labels.
    """

    predict: Callable[[dict, dict[str, np.ndarray]], jax.Array]
    members: Mapping[str, Sequence[int]]
    layout: Layout
    folder: str  # of the datasets
    devices: int


class Crops(NamedTuple):
    """A batch: what the network gets (this process's share, padded), and what it should say of the
    whole batch, without the padding.
    """

    inputs: dict[str, np.ndarray]
    true_mm: Float[np.ndarray, "n j 3"]
    valid: Bool[np.ndarray, "n j"]


class StoredCrops:
    """The crops of a dataset in batches, which may be run through again and again.

    `devices` get equal shares of a batch. `scored` has those formats of the layout that count, by
    default all. `in_memory` keeps the batches from the first time on.
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
        """How many crops there are."""
        return len(self.source)

    def __iter__(self) -> Iterator[Crops]:
        if self._kept:
            yield from self._kept
            return
        made = []
        for rows in self._rows:
            crops = self._crops(rows)
            if self._kept is not None:
                made.append(crops)
            yield crops
        self._kept = made or self._kept

    def labels(self) -> Iterator[tuple[Float[np.ndarray, "n j 3"], Bool[np.ndarray, "n j"]]]:
        """True joints in mm, and which are labelled, batch by batch; no image is decoded."""
        for rows in self._rows:
            yield _labels([self._arranged(row) for row in np.unique(rows).tolist()])

    def intrinsics(self) -> Float[np.ndarray, "n 3 3"]:
        """The camera of every crop."""
        return np.stack([self._arranged(row)["intrinsics"] for row in range(len(self))])

    def image(self, index: int) -> UInt8[np.ndarray, "s s 3"]:
        """The image of one crop."""
        return self._arranged(index)["image"]()

    def _arranged(self, row: int) -> dict[str, Any]:
        settings = self.layout._asdict()
        return examples.arrange(self.source[row], (0, 0, row), augmentation=None, **settings)

    def _crops(self, rows: Int[np.ndarray, " n"]) -> Crops:
        arranged = {row: self._arranged(row) for row in np.unique(rows).tolist()}
        own = np.split(rows, jax.process_count())[jax.process_index()].tolist()
        drawn = {row: arranged[row]["image"]() for row in dict.fromkeys(own)}
        inputs = [{"image": drawn[i], "intrinsics": arranged[i]["intrinsics"]} for i in own]
        return Crops(scoring.stacked(inputs), *_labels([*arranged.values()]))


def _labels(
    arranged: Sequence[Mapping[str, Any]],
) -> tuple[Float[np.ndarray, "n j 3"], Bool[np.ndarray, "n j"]]:
    joints_mm, valid = ([each[name] for each in arranged] for name in ("joints_mm", "valid"))
    return np.stack(joints_mm), np.stack(valid)
