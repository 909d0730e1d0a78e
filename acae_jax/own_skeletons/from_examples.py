"""All steps of `acae skeletons fit`, from a file of examples to a bundle with one more skeleton."""

import functools
from collections.abc import Callable
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
    examples: Path, folder: Path | None, out: Path | None, name: str | None, picture: Path | None
) -> None:
    """Learn the skeleton, print a report, write the bundle and the picture.

    Without `folder` the packaged model is used; without `picture` the picture lies beside `out`.
    """
    folder = bundles.located(folder)
    contents = bundles.read(folder)
    joint_names = contents.facts.joint_names
    new, moments = examples_file.read(examples, len(joint_names))
    new = skeleton.validate(new._replace(name=name or new.name))
    # Check before the work what would fail after it.
    extended_bundle.check_name(contents.facts, new.name)
    if out is not None:
        out = out.resolve()  # "." has no name
        beside = out.with_name(f"{out.name}.png")
        for path in (out,) if picture else (out, beside):
            if path.exists():
                raise FileExistsError(f"{path} exists: choose another --out, or remove it first")
        picture = picture or beside
    poses = examples_file.predict(moments, model(folder), bar=True)
    sides = fitting.mirrors(joint_names, new.joint_names)
    fitted = fitting.fit(poses, sides, bar=True)
    print(summary.table(fitted, new, joint_names))
    if out is not None:
        note = (
            f"{len(new.joint_names)} joints learned from {len(moments)} examples. Mean error of a "
            f"joint in left-out examples: {np.nanmean(fitted.left_out_mm):.1f} mm."
        )
        bones_mm = fitting.bones_mm(poses, fitted.weights, new.edges)
        changed = extended_bundle.with_skeleton(contents, new, fitted.weights, bones_mm, note)
        bundles.write(out, changed)
        print(f"\nBundle: {out}; use it with skeleton='{new.name}'")
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(summary.picture(poses, fitted, new))
        print(f"\nPicture: {picture}")


def model(folder: Path) -> Callable[[Picture], Float[np.ndarray, "j 3"]]:
    """The function from a picture to the bundle's joints in the camera's space."""
    estimator = functools.cache(lambda: estimators.load(folder))  # only if a view has no poses

    def joints_mm(picture: Picture) -> Float[np.ndarray, "j 3"]:
        camera = picture.camera
        people = estimator().estimate_poses(
            stills.read(picture.path),
            picture.box[None],
            intrinsic_matrix=None if camera is None else camera.intrinsics,
            distortion_coeffs=None if camera is None else camera.distortion,
        )
        return people["poses3d"][0]

    return joints_mm
