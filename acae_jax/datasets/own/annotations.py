"""The labels of a clip: its files of any form, in mm and in the cameras' world, by frame."""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from acae_jax.datasets.own import media
from acae_jax.datasets.own.camera_files import MM
from acae_jax.datasets.own.description import Annotation, Clip
from acae_jax.datasets.own.label_files import arrays, labels, lists, motion, tables
from acae_jax.datasets.own.label_files.labels import Labels
from acae_jax.datasets.own.media import Media
from acae_jax.media import inputs
from acae_jax.skeletons.skeleton import Skeleton

READERS = {
    ".csv": tables.read,
    ".json": lists.read,
    ".npz": arrays.read,
    ".bvh": motion.read,
    ".c3d": motion.read,
}
NEARLY = 0.005  # rates of systems that run in step are rounded: 120 of 29.97 Hz is four times


class Loaded(NamedTuple):
    """A clip's labels, with indices of its frames, and the images of its files that it lacks."""

    labels: Labels
    elsewhere: dict[Path, frozenset[str]]


def load(clip: Clip, skeleton: Skeleton, pictures: Media) -> Loaded:
    """The labels of a clip, in the order of its frames; rows without any joint are left out.

    ValueError, in one line with the file, if they cannot be read, or not be brought together.
    """
    parts, elsewhere = [], {}
    for annotation in clip.annotations:
        try:
            found = _in_world(annotation, _read(annotation, clip), skeleton)
            found, unknown = _by_frame(annotation, found, clip, pictures)
        except ValueError as error:
            path = annotation.path
            told = str(error) if str(path) in str(error) else f"{path}: {error}"
            raise ValueError(told) from None
        parts.append(found)
        elsewhere[annotation.path] = unknown
    together = labels.joined(parts, [annotation.path for annotation in clip.annotations])
    if "" in together.people and len(set(together.people)) > 1:
        raise ValueError(
            f"{', '.join(str(a.path) for a in clip.annotations)}: some labels name their person, "
            "and some do not; say who it is by 'person', or name people nowhere"
        )
    has_label = labels.is_3d(together) | labels.is_2d(together)
    order = np.argsort([int(moment) for moment in together.moments], kind="stable")
    return Loaded(labels.rows_of(together, order[has_label[order]]), elsewhere)


def _read(annotation: Annotation, clip: Clip) -> Labels:
    """What a file holds."""
    suffix = annotation.path.suffix.lower()
    if suffix not in READERS:
        raise ValueError(f"unknown form; give {', '.join(READERS)}")
    if suffix == ".npz" and set(arrays.VIDEOPOSE) & set(arrays.members(annotation.path)):
        view, views = clip.view, clip.views
        return arrays.read_videopose(
            annotation.path, annotation.subject, annotation.action, view, views
        )._replace(unit=annotation.unit or "m")
    return _read_file(annotation.path, inputs.stamp(annotation.path))


@functools.lru_cache(maxsize=16)
def _read_file(path: Path, stamp: str) -> Labels:
    """A file's content, which many clips may share; the stamp tells of changes."""
    return READERS[path.suffix.lower()](path)


def _in_world(annotation: Annotation, found: Labels, skeleton: Skeleton) -> Labels:
    """The skeleton's joints in mm in the cameras' world."""
    if annotation.path.suffix.lower() == ".bvh" and not annotation.unit:
        raise ValueError("BVH does not say its unit: say 'unit: cm', or mm, or m")
    found = labels.in_skeleton(found, skeleton, annotation.joints)
    points_mm = found.joints * MM[found.unit or annotation.unit or "mm"]
    if annotation.to_world is not None:
        rotation, translation_mm = annotation.to_world
        points_mm = points_mm @ rotation.T + translation_mm
    people = tuple(person or annotation.person for person in found.people)
    return found._replace(joints=points_mm, people=people, unit="mm")


def _by_frame(
    annotation: Annotation, found: Labels, clip: Clip, pictures: Media
) -> tuple[Labels, frozenset[str]]:
    """The labels of the clip's frames, and the names of images that are not of this clip."""
    unknown: frozenset[str] = frozenset()
    if any(isinstance(moment, str) for moment in found.moments):
        index = _index_of_names(pictures)
        unknown = frozenset(m for m in found.moments if isinstance(m, str) and m not in index)
        chosen = [i for i, m in enumerate(found.moments) if isinstance(m, str) and m in index]
        found = labels.rows_of(found, chosen)
        return found._replace(moments=tuple(index[str(m)] for m in found.moments)), unknown
    step, count = _step(annotation, found, clip, pictures), media.count(pictures)
    if step == 1 and annotation.first_frame.is_integer():
        found = labels.shifted(found, int(annotation.first_frame))
    elif not count:
        raise ValueError(f"{pictures.video} does not state how many frames it has; convert it")
    else:
        found = labels.resampled(found, annotation.first_frame, step, count)
    if found.is_motion and count:
        found = labels.rows_of(found, [i for i, m in enumerate(found.moments) if int(m) < count])
    return found, unknown


@functools.lru_cache(maxsize=4)
def _index_of_names(pictures: Media) -> dict[str, int]:
    return media.index_of_names(pictures)


def _step(annotation: Annotation, found: Labels, clip: Clip, pictures: Media) -> float:
    """How many frames of the labels pass from one of the clip to the next."""
    labels_hz = annotation.labels_fps or found.rate_hz
    if not labels_hz:
        return 1.0
    if clip.video_fps is None and pictures.video is None:
        if annotation.labels_fps is None:
            return 1.0
        raise ValueError("'labels_fps' needs 'video_fps', because images do not tell")
    step = labels_hz / (clip.video_fps or media.rate_hz(pictures))
    is_stated = annotation.labels_fps is not None and clip.video_fps is not None
    is_whole = round(step) >= 1 and abs(step - round(step)) < NEARLY * step
    return float(round(step)) if is_whole and not is_stated else step
