"""Find people in images and videos and their poses in 3D.

    python -m acae_jax.predict photo.jpg
    python -m acae_jax.predict photos/ "takes/*.mp4" --out poses --num_aug 5 --motion bvh
    python -m acae_jax.predict 0                                   # a webcam, until Ctrl-C

An input is an image, a video, a folder, a pattern, a text file of inputs or the number of a camera.
Results go to --out, as acae_jax/prediction/pipeline.py describes: poses as JSON-lines and npz,
people drawn on the images or video, and a page that shows them in 3D. The same command continues
what was stopped. Exit code 130 after Ctrl-C, which only ends the recording of a webcam; 1 after an
error that one line explains, or if something was left out: an input that could not be read, a
result that could not be written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from acae_jax import command_line
from acae_jax.files import paths


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(
        "acae predict", description="Find people in images and videos and their poses in 3D."
    )
    add = flags.add_argument
    add("inputs", nargs="+", help="images, videos, folders, patterns, lists, a camera's number")
    add(
        "--out",
        type=paths.local,
        default=Path("predictions"),
        help="folder for results (default: predictions)",
    )
    add(
        "--bundle",
        type=paths.local,
        help="folder of a model, or 'embedded' (default: the packaged one for photographs)",
    )
    add("--skeleton", help="skeleton, or 'all' (default: the model's usual)")
    add("--num_aug", type=int, default=1, help="variants of each crop to average (default: 1)")
    add("--fov", type=float, default=55.0, help="degrees of the longer image side (default: 55)")
    add("--intrinsics", help="JSON file of intrinsic_matrix (3 × 3, px), maybe distortion_coeffs")
    add("--boxes", help="JSON file of people: {image: [[x, y, w, h], …], video: {frame: [[…]]}}")
    add("--threshold", type=float, default=0.4, help="least score of a person (default: 0.4)")
    add("--max_people", type=int, default=-1, help="most people in an image (default: any number)")
    add("--every", type=int, default=1, help="of a video, use every so many-th frame (default: 1)")
    add("--smooth", action=argparse.BooleanOptionalAction, default=True, help="smooth motion")
    add("--overlay", action=argparse.BooleanOptionalAction, default=True, help="draw people")
    add("--motion", default="", help="motion of each person in a video: bvh,trc,c3d")
    return flags


def check(options: argparse.Namespace) -> None:
    """A ValueError for numbers that make no sense."""
    for name, low, high in (("num_aug", 1, 1000), ("every", 1, 10**9), ("fov", 1, 179)):
        if not low <= getattr(options, name) <= high:
            raise ValueError(f"--{name} is {getattr(options, name)}; give {low} to {high}")
    if options.max_people < 1 and options.max_people != -1:
        raise ValueError(
            f"--max_people is {options.max_people}; give at least 1, or -1: any number"
        )


def predict(options: argparse.Namespace) -> list[str]:
    """Open the model and run it; returns a line for each thing that was left out."""
    # These take a while to import: usage and errors of arguments come at once.
    import acae_jax
    from acae_jax.files import json_files
    from acae_jax.inference import arguments
    from acae_jax.media import inputs
    from acae_jax.prediction import estimates, outputs, pipeline

    check(options)
    out = options.out
    lens = json_files.read_object(options.intrinsics) if options.intrinsics else None
    media = inputs.find(options.inputs, out)
    boxes = json_files.read_object(options.boxes) if options.boxes else None
    motion = tuple(filter(None, options.motion.split(",")))
    matrix, coefficients = None, None
    if lens is not None:
        try:
            matrix, coefficients = arguments.check_lens(
                lens["intrinsic_matrix"], lens.get("distortion_coeffs")
            )
        except KeyError:
            raise ValueError(f"{options.intrinsics} has no intrinsic_matrix") from None
        except ValueError as error:
            raise ValueError(f"{options.intrinsics}: {error}") from None
    estimator = acae_jax.load(options.bundle)
    skeleton = options.skeleton or estimator.bundle.facts.default_skeleton
    settings = estimates.PredictionSettings(
        out=out,
        estimate={
            "skeleton": "" if skeleton == "all" else skeleton,
            "intrinsic_matrix": matrix,
            "distortion_coeffs": coefficients,
            "default_fov_degrees": options.fov,
            "num_aug": options.num_aug,
        },
        detect={"detector_threshold": options.threshold, "max_detections": options.max_people},
        boxes=boxes,
        every=options.every,
        finish=outputs.OutputSettings(
            options.smooth, options.overlay, motion, options.fov, matrix, coefficients
        ),
    )
    return pipeline.run(estimator, media, settings)


def main(arguments: Sequence[str]) -> int:
    """Predict; the exit code."""
    options = parser().parse_args(arguments)

    def work() -> int:
        failures = predict(options)
        if failures:
            print(
                f"failed inputs or outputs: {len(failures)}; see the messages above",
                file=sys.stderr,
            )
        return 1 if failures else 0

    stopped = f"stopped: poses up to here are in {options.out}; the same command continues"
    return command_line.exit_code(work, stopped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
