"""Train on this machine.

python launch/local.py -- --config configs/estimation/embedded.py:stage=initial --workdir runs/mine

Nothing is rented. After Ctrl-C or SIGTERM the training saves and ends; the same command continues.
Use this to try a command before you run it with another launcher, or as the launcher of a sweep.
"""

import argparse
import sys

import rental


def parser() -> rental.Parser:
    """The options of all launchers."""
    return rental.Parser(__doc__)


def cost(options: argparse.Namespace) -> None:
    """Nothing is rented."""


def launch(options: argparse.Namespace, training: rental.Training) -> int:
    """Train, and return training's exit code."""
    return rental.execute(options, training.command(sys.executable))


LAUNCHER = rental.Launcher(parser, cost, launch)

if __name__ == "__main__":
    sys.exit(rental.guarded(LAUNCHER.main, sys.argv[1:]))
