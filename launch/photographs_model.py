"""The model for photographs as a bundle: a published landmark network with the heads of a run.

    python launch/photographs_model.py --run runs/photographs/heads --out runs/photographs/bundle

--data is the folder of the people that the looks are at. The error to expect is calibrated on one
half of the test people, and measured on the other.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tqdm
from jaxtyping import Float

from acae_jax import command_line
from acae_jax import config as configs
from acae_jax.bundles import bundle
from acae_jax.bundles.uncertainty import Calibration
from acae_jax.data import crop_record, sources
from acae_jax.data.crop_record import CropRecord
from acae_jax.estimation.evaluation import per_format
from acae_jax.estimation.model.landmark_heads import FORMAT, LANDMARKS
from acae_jax.estimation.packing import bundle_contents, landmark_contents, landmarks, measuring
from acae_jax.estimation.packing.landmark_contents import Derived, Heads
from acae_jax.estimation.photographs import heads_stage
from acae_jax.foreign import blazepose_weights
from acae_jax.images import decoding
from acae_jax.inference.estimator import Estimator
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints

PEOPLE = 450  # of each dataset, for the lengths of bones


class Predictions(NamedTuple):
    """What an estimator says of n people, in the space of their cameras, and their labels there."""

    poses_mm: Float[np.ndarray, "n j 3"]
    errors_mm: Float[np.ndarray, "n j"]  # expected; without calibration the raw spread
    true_mm: Float[np.ndarray, "n k 3"]
    keys: tuple[str, ...]


def predictions(estimator: Estimator, source: sources.Source) -> Predictions:
    """The estimator's poses of all people of a dataset."""
    poses_mm, errors_mm, true_mm, keys = [], [], [], []
    for index in tqdm.tqdm(range(len(source)), source.name, unit="people"):
        record: CropRecord = source[index]
        people = estimator.estimate_poses(
            decoding.decode(record.image), [record.box], intrinsic_matrix=record.intrinsics
        )
        poses_mm.append(people["poses3d"][0])
        errors_mm.append(people["uncertainties"][0])
        true_mm.append(crop_record.in_camera_mm(record))
        keys.append(record.key)
    return Predictions(np.stack(poses_mm), np.stack(errors_mm), np.stack(true_mm), tuple(keys))


def derived(config: Any, union: JointUnion, rows: Float[np.ndarray, "j p"]) -> Derived:
    """The joints of a run; lengths of bones are those of the looks' landmarks and labels."""
    own, own_mm, lengths_mm = catalogue.load(FORMAT), [], {}
    for name, _ in config.data.quotas:
        looks = heads_stage.open_looks(name, config.data.folder, "train")
        at = np.linspace(0, len(looks) - 1, min(PEOPLE, len(looks))).astype(int)
        records = [looks[index] for index in at.tolist()]
        landmarks_mm = np.stack([record.relative_mm for record in records])
        own_mm.append(skeleton.bone_lengths(landmarks_mm, own.edges).mean(axis=0))
        (label_format,) = looks.joint_names
        places, edges = union.members[label_format], catalogue.load(label_format).edges
        labels_mm = np.stack([record.joints_mm for record in records])
        means_mm = skeleton.bone_lengths(labels_mm, edges).mean(axis=0).tolist()
        for (a, b), mean_mm in zip(edges, means_mm, strict=True):
            lengths_mm[tuple(sorted((places[a], places[b])))] = mean_mm
    return Derived(
        union.joint_names,
        union.edges,
        bundle_contents.selections(union),
        rows,
        (*np.mean(own_mm, axis=0).tolist(), *(lengths_mm[tuple(sorted(e))] for e in union.edges)),
    )


def calibrate(
    estimator: Estimator, test: sources.Source, union: JointUnion
) -> tuple[Calibration, dict[str, object]]:
    """The calibration of an estimator without one, and what its card says of it.

    Landmarks have no truth, so they share the curve of the other joints.
    """
    people = predictions(estimator, test)
    valid = np.asarray(np.isfinite(people.true_mm).all(axis=-1))
    poses_mm, error_mm = people.poses_mm[:, LANDMARKS:], np.full(people.errors_mm.shape, np.nan)
    error_mm[:, LANDMARKS:] = measuring.joint_errors(poses_mm, people.true_mm, valid)
    labels = people.true_mm.astype(np.float32), valid
    _, pairs = per_format.survey([labels], union)
    scores = per_format.scores(poses_mm, labels, union, pairs)
    measurements = measuring.calibrated(
        test.name, len(people.keys), scores, people.errors_mm, error_mm, people.keys
    )
    curve = measurements.calibration
    factors = (*curve.factors, *[1.0] * landmarks.REGION_POINTS)
    return curve._replace(factors=factors), measuring.about(measurements)


def make(run: Path, landmark_weights: Path, data: Path, out: Path) -> None:
    """Write the bundle; for its calibration it is written and opened in a temporary folder."""
    config = configs.read(run)
    union = heads_stage.union_of(config)
    params = checkpoints.load_params(run)["params"]
    rows = np.asarray(heads_stage.constrained(params["rows"], heads_stage.mirrors_of(union)))
    heads = Heads(heads_stage.network_of(config), params["heads"])
    joints = derived(config, union, rows)
    test = sources.open(config.test, data, "test")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bundle"
        bundle.write(place, landmark_contents.contents(landmark_weights, joints, heads))
        curve, about = calibrate(Estimator(bundle.load(place)), test, union)
    contents = landmark_contents.contents(landmark_weights, joints, heads, curve, about)
    bundle.write(out, contents)


def main() -> int:
    """Write the bundle that the flags ask for; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--run", type=Path, default=Path("runs/photographs/heads"))
    add("--data", type=Path, default=Path("data/people_256"))
    add("--out", type=Path, default=Path("runs/photographs/bundle"))
    add("--landmarks", type=Path, default=blazepose_weights.PACKAGED)
    options = parser.parse_args()
    work = partial(make, options.run, options.landmarks, options.data, options.out)
    return command_line.exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
