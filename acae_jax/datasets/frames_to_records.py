"""Frames of a dataset → crop records, the same way for all datasets, one frame at a time.

What cannot be used is named, counted and left out: frames whose image is broken, people without a
box, units that end early. What must not happen stops the build: 3D labels that do not project onto
the release's own 2D labels, the sign of mirrored images, wrong cameras, scales or joints.
"""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from acae_jax import messages
from acae_jax.data import crop_record, schema
from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets import outliers
from acae_jax.datasets import release as releases
from acae_jax.datasets.release import Frame, Person, Release
from acae_jax.datasets.steps import plausible, stored_crop
from acae_jax.datasets.steps.person_boxes import Seen
from acae_jax.geometry import boxes, cameras, lens
from acae_jax.images import masks
from acae_jax.inference import detection, person_masks
from acae_jax.inference.detection import Detector
from acae_jax.inference.person_masks import PersonMasks

DETECTION = {"threshold": 0.2, "nms_iou_threshold": 0.7, "max_detections": -1}
MASK_PROBABILITY = 0.5
BROKEN = (ValueError, OSError, LookupError)  # what builders raise for broken files
MOST_NAMED = 20  # broken frames of a unit; more are counted only


@functools.cache
def packaged_detector() -> Detector:
    """The detector that comes with the package, loaded once."""
    return detection.load()


@functools.cache
def packaged_person_masks() -> PersonMasks:
    """The landmark network's person masks, loaded once."""
    return person_masks.load()


class Networks(NamedTuple):
    """Functions that load the networks, called when they are needed."""

    detector: Callable[[], Detector] = packaged_detector
    person_masks: Callable[[], PersonMasks] = packaged_person_masks


class Tally:
    """What happened in a unit: numbers, lengths of bones, and what was left out and why."""

    def __init__(self, release: Release) -> None:
        self.lengths = outliers.Lengths(releases.bones(release))
        self.frames = 0
        self.records = 0
        self.masks = 0
        self.left_out: collections.Counter[str] = collections.Counter()
        self.broken: list[str] = []
        self.errors_px: list[np.ndarray] = []

    def note_broken(self, where: str, error: BaseException) -> None:
        """Count a broken frame, and name it if there are few."""
        self.left_out["broken"] += 1
        if len(self.broken) < MOST_NAMED:
            self.broken.append(f"{where}: {messages.one_line(error)}")

    def error_px(self) -> float | None:
        """The median distance of projected 3D labels from the release's 2D ones, if it has any."""
        found = [errors for errors in self.errors_px if len(errors)]
        return float(np.median(np.concatenate(found))) if found else None

    def summary(self) -> dict[str, Any]:
        """All of it, for a JSON file."""
        return {
            "frames": self.frames,
            "records": self.records,
            "masks": self.masks,
            "left_out": dict(sorted(self.left_out.items())),
            "broken": self.broken,
            "labels_2d": sum(map(len, self.errors_px)),
            "reprojection_error_px": self.error_px(),
            "bones": self.lengths.summary(),
        }


def records(
    release: Release,
    frames: Iterable[Frame],
    networks: Networks,
    tally: Tally,
    is_training: bool = True,
) -> Iterator[CropRecord]:
    """The records of a unit's frames.

    For training, people with 3D labels need LEAST_JOINTS_IN_BOX of them in their box. ValueError at
    the end, in one line, if the 3D labels miss the release's 2D labels by more than
    `release.largest_error_px` in the median, and for two records with one key.
    """
    keys = set()
    last = "the beginning"
    iterator = iter(frames)
    while True:
        try:
            frame = next(iterator)
        except StopIteration:
            break
        except BROKEN as error:
            tally.note_broken(f"after {last}", error)
            break
        last = key_of(release, frame)
        for record in _of_frame(release, frame, networks, tally):
            if is_training and release.drops_implausible and _is_beside_its_box(record):
                tally.left_out["few joints in box"] += 1
                continue
            if record.key in keys:
                raise ValueError(f"two records have the key {record.key!r}; make it unique")
            keys.add(record.key)
            tally.records += 1
            tally.masks += len(record.mask_rle) > 0
            if len(record.joints_mm):
                tally.lengths.note(record.joints_mm)
            yield record
    check_projection(release, tally, last)


def check_projection(release: Release, tally: Tally, where: str) -> None:
    """Raise ValueError if 3D and 2D labels disagree."""
    error_px = tally.error_px()
    if error_px is not None and error_px > release.largest_error_px:
        raise ValueError(
            f"{where}: 3D labels miss the release's 2D labels by {error_px:.1f} px in the median, "
            f"more than {release.largest_error_px:g} px: cameras, units or joints are not what is "
            "expected; check the version of the release"
        )


def key_of(release: Release, frame: Frame, person: str = "") -> str:
    """The key of a frame, or of a person in it."""
    parts = (release.name, frame.clip, frame.camera_name, f"{frame.index:06d}", person)
    return "/".join(part for part in parts if part)


def projected_px(
    camera: cameras.Camera, joints_mm: Float[np.ndarray, "j 3"]
) -> Float[np.ndarray, "j 2"]:
    """Where a camera sees joints; NaN behind it, and where its lens model means nothing."""
    in_camera = cameras.world_to_camera(camera, joints_mm.astype(np.float64))
    # Comparisons with NaN are False, and so joints without a label stay NaN.
    limit = min(lens.fold_radius(camera.distortion), 1e9) if camera.distortion.any() else 1e9
    radius = np.hypot(in_camera[:, 0], in_camera[:, 1])
    is_seen = (in_camera[:, 2] > 0) & (radius < limit * in_camera[:, 2])
    points_px = cameras.camera_to_image(camera, np.where(is_seen[:, None], in_camera, 1.0))
    return np.where(is_seen[:, None], points_px, np.nan)


