"""A trained model as files that others can use, and whether they still give what they gave.

    acae export runs/mine/regularised --to bundle --out models/mine
    acae export models/mine --to onnx --out models/mine_onnx
    acae export --verify models/mine

--to is bundle, stablehlo, safetensors, savedmodel or onnx; all but the first may be made of a
bundle too, in an environment without the packages for training. A run leaves through the function
that its config names as `config.export`. Where its test set is, scores and calibrated uncertainty
come along. --verify runs what is in the folder: a SavedModel may read and write files, the others
only compute.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from acae_jax import command_line, systems
from acae_jax.files import paths

FORMS = ("bundle", "stablehlo", "safetensors", "savedmodel", "onnx")
# Options for runs only, and what `config.export` of a run gets them as.
OF_RUNS = {
    "name": "name",
    "weights": "storage",
    "licence": "licence",
    "skeleton": "skeleton",
    "data": "data",
    "state": "state",
}


def export(options: argparse.Namespace) -> None:
    """Write the source in the form that is asked for, and verify it."""
    from acae_jax.bundles import bundle

    source, out = options.source, options.out
    if out.exists():
        raise FileExistsError(f"{out} exists: choose another --out, or remove it first")
    if (source / bundle.HEADER).is_file():
        of_bundle(source, options.to, out, _options(options))
    else:
        of_run(source, options.to, out, _options(options))
    print(f"{out}: {sum(path.stat().st_size for path in out.rglob('*')) / 1e6:.1f} MB")
    verify(out)


def of_bundle(source: Path, form: str, out: Path, options: dict[str, str]) -> None:
    """Write a bundle's model in another form; this needs none of the packages for training."""
    from acae_jax.bundles import bundle
    from acae_jax.estimation.packing import leaving
    from acae_jax.packaging import forms

    if form == "bundle":
        raise ValueError(f"{source} is a bundle: copy it, or export the run that it came from")
    for option, field in OF_RUNS.items():
        if field in options:
            raise ValueError(
                f"{source} is a bundle, and --{option} is only for runs: leave it out, or export "
                "the run that the bundle came from"
            )
    forms.write(form, out, leaving.model(bundle.read(source), form))


def of_run(source: Path, form: str, out: Path, options: dict[str, str]) -> None:
    """Have a run's own system write its model, as its config names it."""
    from acae_jax import config as configs

    dotted = systems.path(configs.read(source), "export")
    if not dotted:
        raise ValueError(f"the config of {source} names no export (config.export)")
    systems.function(dotted, "export")(source, form, out, options)


def verify(folder: Path) -> None:
    """Print by how much an export differs from its reference; a ValueError if by too much."""
    from acae_jax.bundles import bundle, reference
    from acae_jax.packaging import forms

    if (folder / bundle.HEADER).is_file():
        apart = bundle.verify(folder)._asdict()
        differences = {
            name: forms.Difference(largest, reference.TOLERANCE_MM)
            for name, largest in apart.items()
        }
    else:
        if (folder / "saved_model.pb").is_file():
            print(
                f"{folder} is a TensorFlow program, which may read and write files: run only what "
                "you trust."
            )
        differences = forms.verify(folder, _rebuilt)
    text = ", ".join(f"{name} {one.largest:.4f}" for name, one in differences.items())
    print(f"{folder}: all files are as written; largest difference from the reference: {text}")
    for name, one in differences.items():
        if not one.largest <= one.tolerance:  # which NaN is not either
            raise ValueError(f"{folder}: {name} differs by more than {one.tolerance:g} here")


def _rebuilt(facts: Any) -> Callable[..., Any]:
    from acae_jax.estimation.packing import leaving

    return leaving.rebuilt(facts)


def _options(options: argparse.Namespace) -> dict[str, str]:
    """What was said of the run to export."""
    said = {field: getattr(options, option) for option, field in OF_RUNS.items()}
    return {field: value for field, value in said.items() if value is not None}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser("acae export", description="Leave as a file, or verify one.")
    flags.add_argument(
        "source", type=paths.local, help="folder of a run or of a bundle; with --verify, any export"
    )
    flags.add_argument("--to", choices=FORMS, help="the form to write")
    flags.add_argument("--out", type=paths.local, help="folder to write, which must not exist")
    flags.add_argument("--verify", action="store_true", help="compute its reference again")
    runs = flags.add_argument_group("only for runs")
    runs.add_argument("--name", help="of the model (default: the run's folder)")
    runs.add_argument("--weights", help="how they are stored: float32 (default), float16")
    runs.add_argument("--licence", help="for the model card (default: not stated)")
    runs.add_argument("--skeleton", help="the default one (default: the first)")
    runs.add_argument("--data", help="folder of the datasets (default: the run's)")
    runs.add_argument("--state", choices=("checkpoints", "best"), help="(default: checkpoints)")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Export or verify; the exit code."""
    options = parser().parse_args(arguments)
    if not options.verify and not (options.to and options.out):
        parser().error("give --to and --out, or --verify")
    work = partial(verify, options.source) if options.verify else partial(export, options)
    return command_line.exit_code(work, "stopped; nothing was written")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
