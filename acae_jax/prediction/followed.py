"""Frames of a video in which people are followed: the detector looks at few of them.

Frames come in groups, and what is found in a group depends on its frames only. So a video that was
stopped is continued from the beginning of a group, with the same result. And should the network
have gone astray, it goes no farther.
"""

from collections.abc import Iterable, Iterator

from acae_jax.inference import following
from acae_jax.inference.estimator import Estimator
from acae_jax.media import videos
from acae_jax.prediction import estimates
from acae_jax.prediction.estimates import PredictionSettings
from acae_jax.recordings import results

GROUP = 100  # frames
DETECTIONS_PER_S = 3
LONGEST = 10  # frames from one detection to the next


def is_possible(estimator: Estimator, settings: PredictionSettings) -> bool:
    """Whether the model tells where people are, and the user does not."""
    return estimator.bundle.facts.looks is not None and settings.boxes is None


def period(frames_per_s: float) -> int:
    """How many frames there are from one detection to the next; 1 if frames are far apart."""
    return min(max(1, round(frames_per_s / DETECTIONS_PER_S)), LONGEST)


def frames(
    estimator: Estimator,
    settings: PredictionSettings,
    images: Iterable[videos.Frame],
    detect_every: int,
) -> Iterator[results.Frame]:
    """The people of a video's frames, from the beginning of a group on."""
    people = following.NOBODY
    for place, (index, image, time_s) in enumerate(images):
        in_group = place % GROUP
        before = people if in_group else following.NOBODY
        detect = in_group % detect_every == 0
        poses, people = estimates.follow(estimator, settings, image, before, detect)
        yield estimates.frame(index, time_s, poses)
