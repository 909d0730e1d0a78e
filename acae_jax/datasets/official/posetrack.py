"""PoseTrack18: people in videos with 17 joints in 2D (Andriluka et al., CVPR 2018).

Everybody with a box takes part in the matching with the detector. A person makes a record if more
than 6 of the 12 joints of the limbs have labels, and since the person's last sampled frame a joint
has become labelled or has moved by half the diagonal of the head's box.

The public code of PosePile takes for the movement the norm over the whole pose, which it calls a
bug, and so keeps far more frames than it wants to. Here it is the movement of each joint.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import images, video_keypoints
from acae_jax.datasets.readers.video_keypoints import Annotation
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import limbs, person_boxes, sampling

RELEASE = Release(
    name="posetrack",
    title="PoseTrack18",
    version="1.0.0",
    url="https://posetrack.net",
    access="non-commercial; register there",
    size="some ten GB of images",
    layout=("posetrack_data/annotations/train/*.json", "images/train/*/*.jpg"),
    format="posetrack_2d",
    quota=8,
    boxes=partial(person_boxes.detected, least_iou=0.1, from_given=True),
    finds_masks=False,
)
HEADS = 0.5  # diagonals of the head's box that a joint must move
JOINTS = (
    "nose", "head_bottom", "head_top", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each training video."""
    found = sorted(raw.glob(RELEASE.layout[0]))
    video_keypoints.check(found[0], JOINTS)
    return tuple(Unit(path.stem, "train") for path in found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video in which somebody has moved."""
    labels = raw / f"posetrack_data/annotations/train/{unit.name}.json"
    kept: dict[int, sampling.Kept] = {}
    for name, annotations in video_keypoints.by_image(labels):
        people = tuple(_people(annotations, kept))
        if any(person.is_kept for person in people):
            read = partial(images.read, raw / name)
            yield Frame(read, None, people, unit.name, int(Path(name).stem))


def _people(annotations: list[Annotation], kept: dict[int, sampling.Kept]) -> Iterator[Person]:
    """The people of a frame who have a box; notes in `kept` what was sampled of each track."""
    names = release.joint_names(RELEASE)
    for annotation in annotations:
        box = np.array(annotation.get("bbox", ()), float)
        if len(box) != 4 or not (box[2:] > 0).all():
            continue
        track = annotation["track_id"]
        labels_px = _labels(annotation)
        head = np.array(annotation.get("bbox_head") or (0, 0, 0, 0), float)
        threshold = HEADS * float(np.hypot(*head[2:]))  # without a head's box, all frames count
        rule = sampling.NEW_OR_MOVED._replace(threshold=threshold)
        kept[track], has_moved = sampling.step(rule, kept.get(track), labels_px)
        is_kept = has_moved and limbs.are_labelled(names, labels_px)
        yield Person(str(track), np.zeros((0, 3)), labels_px, box, is_kept=is_kept)


def _labels(annotation: Annotation) -> Float[np.ndarray, "17 2"]:
    labels = np.array(annotation["keypoints"], float).reshape(len(JOINTS), 3)
    return np.where(labels[:, 2:] == 1, labels[:, :2], np.nan)
