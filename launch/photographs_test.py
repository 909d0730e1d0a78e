"""How good models are on photographs with labels, side by side.

    python launch/photographs_test.py --samples SAMPLES --bundles runs/a/bundle runs/b/bundle

SAMPLES holds folders as MMPose has them in tests/data, with any of: h36m and mpi_inf_3dhp
(photographs with true 3D poses), coco, posetrack18 and mpii (2D joints). Their terms forbid to
give most of them on. Prints a table in Markdown, one column a bundle, by default the packaged one:

* studio: MPJPE and PA-MPJPE of 12 joints of the limbs, in the boxes of the true joints and with the
  true camera; for people who are upright and those who are not apart.
* PCK at 0.2 of the torso and OKS, once in the boxes of the labels, and once with the packaged
  detector, where a person who is not found is wrong; and how many are found.
* with --data, as launch/disturbed_test.py: MPJPE on the embedded test set, plain and disturbed.
* milliseconds of a pose, in a given box.
"""

import argparse
from pathlib import Path

import disturbed_test
from photographs import pictures, scores

import acae_jax
from acae_jax.bundles import bundle
from acae_jax.data import sources
from acae_jax.inference.estimator import Estimator


def embedded(estimator: Estimator, data: Path) -> scores.Rows:
    """The embedded test set as it is and with all disturbances; nothing for other formats."""
    source = sources.open("embedded_test", data, "test")
    records = [source[i] for i in range(len(source))]
    if not {*disturbed_test.joint_names(records[0])} <= {*estimator.bundle.facts.joint_names}:
        return {}
    return {
        f"embedded_test, {case}: MPJPE, mm": disturbed_test.errors_mm(
            estimator, records, disturbed_test.CASES[case]
        )
        for case in ("plain", "all")
    }


def measure(folder: Path, samples: Path, data: Path | None) -> scores.Rows:
    """All rows of a bundle."""
    estimator = acae_jax.load(folder)
    studio, ordinary = pictures.studio(samples), pictures.ordinary(samples)
    if not (studio or ordinary):
        raise SystemExit(
            f"{samples} holds no labelled photographs in the folders that --help names"
        )
    rows: scores.Rows = {}
    if studio:
        rows |= scores.of_studio(estimator, studio)
    if ordinary:
        rows |= scores.of_given_boxes(estimator, ordinary)
        rows |= scores.of_detector(estimator, ordinary)
    if data:
        rows |= embedded(estimator, data)
    if ordinary:
        rows["ms a pose"] = scores.ms_a_crop(estimator, ordinary[0])
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--bundles", type=Path, nargs="+", default=[bundle.PHOTOGRAPHS])
    parser.add_argument("--data", type=Path, help="folder with embedded_test")
    options = parser.parse_args()
    columns = {folder: measure(folder, options.samples, options.data) for folder in options.bundles}
    names = (folder.name if folder.parent == bundle.PACKAGED else str(folder) for folder in columns)
    print("| | " + " | ".join(names) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for row in dict.fromkeys(row for rows in columns.values() for row in rows):
        values = (rows.get(row) for rows in columns.values())
        cells = ("–" if value is None else f"{value:.3g}" for value in values)
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