def moved_px(
    camera: cameras.Camera, crop_camera: cameras.Camera, labels_px: Float[np.ndarray, "k 2"]
) -> Float[np.ndarray, "k 2"]:
    """2D labels of an image in a crop of it; NaN where the crop's camera cannot look, and so far
    outside of the image that its lens model means nothing."""
    with np.errstate(all="ignore"):
        rays = cameras.image_to_camera(camera, labels_px)
        at_origin = cameras.create(camera.intrinsics, distortion=camera.distortion)
        error_px = np.abs(projected_px(at_origin, rays) - labels_px).max(axis=-1)
    in_crop = rays @ (crop_camera.rotation @ camera.rotation.T).T
    is_seen = (error_px < 0.1) & (in_crop[:, 2] > 0)
    points_px = cameras.camera_to_image(crop_camera, np.where(is_seen[:, None], in_crop, 1.0))
    return np.where(is_seen[:, None], points_px, np.nan)


def _of_frame(release: Release, frame: Frame, networks: Networks, tally: Tally) -> list[CropRecord]:
    """The records of the people in a frame; none, counted, if its image is broken."""
    tally.frames += 1
    try:
        image = frame.image() if callable(frame.image) else frame.image
        given = [p.mask() if callable(p.mask) else p.mask for p in frame.people]
    except BROKEN as error:
        tally.note_broken(key_of(release, frame), error)
        return []
    seen = [_seen(frame, person, tally) for person in frame.people]
    image_box = boxes.of_image(image.shape[1], image.shape[0]).astype(np.float64)
    found = release.boxes(seen, image_box, lambda: _detected(networks, image))
    made = []
    for person, mask, box in zip(frame.people, given, found, strict=True):
        if not person.is_kept:
            continue
        if box is None:
            tally.left_out["no box"] += 1
            continue
        try:
            record = _record(release, frame, person, image, box, mask, networks)
            made.append(schema.check(crop_record.SCHEMA, record))
        except ValueError as error:
            tally.note_broken(key_of(release, frame, person.id), error)
    return made


def _is_beside_its_box(record: CropRecord) -> bool:
    """Whether too few 3D labels are in the box, so that the picture shows hardly any of them."""
    if not len(record.joints_mm):
        return False
    camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
    inside = plausible.joints_in_box(projected_px(camera, record.joints_mm), record.box)
    # Users' skeletons may have fewer joints altogether.
    return inside < min(plausible.LEAST_JOINTS_IN_BOX, len(record.joints_mm))


def _seen(frame: Frame, person: Person, tally: Tally) -> Seen:
    """Where a person's joints are in the image; notes how far the 2D labels are from there."""
    if frame.camera is None or not len(person.joints_mm):
        labels_px = np.zeros((0, 2)) if person.joints_px is None else person.joints_px
        return Seen(labels_px, person.box, person.is_hidden)
    joints_px = projected_px(frame.camera, person.joints_mm)
    if person.joints_px is not None:
        errors_px = np.linalg.norm(joints_px - person.joints_px, axis=-1)
        tally.errors_px.append(errors_px[np.isfinite(errors_px)].astype(np.float32))
    return Seen(joints_px, person.box, person.is_hidden)


def _detected(networks: Networks, image: UInt8[np.ndarray, "h w 3"]) -> np.ndarray:
    (found,) = networks.detector()([image], *DETECTION.values())
    return np.asarray(found)


def _record(
    release: Release,
    frame: Frame,
    person: Person,
    image: UInt8[np.ndarray, "h w 3"],
    box: Float[np.ndarray, "4"],
    mask: np.ndarray | None,
    networks: Networks,
) -> CropRecord:
    """The record of a person; ValueError if there is no crop of this box."""
    size = image.shape[1], image.shape[0]
    camera = stored_crop.fake_camera(*size) if frame.camera is None else frame.camera
    up = None if frame.camera is None else np.array(frame.up)
    cropping = release.cropping if frame.cropping is None else frame.cropping
    crop = stored_crop.place(size, camera, box, up, cropping)
    picture = stored_crop.corrected(stored_crop.draw(image, crop), cropping.light)
    if mask is not None:
        shown = masks.encode(_warped(mask, image, crop))
    elif release.finds_masks:
        (likely,) = networks.person_masks()(picture, crop.box[None], crop.camera.intrinsics)
        shown = masks.encode(np.asarray(likely) > MASK_PROBABILITY)
    else:
        shown = np.zeros(0, np.uint32)
    is_2d = not len(person.joints_mm)
    labels_px = np.zeros((0, 2))
    if is_2d and person.joints_px is not None:
        labels_px = moved_px(camera, crop.camera, person.joints_px.astype(np.float64))
    return CropRecord(
        image=stored_crop.encode(picture),
        intrinsics=crop.camera.intrinsics.astype(np.float32),
        rotation=crop.camera.rotation.astype(np.float32),
        position_mm=crop.camera.position_mm.astype(np.float32),
        joints_mm=person.joints_mm.astype(np.float32),
        joints_px=labels_px.astype(np.float32),
        box=crop.box.astype(np.float32),
        mask_rle=shown,
        format=release.format,
        key=key_of(release, frame, person.id),
        clip=frame.clip,
        frame=frame.index,
        person=person.id,
        camera=frame.camera_name,
    )


def _warped(
    mask: np.ndarray, image: UInt8[np.ndarray, "h w 3"], crop: stored_crop.Crop
) -> np.ndarray:
    if mask.shape != image.shape[:2]:
        raise ValueError(f"mask of {mask.shape[::-1]} px for an image of {image.shape[1::-1]} px")
    return stored_crop.draw_mask(mask, crop)
