"""Makes other people's weights ours, without torch and without running code from their files.

    python -m acae_jax.import_weights metrabs DIR --out BUNDLE
    python -m acae_jax.import_weights torchvision FILE --model efficientnet_v2_s --out FOLDER
    python -m acae_jax.import_weights timm FILE --model tf_efficientnetv2_s --out FOLDER

The first turns a published MeTRAbs folder (PyTorch layout) into a bundle. The others make an image
classifier (.pth, .pt, .bin or .safetensors) the backbone that stage 1 starts from; they print the
settings to train with. --model takes the library's own names.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging

from acae_jax.foreign import layouts, pretrained

_MODEL = flags.DEFINE_string("model", None, "Which model the weights are of, as its library says.")
_OUT = flags.DEFINE_string("out", None, "Folder to write.", required=True)

KINDS = ("metrabs", *layouts.LIBRARIES)


def published_model(source: Path, out: Path) -> None:
    """Write the bundle of a published MeTRAbs folder."""
    # These load what exporting needs, which a backbone does not.
    from acae_jax.foreign import metrabs
    from acae_jax.inference import bundle
    from acae_jax.packaging import imported

    if out.exists():
        raise FileExistsError(f"{out} exists: choose another folder, or remove it first")
    published = metrabs.read(source)
    print(f"{len(published.state)} arrays read; exporting them takes a minute or more", flush=True)
    bundle.write(out, imported.contents(source.resolve().name, published))
    print(f"{len(published.joint_names)} joints in {len(published.skeletons)} skeletons: {out}")


def backbone(library: str, source: Path, model: str, out: Path) -> None:
    """Write the backbone of a published classifier."""
    pretrained.model(library, model)  # a wrong name is found before a large file is read
    found = pretrained.convert(pretrained.read_state(source), library, model, source.name)
    pretrained.write(out, found)
    settings = {"init.run": out, "model.backbone": found.name, "model.stride": 32}
    if found.pixels != pretrained.usual_pixels(found.name):
        settings["model.options.pixels"] = found.pixels
    print("Start stage 1 with", *(f"--config.{key}={value}" for key, value in settings.items()))


def main(arguments: Sequence[str]) -> int:
    """Import, and turn what the user can mend into one line."""
    if len(arguments) != 3 or arguments[1] not in KINDS:
        raise app.UsageError(f"give one of {', '.join(KINDS)} and a folder or file")
    logging.set_verbosity(logging.WARNING)  # JAX tells of accelerators that are not there
    kind, source, out = arguments[1], Path(arguments[2]), Path(_OUT.value)
    model = _MODEL.value or ""
    if (kind == "metrabs") == bool(model):
        raise app.UsageError(f"--model goes with {' and '.join(layouts.LIBRARIES)}, and only there")
    try:
        if kind == "metrabs":
            published_model(source, out)
        else:
            backbone(kind, source, model, out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(main)
