"""A skeleton of your own, from a few examples: python -m acae_jax.skeletons fit.

    python -m acae_jax.skeletons fit --examples mine.json --out my_bundle

mine.json holds the skeleton and poses that were annotated in it, in 3D or in two or more calibrated
views, with the images (`acae_jax/own_skeletons/examples_file.py` describes it). The model's joints
in these images teach the weights that make the new joints of them. Prints what each joint is made
of and how far it is off in examples that were left out, draws some of them, and writes a bundle in
which the skeleton is one more name. Without --out it only reports.
"""

import argparse
import functools
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.bundles import bundle as bundles
from acae_jax.inference import estimator as estimators
from acae_jax.media import stills
from acae_jax.own_skeletons import examples_file, extended_bundle, fitting, summary
from acae_jax.own_skeletons.examples_file import Picture
from acae_jax.skeletons import skeleton


def fit(
    examples: Path, folder: Path, out: Path | None, name: str | None, picture: Path | None
) -> None:
    """Learn, report, write, draw. Without `picture` it lies beside `out`."""
    contents = bundles.read(folder)
    joint_names = contents.facts.joint_names
    new, moments = examples_file.read(examples, len(joint_names))
    new = skeleton.validate(new._replace(name=name or new.name))
    # What would fail in the end fails before the work.
    extended_bundle.check_name(contents.facts, new.name)
    if out is not None:
        out = out.resolve()  # which has a name, as "." has not
        beside = out.with_name(f"{out.name}.png")
        for path in (out,) if picture else (out, beside):
            if path.exists():
                raise FileExistsError(f"{path} exists: choose another --out, or remove it first")
        picture = picture or beside
    seen = examples_file.seen_by(moments, model(folder), bar=True)
    sides = fitting.mirrors(joint_names, new.joint_names)
    fitted = fitting.fit(seen, sides, bar=True)
    print(summary.table(fitted, new, joint_names))
    if out is not None:
        note = (
            f"{len(new.joint_names)} joints learned from {len(moments)} examples; mean error of a "
            f"joint in examples that were left out {np.nanmean(fitted.left_out_mm):.1f} mm."
        )
        bones_mm = fitting.bones_mm(seen, fitted.weights, new.edges)
        changed = extended_bundle.with_skeleton(contents, new, fitted.weights, bones_mm, note)
        bundles.write(out, changed)
        print(f"\nBundle: {out}; use it with skeleton='{new.name}'")
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(summary.picture(seen, fitted, new))
        print(f"\nPicture: {picture}")


def model(folder: Path) -> Callable[[Picture], Float[np.ndarray, "j 3"]]:
    """The function from a picture to the bundle's joints in the camera's space."""
    opened = functools.cache(lambda: estimators.load(folder))  # not for examples that bring poses

    def joints_mm(picture: Picture) -> Float[np.ndarray, "j 3"]:
        camera = picture.camera
        found = opened().estimate_poses(
            stills.read(picture.path),
            picture.box[None],
            intrinsic_matrix=None if camera is None else camera.intrinsics,
            distortion_coeffs=None if camera is None else camera.distortion,
        )
        return found["poses3d"][0]

    return joints_mm


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "python -m acae_jax.skeletons",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = options.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fit", help="learn a skeleton from annotated examples")
    one.add_argument("--examples", type=Path, required=True, help="JSON file of them")
    one.add_argument(
        "--bundle", type=Path, default=bundles.PACKAGED, help="to start from (default: packaged)"
    )
    one.add_argument("--out", type=Path, help="folder for the new bundle; without, only report")
    one.add_argument("--name", help="the skeleton's name (default: as in the file)")
    one.add_argument("--picture", type=Path, help="PNG of some examples (default: beside --out)")
    return options


def main(arguments: Sequence[str]) -> int:
    """Fit, and turn what the user can mend into one line."""
    given = parser().parse_args(arguments)
    logging.getLogger("jax").setLevel(logging.ERROR)  # tells which accelerators it does not find
    try:
        fit(given.examples, given.bundle, given.out, given.name, given.picture)
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
