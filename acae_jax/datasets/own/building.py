"""The frames of users' clips, and all of them as a plan of work.

A unit is a clip of one camera. In videos with 3D labels, people count when a joint has moved by
100 mm since they last did; in the split "test", and of images, all do.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tqdm

from acae_jax.datasets import shards
from acae_jax.datasets.own import annotations, checks, media, views
from acae_jax.datasets.own import description as descriptions
from acae_jax.datasets.own.annotations import Loaded
from acae_jax.datasets.own.description import Clip, Description
from acae_jax.datasets.own.label_files import labels
from acae_jax.datasets.own.label_files.labels import Labels
from acae_jax.datasets.own.media import Media
from acae_jax.datasets.release import Y_DOWN, Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling

VERSION = 1  # of what this makes of a description
ROOM, LEAST_IOU = 1.2, 0.3
MOVED_MM = 100.0
BOXES = {
    "joints": partial(person_boxes.of_joints, factor=ROOM),
    "given": partial(person_boxes.or_of_joints, rule=person_boxes.given, factor=ROOM),
    "detected": partial(
        person_boxes.or_of_joints,
        rule=partial(person_boxes.detected, factor=ROOM, least_iou=LEAST_IOU),
        factor=ROOM,
    ),
}


def plan(path: Path, out: Path) -> shards.Plan:
    """What there is to build of a description; all labels are looked at.

    FileNotFoundError or ValueError, in one line with the fix, if anything is wrong. Nothing is
    written.
    """
    description = descriptions.read(path)
    missing = _check(description)
    if missing:
        print(f"{description.name}: nothing labels {', '.join(missing)} of the skeleton")
    units = tuple(Unit(_unit_name(clip), clip.split) for clip in description.clips)
    return shards.Plan(_release(description), units, partial(frames, description), out)


def frames(description: Description, unit: Unit) -> Iterator[Frame]:
    """The frames of a clip that have labels, without those that sampling leaves out."""
    clip = next(clip for clip in description.clips if _unit_name(clip) == unit.name)
    pictures, (found, _) = _load(description, clip)
    camera = description.cameras[clip.camera].camera if clip.camera else None
    by_frame = dict(_sampled(clip, found, is_video=pictures.video is not None))
    for index, image in media.frames(pictures, list(by_frame)):
        people = tuple(_person(found, row, is_kept) for row, is_kept in by_frame[index])
        up = clip.up or Y_DOWN
        yield Frame(image, camera, people, clip.name, index, clip.camera, up)


def _load(description: Description, clip: Clip) -> tuple[Media, Loaded]:
    """The pictures of a clip and its labels."""

    def of(one: Clip) -> tuple[Media, Loaded]:
        pictures = media.find(description.path.parent, one.video, one.images)
        return pictures, annotations.load(one, description.skeleton, pictures)

    pictures, loaded = of(clip)
    if not clip.triangulate:
        return pictures, loaded
    others = [one for one in description.clips if one.name == clip.name and one is not clip]
    together = [clip, *others]
    if len(others) == 0 or not all(one.camera for one in together):
        raise ValueError(f"{clip.where} needs several cameras, in 'camera', to triangulate")
    found = views.triangulated(
        [loaded.labels, *(of(one)[1].labels for one in others)],
        [description.cameras[one.camera].camera for one in together],
        description.max_error_px,
    )
    return pictures, loaded._replace(labels=found)


def _sampled(
    clip: Clip, found: Labels, is_video: bool
) -> Iterator[tuple[int, list[tuple[int, bool]]]]:
    """The frames of which somebody is kept: their rows, and whether each is kept."""
    moved_mm = clip.moved_mm
    if moved_mm is None:
        moved_mm = MOVED_MM if is_video and clip.split == "train" else 0.0
    rule = sampling.NEW_OR_MOVED._replace(threshold=moved_mm)
    rows: dict[int, list[int]] = {}
    for row, moment in enumerate(found.moments):
        rows.setdefault(int(moment), []).append(row)
    kept: dict[str, sampling.Kept] = {}
    is_3d = labels.is_3d(found)
    for index, mine in rows.items():
        if index % clip.every:
            continue
        chosen = []
        for row in mine:
            person, is_kept = found.people[row], True
            if moved_mm and is_3d[row]:
                before = kept.get(person)
                kept[person], is_kept = sampling.step(rule, before, found.joints[row])
            chosen.append((row, is_kept))
        if any(is_kept for _, is_kept in chosen):
            yield index, chosen


def _person(found: Labels, row: int, is_kept: bool) -> Person:
    joints_mm, joints_px, box = found.joints[row], found.joints_px[row], found.boxes[row]
    # A joint counts only as a whole.
    joints_mm = np.where(np.isfinite(joints_mm).all(-1, keepdims=True), joints_mm, np.nan)
    has_3d, has_2d = np.isfinite(joints_mm).any(), np.isfinite(joints_px).any()
    return Person(
        found.people[row],
        joints_mm if has_3d else np.zeros((0, 3)),
        joints_px if has_2d else None,
        box if np.isfinite(box).all() else None,
        is_kept=is_kept,
    )


def _release(description: Description) -> Release:
    return Release(
        name=description.name,
        title=f"Own recordings, {description.name}",
        version=description.version,
        url=description.path.name,
        access="own",
        size="",
        layout=(),
        format=description.skeleton.name,
        quota=1,
        boxes=BOXES[description.boxes],
        finds_masks=description.masks,
        skeleton=description.skeleton,
        largest_error_px=description.max_error_px,
        content=_content(description),
    )


def _unit_name(clip: Clip) -> str:
    return f"{clip.name}/{clip.camera}" if clip.camera else clip.name


def _check(description: Description) -> list[str]:
    """Raise ValueError, in one line, if anything cannot be as the clips have it.

    Returns the joints of the skeleton that have no label in any clip.
    """
    is_labelled = np.zeros(len(description.skeleton.joint_names), bool)
    unknown: dict[Path, frozenset[str]] = {}
    directions = []
    told = partial(tqdm.tqdm, desc="labels", unit="clip", leave=False, delay=2)
    for clip in told(description.clips):
        try:
            pictures, (found, elsewhere) = _load(description, clip)
            known = description.cameras.get(clip.camera)
            checks.check(clip, found, pictures, known, description.max_error_px)
        except (ValueError, OSError) as error:
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
            raise kind(f"{description.path}: {_unit_name(clip)}: {error}") from None
        for points in (found.joints, found.joints_px):
            is_labelled |= np.isfinite(points).all(-1).any(0)
        for path, names in elsewhere.items():
            unknown[path] = unknown.get(path, names) & names
        if clip.up is None:
            directions.append(checks.trunks(found))
    for path, names in unknown.items():
        if names:
            raise ValueError(
                f"{description.path}: {path}: image {min(names)} is in none of the clips that have "
                "these labels"
            )
    if directions:
        try:
            checks.check_up(np.concatenate(directions), Y_DOWN)
        except ValueError as error:
            raise ValueError(f"{description.path}: {error}") from None
    names = description.skeleton.joint_names
    return [name for name, has_any in zip(names, is_labelled, strict=True) if not has_any]


def _content(description: Description) -> str:
    """A checksum of all files: labels and cameras by their content, pictures by name and size."""
    skeleton = [description.skeleton_path] if description.skeleton_path else []
    known = [known.path for known in description.cameras.values()]
    named = [annotation.path for clip in description.clips for annotation in clip.annotations]
    digest = hashlib.sha256(str(VERSION).encode())
    for path in dict.fromkeys([description.path, *skeleton, *known, *named]):
        files = [path] if path.is_file() else sorted(path.glob("*.txt"))
        for file in files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    for clip in description.clips:
        pictures = media.find(description.path.parent, clip.video, clip.images)
        for path in [pictures.video] if pictures.video else pictures.images:
            digest.update(f"{path.name}:{path.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]
