"""Makes other people's weights ours, without torch and without running code from their files.

    python -m acae_jax.import_weights metrabs DIR --out BUNDLE
    python -m acae_jax.import_weights torchvision FILE --model efficientnet_v2_s --out FOLDER
    python -m acae_jax.import_weights timm FILE --model tf_efficientnetv2_s --out FOLDER

The first turns a published MeTRAbs folder (PyTorch layout) into a bundle. The others make an image
classifier (.pth, .pth.tar, .pt, .bin or .safetensors) the backbone that stage 1 starts from; they
print the settings to train with. --model takes the library's own names.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from acae_jax import command_line
from acae_jax.files import paths

LIBRARIES = ("torchvision", "timm")


def published_model(source: Path, out: Path) -> None:
    """Write the bundle of a published MeTRAbs folder."""
    from acae_jax.bundles import bundle
    from acae_jax.estimation.packing import imported
    from acae_jax.foreign import metrabs

    if out.exists():
        raise FileExistsError(f"{out} exists: choose another folder, or remove it first")
    published = metrabs.read(source)
    print(f"{len(published.state)} arrays read; exporting them takes a minute or more", flush=True)
    bundle.write(out, imported.contents(source.resolve().name, published))
    print(f"{len(published.joint_names)} joints in {len(published.skeletons)} skeletons: {out}")


def backbone(library: str, source: Path, model: str, out: Path) -> None:
    """Write the backbone of a published classifier."""
    from acae_jax.foreign import pretrained

    pretrained.model(library, model)  # a wrong name is found before a large file is read
    imported = pretrained.convert(pretrained.read_state(source), library, model, source.name)
    pretrained.write(out, imported)
    settings = {"init.run": out, "model.backbone": imported.name, "model.stride": 32}
    if imported.pixels != pretrained.usual_pixels(imported.name):
        settings["model.options.pixels"] = imported.pixels
    print("Start stage 1 with", *(f"--config.{key}={value}" for key, value in settings.items()))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser("acae import-weights", description="Other people's weights.")
    kinds = flags.add_subparsers(dest="kind", required=True)
    metrabs = kinds.add_parser("metrabs", help="a published MeTRAbs folder becomes a bundle")
    metrabs.add_argument("source", type=paths.local, help="the folder, in PyTorch's layout")
    for library in LIBRARIES:
        one = kinds.add_parser(library, help="an image classifier becomes a backbone")
        one.add_argument(
            "source", type=paths.local, help="its file: .pth, .pth.tar, .pt, .bin or .safetensors"
        )
        one.add_argument("--model", required=True, help=f"which model it is, as {library} says")
    for one in kinds.choices.values():
        one.add_argument("--out", type=paths.local, required=True, help="folder to write")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Import; the exit code."""
    options = parser().parse_args(arguments)
    source, out = options.source, options.out
    if options.kind == "metrabs":
        work = partial(published_model, source, out)
    else:
        work = partial(backbone, options.kind, source, options.model, out)
    return command_line.exit_code(work, "stopped; nothing was written")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
