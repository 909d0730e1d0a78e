"""Looks of the landmark network at people in datasets of crops, for training heads on them.

    python launch/landmark_looks.py --data data/people_256 --out data/looks

Each training person is looked at --looks times. It takes about 15 minutes on 2 cores for the
embedded people, and 120 kB a look. Run again after an interruption, it continues.
"""

import argparse
import sys
from pathlib import Path

from acae_jax import command_line
from acae_jax.data import sources
from acae_jax.estimation.photographs import look_dataset
from acae_jax.foreign import blazepose_weights


def main() -> int:
    """Make the looks that the flags ask for; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, default=Path("data/people_256"))
    add("--out", type=Path, default=Path("data/looks"))
    add("--landmarks", type=Path, default=blazepose_weights.PACKAGED)
    add("--looks", type=int, default=3, help="at each training person (default: 3)")
    add("--datasets", default="", help="comma-separated (default: all with 3D labels)")
    options = parser.parse_args()
    names = [name for name in options.datasets.split(",") if name]
    names = names or [n for n in sources.available(options.data) if n != "embedded_2d"]

    def work() -> None:
        look_dataset.build(options.data, options.out, names, options.landmarks, options.looks)

    return command_line.exit_code(work, "stopped; the same command continues from here")


if __name__ == "__main__":
    sys.exit(main())
