"""Makes the embedded datasets: python -m acae_jax.prepare --out data/embedded.

Run again after an interruption, it continues. Ends with a contact sheet of every dataset.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from acae_jax import command_line
from acae_jax.files import paths


def prepare(
    out: Path,
    size: str,
    seed: int,
    person_px: int,
    workers: int | None,
    datasets: Sequence[str],
) -> None:
    """Build the datasets and the contact sheet; without names, all datasets."""
    from acae_jax.datasets.synthetic import build, contact_sheet

    folders = build.build(
        out, size=size, seed=seed, person_px=person_px, workers=workers, datasets=datasets
    )
    sheet = out / "contact_sheet.png"
    contact_sheet.write(sheet, folders)
    print(f"{len(folders)} datasets in {out}; look at {sheet}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser("acae prepare", description="Make the embedded datasets.")
    add = flags.add_argument
    add("--out", type=paths.local, default=Path("data/embedded"), help="(default: data/embedded)")
    add("--size", default="quick", help="how many records: tiny, quick (default) or full")
    add("--workers", type=int, help="processes (default: one per core)")
    add("--datasets", default="", help="some of them, comma-separated (default: all)")
    add("--person_px", type=int, default=96, help="how high people are, px (default: 96)")
    add("--seed", type=int, default=0, help="of everything random (default: 0)")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Prepare; the exit code."""
    options = parser().parse_args(arguments)
    if options.workers is not None and options.workers < 1:
        parser().error(f"--workers is {options.workers}; give at least 1")
    if options.seed < 0:
        parser().error(f"--seed is {options.seed}; give at least 0")
    names = [name.strip() for name in options.datasets.split(",") if name.strip()]
    work = partial(
        prepare,
        options.out,
        options.size,
        options.seed,
        options.person_px,
        options.workers,
        names,
    )
    return command_line.exit_code(work, "stopped; the same command continues from here")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
