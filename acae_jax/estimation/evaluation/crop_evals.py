"""Evaluations of a network on stored crops during training: the entries of config.evals that name
no other builder.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from acae_jax import metrics
from acae_jax.benchmarks import evals, scoring
from acae_jax.benchmarks.stored_crops import CropModel, Crops, StoredCrops
from acae_jax.data import crop_batches
from acae_jax.data.crop_batches import Layout
from acae_jax.estimation.evaluation import per_format, snapshots
from acae_jax.skeletons.union import JointUnion
from acae_jax.training.loop import Evaluated
from acae_jax.training.state import TrainState, evaluated


class CropTest(NamedTuple):
    """The values of an entry: a labelled split of a dataset, and the formats to score."""

    dataset: str
    split: str = "test"
    batch_size: int = 64
    formats: Sequence[str] = ()  # empty: all that the model has and the dataset labels
    in_memory: bool = False  # whether crops are made only once, not for every evaluation


def entries(config: ConfigDict) -> dict[str, evals.Entry]:
    """The config's evaluations by name, without those whose dataset is empty ("").

    Configs of version 0.1 have one test set, `data.test`; it is the evaluation "test".
    """
    values = config.to_dict()
    named = values.get("evals")
    if named is None:
        dataset = values["data"].get("test", "")
        named = {"test": {"dataset": dataset, "in_memory": True} | values.get("evaluation", {})}
    return {name: entry for name, entry in named.items() if entry.get("dataset") != ""}


def reported(config: ConfigDict) -> CropTest | None:
    """The entry on which reports and exports measure a model; None if there is none.

    It is the entry of stored crops called "test", or else the first by name.
    """
    of_crops = {name: e for name, e in entries(config).items() if not e.get("builder")}
    if not of_crops:
        return None
    name = "test" if "test" in of_crops else min(of_crops)
    return _crop_test({key: value for key, value in of_crops[name].items() if key != "builder"})


def _crop_test(settings: evals.Entry) -> CropTest:
    """An entry's values; ValueError if a name is wrong or missing."""
    evals.check_settings(CropTest, settings)
    return CropTest(**settings)


def open_crops(test: CropTest, layout: Layout, folder: str, devices: int) -> StoredCrops:
    """The crops of an entry, with labels in the order of the layout.

    Raises ValueError for a missing dataset, and for a format that the layout lacks.
    """
    union = layout.union
    unknown = [name for name in test.formats if name not in union.members]
    if unknown:
        names = ", ".join(union.members)
        raise ValueError(f"formats names {', '.join(unknown)}; the model has {names}")
    members = {name: union.members[name] for name in test.formats or union.members}
    return StoredCrops(
        crop_batches.open_crops(test.dataset, folder, test.split, layout.union),
        layout,
        test.batch_size,
        devices,
        scored=union._replace(members=members),
        in_memory=test.in_memory,
    )


def build(model: CropModel, **settings: Any) -> evals.Evaluation:
    """The evaluation of an entry; `settings` are the fields of `CropTest`.

    It gives mean scores over formats, the MPJPE of each format ("mpjpe_mm/smpl"), the disagreement
    between formats, and a picture. Warns of formats and poses without labels; raises ValueError if
    nothing is labelled.
    """
    test = _crop_test(settings)
    batches = open_crops(test, model.layout, model.folder, model.devices)
    union = batches.scored
    counts, pairs = per_format.survey(batches.labels(), union)
    if not counts:
        names = ", ".join(union.members)
        raise ValueError(f"no pose of {test.dataset} is labelled in any of the formats {names}")
    for sentence in per_format.left_out(counts, union.members):
        logging.warning("%s: %s", test.dataset, sentence)

    def evaluate(state: TrainState) -> Evaluated:
        variables, tally, picture = evaluated(state), scoring.Tally(), None
        outputs = scoring.streamed(lambda crops: model.predict(variables, crops.inputs), batches)
        for crops, output in outputs:
            poses_mm = output[: len(crops.true_mm)]
            poses_mm = per_format.in_test_order(poses_mm, model.members, union)
            per_format.add(tally, poses_mm, (crops.true_mm, crops.valid), union, pairs)
            picture = picture or _picture(crops, poses_mm, union)
        result = per_format.result(tally)
        each = {name: result[name].get("mpjpe_mm") for name in counts}
        scores = result[per_format.MEAN]
        scores |= {f"mpjpe_mm/{name}": value for name, value in each.items() if value is not None}
        return Evaluated(scores, picture, scores.keys() & {*metrics.HIGHER_IS_BETTER})

    return evaluate


def _picture(crops: Crops, poses_mm: np.ndarray, union: JointUnion) -> bytes:
    """A picture of the first crops of a batch, whose images the first process has."""
    first = slice(min(snapshots.CROPS, len(crops.inputs["image"]), len(poses_mm)))
    truth = np.where(crops.valid[..., None], crops.true_mm, np.nan)[first]
    images, intrinsics = crops.inputs["image"][first], crops.inputs["intrinsics"][first]
    return snapshots.png(images, intrinsics, poses_mm[first], truth, union)
