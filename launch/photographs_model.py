"""The model for photographs: landmarks by a published network, and every other joint from them.

    python launch/photographs_model.py --data data/embedded --out runs/photographs/bundle

Rows of weights that sum to 1 make the joints of the embedded formats of the 33 landmarks. They are
learned as `acae skeletons fit` does, from what the network says of the embedded people and what
these are labelled with. The error to expect is calibrated on one half of the test people, and
measured on the other.
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tqdm
from jaxtyping import Float

from acae_jax.bundles import bundle
from acae_jax.bundles.uncertainty import Calibration
from acae_jax.data import crop_record, sources
from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets.synthetic import body, studios
from acae_jax.estimation.evaluation import per_format
from acae_jax.estimation.packing import bundle_contents, landmark_contents, landmarks, measuring
from acae_jax.estimation.packing.landmark_contents import Derived
from acae_jax.foreign import blazepose_weights
from acae_jax.images import decoding
from acae_jax.inference.estimator import Estimator
from acae_jax.own_skeletons import fitting
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons import union as unions

PEOPLE = 450  # of each dataset
LOCALITY = 0.01


class Predictions(NamedTuple):
    """What an estimator says of n people, in the space of their cameras, and their labels there."""

    poses_mm: Float[np.ndarray, "n j 3"]
    errors_mm: Float[np.ndarray, "n j"]  # expected; without calibration the raw spread
    true_mm: Float[np.ndarray, "n k 3"]
    keys: tuple[str, ...]


def predictions(estimator: Estimator, name: str, split: str, data: Path, limit: int) -> Predictions:
    """The estimator's poses of up to `limit` people of a dataset, evenly chosen."""
    source = sources.open(name, data, split)
    indices = np.unique(np.linspace(0, len(source) - 1, min(limit, len(source))).astype(int))
    poses_mm, errors_mm, true_mm, keys = [], [], [], []
    for index in tqdm.tqdm(indices.tolist(), name, unit="people"):
        record: CropRecord = source[index]
        people = estimator.estimate_poses(
            decoding.decode(record.image), [record.box], intrinsic_matrix=record.intrinsics
        )
        poses_mm.append(people["poses3d"][0])
        errors_mm.append(people["uncertainties"][0])
        true_mm.append(crop_record.in_camera_mm(record))
        keys.append(record.key)
    return Predictions(np.stack(poses_mm), np.stack(errors_mm), np.stack(true_mm), tuple(keys))


def learn(estimator: Estimator, data: Path, people: int) -> Derived:
    """The joints of the embedded formats from an estimator that knows the landmarks only."""
    union = unions.of([catalogue.load(name) for name in body.FORMATS])
    own = catalogue.load(landmarks.FORMAT)
    rows = np.zeros((len(union.joint_names), landmarks.LANDMARKS))
    lengths_mm, own_mm = {}, []
    for studio in studios.STUDIOS.values():
        if studio.format not in body.FORMATS or studio.labels_2d:
            continue
        seen = predictions(estimator, studio.name, "train", data, people)
        labels = catalogue.load(studio.format)
        examples = fitting.Examples(seen.poses_mm, seen.true_mm, np.arange(len(seen.keys)))
        mirrors = fitting.mirrors(own.joint_names, labels.joint_names)
        places = list(union.members[studio.format])
        rows[places] = fitting.solve(examples, mirrors, LOCALITY)
        own_mm.append(skeleton.bone_lengths(seen.poses_mm, own.edges).mean(axis=0))
        edges = [(places[a], places[b]) for a, b in labels.edges]
        of_edges_mm = skeleton.bone_lengths(seen.true_mm, labels.edges).mean(axis=0).tolist()
        lengths_mm |= {tuple(sorted(e)): mm for e, mm in zip(edges, of_edges_mm, strict=True)}
    return Derived(
        union.joint_names,
        union.edges,
        bundle_contents.selections(union),
        rows.astype(np.float32),
        (*np.mean(own_mm, axis=0).tolist(), *(lengths_mm[tuple(sorted(e))] for e in union.edges)),
    )


def calibrate(
    estimator: Estimator, data: Path, people: int
) -> tuple[Calibration, dict[str, object]]:
    """The calibration of an estimator without one, and what its card says of it.

    Landmarks have no truth, so they share the curve of the other joints.
    """
    test = predictions(estimator, "embedded_test", "test", data, people)
    union = unions.of([catalogue.load(name) for name in body.FORMATS])
    first = landmarks.LANDMARKS
    valid = np.asarray(np.isfinite(test.true_mm).all(axis=-1))
    error_mm = np.full(test.errors_mm.shape, np.nan)
    error_mm[:, first:] = measuring.joint_errors(test.poses_mm[:, first:], test.true_mm, valid)
    labels = test.true_mm.astype(np.float32), valid
    _, pairs = per_format.survey([labels], union)
    scores = per_format.scores(test.poses_mm[:, first:], labels, union, pairs)
    measurements = measuring.calibrated(
        "embedded_test", len(test.keys), scores, test.errors_mm, error_mm, test.keys
    )
    curve = measurements.calibration
    of_points = np.insert(curve.factors, first, [1.0] * len(landmarks.REGION)).tolist()
    return curve._replace(factors=tuple(of_points)), measuring.about(measurements)


def make(landmark_weights: Path, data: Path, out: Path, people: int) -> None:
    """Write the bundle; between its steps it is written and opened in a temporary folder."""
    nothing = Derived((), (), {}, np.zeros((0, landmarks.LANDMARKS), np.float32), ())
    with tempfile.TemporaryDirectory() as folder:

        def opened(name: str, derived: Derived) -> Estimator:
            contents = landmark_contents.contents(landmark_weights, derived)
            bundle.write(Path(folder) / name, contents)
            return Estimator(bundle.load(Path(folder) / name))

        derived = learn(opened("landmarks", nothing), data, people)
        curve, about = calibrate(opened("joints", derived), data, people)
    bundle.write(out, landmark_contents.contents(landmark_weights, derived, curve, about))


def main() -> None:
    """Write the bundle that the flags ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, default=Path("data/embedded"))
    add("--out", type=Path, default=Path("runs/photographs/bundle"))
    add("--landmarks", type=Path, default=blazepose_weights.PACKAGED)
    add("--people", type=int, default=PEOPLE, help=f"of each dataset (default: {PEOPLE})")
    options = parser.parse_args()
    make(options.landmarks, options.data, options.out, options.people)


if __name__ == "__main__":
    main()
