"""Makes datasets – embedded ones, official ones, your own – and pictures to mix into crops.

    python -m acae_jax.prepare --out data/embedded
    python -m acae_jax.prepare --list
    python -m acae_jax.prepare h36m --raw /data/h36m --out data/dozens
    python -m acae_jax.prepare --all --raws raws.yaml --out data/dozens --shard 3/20
    python -m acae_jax.prepare recordings/dataset.yaml --out data/own
    python -m acae_jax.prepare occluders --raw VOCdevkit --out data/props
    python -m acae_jax.prepare backgrounds --raw holidays --out data/props
    python -m acae_jax.prepare --all --out data/dozens --check

Run again after an interruption, it continues. The embedded datasets end with a contact sheet, and
official ones, with --check, with a page each and one page of all.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from acae_jax import command_line
from acae_jax.files import paths

DESCRIPTIONS = (".yaml", ".yml", ".json")
OCCLUDERS, BACKGROUNDS = "occluders", "backgrounds"
STOPPED = "stopped; the same command continues from here"


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


def list_official() -> None:
    """Print what there is to know about the official datasets."""
    from acae_jax.datasets import building

    print(building.listed())


def prepare_props(kind: str, raw: Path, out: Path) -> None:
    """Make a folder of pictures to paste before people or put behind them, for a config to name."""
    from acae_jax.datasets import frames_to_records, props_from_photographs

    folder = out / kind
    if kind == OCCLUDERS:
        made = props_from_photographs.write_occluders(raw, folder)
    else:
        detector = frames_to_records.packaged_detector()
        made = props_from_photographs.write_backgrounds(raw, folder, detector)
    setting = f"--config.data.{kind.removesuffix('s')}_folder={folder}"
    print(f"{folder}: {made.told()}\ntrain with {setting}")


def prepare_real(options: argparse.Namespace) -> None:
    """Build official datasets, or that of a description, and check them if asked to.

    Without their releases, what is there is checked.
    """
    from acae_jax.datasets import building
    from acae_jax.datasets.own import building as own

    if _is_description(options.dataset):
        plans = [own.plan(paths.local(options.dataset).expanduser(), options.out)]
        complete = building.build_plans(plans, options.workers, options.shard)
    elif options.raw or options.raws:
        raws = building.read_raws(options.raws) if options.all else {options.dataset: options.raw}
        complete = building.build(raws, options.out, options.workers, options.shard)
    elif options.all:
        complete = building.built(options.out)
    else:
        complete = [building.load(options.dataset).RELEASE]
    if options.check and complete:
        from acae_jax.datasets.checking import running

        running.check(complete, options.out)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(
        "acae prepare",
        description="Make the embedded datasets, or those of official releases or of own files.",
    )
    add = flags.add_argument
    add("--out", type=paths.local, help="(default: data/embedded, data/dozens or data/own)")
    add("--workers", "--jobs", type=int, help="processes (default: one per core)")
    add = flags.add_argument_group("embedded datasets").add_argument
    add("--size", default="quick", help="how many records: tiny, quick (default) or full")
    add("--datasets", default="", help="some of them, comma-separated (default: all)")
    add("--person_px", type=int, default=96, help="how high people are, px (default: 96)")
    add("--seed", type=int, default=0, help="of everything random (default: 0)")
    add = flags.add_argument_group("official datasets, and your own").add_argument
    add(
        "dataset",
        nargs="?",
        help="one of those that --list shows; a description of your own files, such as "
        "dataset.yaml; occluders of Pascal VOC, or backgrounds of any photographs; without it, the "
        "embedded ones",
    )
    add("--list", action="store_true", help="show them: licence, size, files")
    add("--raw", type=paths.local, help="folder of the unpacked release")
    add("--all", action="store_true", help="all that --raws names")
    add("--raws", type=paths.local, help="YAML file with lines such as h36m: /data/h36m")
    add(
        "--check",
        action="store_true",
        help="then measure it and write pages; without raws: of what is there",
    )
    add("--shard", type=_share, default=(1, 1), help="i/n: the i-th of n shares, one a machine")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Prepare; the exit code."""
    flags = parser()
    options = flags.parse_args(arguments)
    if options.workers is not None and options.workers < 1:
        flags.error(f"--workers is {options.workers}; give at least 1")
    if options.list:
        return command_line.exit_code(list_official)
    if _is_description(options.dataset):
        if options.raw or options.all or options.raws:
            flags.error("--raw, --all and --raws are for official datasets only")
        options.out = options.out or Path("data/own")
        return command_line.exit_code(partial(prepare_real, options), STOPPED)
    if options.dataset in (OCCLUDERS, BACKGROUNDS):
        if not options.raw:
            flags.error(f"give the folder of the {options.dataset} by --raw")
        out = options.out or Path("data/props")
        return command_line.exit_code(
            partial(prepare_props, options.dataset, options.raw, out), STOPPED
        )
    if options.dataset or options.all or options.check:
        if not _is_clear(options):
            flags.error(
                "give a dataset and --raw, or --all and --raws; "
                "with --check a dataset or --all is enough"
            )
        options.out = options.out or Path("data/dozens")
        return command_line.exit_code(partial(prepare_real, options), STOPPED)
    if options.seed < 0:
        flags.error(f"--seed is {options.seed}; give at least 0")
    names = [name.strip() for name in options.datasets.split(",") if name.strip()]
    work = partial(
        prepare,
        options.out or Path("data/embedded"),
        options.size,
        options.seed,
        options.person_px,
        options.workers,
        names,
    )
    return command_line.exit_code(work, STOPPED)


def _is_description(dataset: str | None) -> bool:
    """Whether a dataset is given by the file that describes one's own recordings."""
    return dataset is not None and dataset.lower().endswith(DESCRIPTIONS)


def _is_clear(options: argparse.Namespace) -> bool:
    """Whether it is said which official datasets are meant, and where their releases are."""
    if bool(options.dataset) == options.all or (options.raw if options.all else options.raws):
        return False
    return bool(options.raws if options.all else options.raw) or options.check


def _share(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    number, count = (int(part) for part in match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise argparse.ArgumentTypeError(f"{text!r} is not i/n with 1 ≤ i ≤ n")
    return number, count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
