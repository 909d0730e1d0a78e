"""Find people in images and videos and their poses in 3D.

    python -m acae_jax.predict photo.jpg
    python -m acae_jax.predict photos/ "takes/*.mp4" --out poses --num_aug 5 --motion bvh
    python -m acae_jax.predict 0                                   # a webcam, until Ctrl-C

An input is an image, a video, a folder, a pattern, a text file of inputs or the number of a camera.
Results go to --out, as acae_jax/inference/running.py describes: poses as JSON-lines and npz, people
drawn on the images or video, and a page that shows them in 3D. The same command continues what was
stopped. Exit code 130 after Ctrl-C, which only ends the recording of a webcam; 1 after an error
that one line explains, or if some input could not be read.
"""

import json
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags, logging

OUT = flags.DEFINE_string("out", "predictions", "Folder for results.")
BUNDLE = flags.DEFINE_string("bundle", None, "Folder of a model; without, the packaged one.")
SKELETON = flags.DEFINE_string("skeleton", None, "Skeleton, or 'all'; without, the model's usual.")
NUM_AUG = flags.DEFINE_integer("num_aug", 1, "Variants of each crop to average.", lower_bound=1)
FOV = flags.DEFINE_float("fov", 55.0, "Degrees that the longer side of images spans.", 1, 179)
INTRINSICS = flags.DEFINE_string(
    "intrinsics", None, "JSON file of intrinsic_matrix (3 × 3, px) and maybe distortion_coeffs."
)
BOXES = flags.DEFINE_string(
    "boxes", None, "JSON file of people given: {image: [[x, y, w, h], …], video: {frame: [[…]]}}."
)
THRESHOLD = flags.DEFINE_float("threshold", 0.4, "Least score of a person found.", 0, 1)
MAX_PEOPLE = flags.DEFINE_integer("max_people", -1, "Most people in an image; -1: any number.")
EVERY = flags.DEFINE_integer("every", 1, "Of a video, use every so many-th frame.", lower_bound=1)
SMOOTH = flags.DEFINE_boolean("smooth", True, "Smooth the motion of each person in a video.")
OVERLAY = flags.DEFINE_boolean("overlay", True, "Draw people on images and videos.")
MOTION = flags.DEFINE_list("motion", [], "Motion of each person in a video as bvh, trc, c3d.")


def json_file(path: str | None) -> Any:
    """What a JSON file holds; None without a file."""
    if path is None:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold one JSON object, in braces")
    return content


def predict(arguments: Sequence[str]) -> list[str]:
    """Open the model and run it; returns a line for each input that could not be read."""
    # These take a while to import: usage and errors of arguments come at once.
    import acae_jax
    from acae_jax.inference import finishing, running
    from acae_jax.media import inputs

    out, lens = Path(OUT.value), json_file(INTRINSICS.value) or {}
    found = inputs.find(arguments, out)
    boxes = json_file(BOXES.value)
    matrix, coefficients = (
        None if lens.get(name) is None else np.array(lens[name], np.float64)
        for name in ("intrinsic_matrix", "distortion_coeffs")
    )
    if INTRINSICS.value and matrix is None:
        raise ValueError(f"{INTRINSICS.value} has no intrinsic_matrix")
    estimator = acae_jax.load(BUNDLE.value)
    skeleton = SKELETON.value or estimator.bundle.facts.default_skeleton
    settings = running.Settings(
        out=out,
        estimate={
            "skeleton": "" if skeleton == "all" else skeleton,
            "intrinsic_matrix": matrix,
            "distortion_coeffs": coefficients,
            "default_fov_degrees": FOV.value,
            "num_aug": NUM_AUG.value,
        },
        detect={"detector_threshold": THRESHOLD.value, "max_detections": MAX_PEOPLE.value},
        boxes=boxes,
        every=EVERY.value,
        finish=finishing.Settings(
            SMOOTH.value, OVERLAY.value, tuple(MOTION.value), FOV.value, matrix, coefficients
        ),
    )
    return running.run(estimator, found, settings)


def main(arguments: Sequence[str]) -> int:
    """Predict, and turn what a user can mend or has asked for into one line and an exit code."""
    if len(arguments) < 2:
        raise app.UsageError("give images, videos, folders, patterns or the number of a camera")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # JAX tells which accelerators it looked for
    try:
        failures = predict(arguments[1:])
    except KeyboardInterrupt:
        print(
            f"\nstopped: poses up to here are in {OUT.value}; the same command continues",
            file=sys.stderr,
        )
        return 128 + signal.SIGINT
    except (ValueError, OSError) as error:
        logging.debug("where it happened", exc_info=True)
        print(f"error: {error} (--verbosity=1 shows where)", file=sys.stderr)
        return 1
    if failures:
        print(f"{len(failures)} inputs could not be read", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"  # for users, not authors
    app.run(main)
