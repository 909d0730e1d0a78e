"""Learn a skeleton of your own from a few examples.

    acae skeletons fit --examples mine.json --out my_bundle

mine.json holds your skeleton, and poses that were annotated with it, in 3D or in two or more
calibrated views, with the images (`acae_jax/own_skeletons/examples_file.py` describes the file).
The command predicts the model's joints in these images, and learns by which weights they give your
joints. It prints the weights of each joint and its error in examples that were left out, draws some
of these examples, and writes a bundle with your skeleton added. Without --out it only reports.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from acae_jax import command_line
from acae_jax.files import paths


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "acae skeletons",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = options.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fit", help="learn a skeleton from annotated examples")
    one.add_argument("--examples", type=paths.local, required=True, help="JSON file of examples")
    one.add_argument("--bundle", type=paths.local, help="the model (default: the packaged one)")
    one.add_argument(
        "--out", type=paths.local, help="folder for the new bundle (default: only report)"
    )
    one.add_argument("--name", help="the skeleton's name (default: as in the file)")
    one.add_argument(
        "--picture", type=paths.local, help="PNG of some left-out examples (default: beside --out)"
    )
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser().parse_args(arguments)

    def work() -> None:
        from acae_jax.own_skeletons import from_examples

        logging.getLogger("jax").setLevel(logging.ERROR)  # no warnings about missing accelerators
        from_examples.fit(
            options.examples, options.bundle, options.out, options.name, options.picture
        )

    return command_line.exit_code(work, "stopped; nothing was written")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
