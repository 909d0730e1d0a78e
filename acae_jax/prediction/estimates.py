"""From images to frames of a recording: a call of the estimator, and what its result depends on."""

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from acae_jax.inference import following
from acae_jax.inference.estimator import (
    DetectArguments,
    EstimateArguments,
    Estimator,
    Poses,
    PosesOfMany,
)
from acae_jax.prediction import outputs, user_boxes
from acae_jax.recordings import results

Image = UInt8[np.ndarray, "h w 3"]


class PredictionSettings(NamedTuple):
    """The settings of a prediction.

    out       folder of the results
    estimate  arguments of the estimator
    detect    further arguments, if people are detected
    boxes     people from the user instead of the detector, see `user_boxes`
    every     predict only each so many-th frame of a video
    finish    what to make of the poses
    """

    out: Path
    estimate: EstimateArguments
    detect: DetectArguments
    boxes: user_boxes.Boxes | None
    every: int
    finish: outputs.OutputSettings


def predict(
    estimator: Estimator,
    settings: PredictionSettings,
    images: list[Image],
    boxes: list[np.ndarray] | None,
) -> PosesOfMany:
    """The people in these images; `boxes` are those of each image, None to detect them."""
    if boxes is not None:
        return estimator.estimate_poses_batched(images, boxes, **settings.estimate)
    arguments: DetectArguments = {**settings.estimate, **settings.detect}
    return estimator.detect_poses_batched(images, **arguments)


def follow(
    estimator: Estimator,
    settings: PredictionSettings,
    image: Image,
    before: following.Followed,
    detect: bool,
) -> tuple[Poses, following.Followed]:
    """The people in the next frame of a video, as `Estimator.follow_poses` finds them."""
    arguments: DetectArguments = {**settings.estimate, **settings.detect}
    return estimator.follow_poses(image, before, detect, **arguments)


def of_one(people: PosesOfMany, place: int) -> Poses:
    """The people in the image at `place`."""
    return Poses(
        boxes=people["boxes"][place],
        poses3d=people["poses3d"][place],
        poses2d=people["poses2d"][place],
        uncertainties=people["uncertainties"][place],
    )


def frame(
    index: int, time_s: float, people: Poses, source: str = "", stamp: str = ""
) -> results.Frame:
    """The frame of an image with these people, who are numbered in order."""
    return results.Frame(
        index,
        time_s,
        np.arange(len(people["boxes"]), dtype=np.int32),
        people["boxes"],
        people["poses3d"],
        people["poses2d"],
        people["uncertainties"],
        source,
        stamp,
    )


def blank(estimator: Estimator, settings: PredictionSettings, fps: float) -> results.Sequence:
    """A sequence without frames, with the joints and skeletons of the estimator."""
    facts = estimator.bundle.facts
    empty = results.blank(facts.joint_names, facts.edges, facts.skeletons, fps)
    skeleton = settings.estimate.get("skeleton", "")
    return results.select(empty, skeleton) if skeleton else empty


def metadata(estimator: Estimator, settings: PredictionSettings) -> dict[str, Any]:
    """Everything that poses depend on; a recording is continued only with the same."""
    arguments = {**settings.estimate, **settings.detect}
    bundle = estimator.bundle
    values: dict[str, Any] = {"model": bundle.facts.name, "digest": bundle.digest}
    values |= {name: np.asarray(value).tolist() for name, value in arguments.items()}
    if settings.boxes is not None:
        values["boxes"] = zlib.crc32(json.dumps(settings.boxes, sort_keys=True).encode())
    return values
