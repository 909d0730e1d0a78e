"""A stored record → a training example: decode, crop, augment, place the labels.

Host work, numpy only. The image and the labels go through the same crop camera, so projecting an
example's `joints_mm` with its `intrinsics` finds the joints in its image, mirrored ones included:
the crop camera of a flipped example has its x axis negated, and left and right labels are swapped.

Randomness is a pure function of (seed, step, slot). Each kind of augmentation reads a stream of its
own and always the same numbers of it, so switching one off leaves the others as they were.

Order of the pixel operations: warp, background, pasted objects, colour, erased rectangle.

The small arithmetic is done first and an image made only when it is asked for. A batch does the
arithmetic of all its examples in one go: between images, which push code and data of the
interpreter out of the processor's caches, it takes several times as long.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from acae_jax.data import crop_record
from acae_jax.data.crop_record import CropRecord
from acae_jax.geometry import boxes, cameras
from acae_jax.images import background, colour, crops, decoding, masks, occlusion
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons import union as unions

Change = Callable[[UInt8[np.ndarray, "s s 3"]], UInt8[np.ndarray, "s s 3"]]


class Augmentation(NamedTuple):
    """What varies at random, by default as in the published 28-dataset recipe (MeTRAbs-ACAE).

    Ranges are symmetric around "no change" unless they are given as a pair; angles are in radians.
    """

    shift: float = 0.1  # radius of the disc for the box centre, in longer box sides
    zoom: tuple[float, float] = (0.75, 1.25)
    roll: float = np.pi / 9  # 20 degrees
    full_roll_probability: float = 0.0  # of any roll at all instead of ± roll
    flip_probability: float = 0.5
    partial_probability: float = 0.0  # of showing only a part of the person
    background_probability: float = 0.7  # of a new background, given a mask
    background_zoom: tuple[float, float] = (1.2, 1.5)
    background_shift: float = 0.1  # in crop sides
    occlusion_probability: float = 0.5  # half of it objects, half of it erasing
    max_objects: int = 6
    object_scale: tuple[float, float] = (0.2, 1.0)
    erase_area: float = 1 / 3  # of the crop, at most
    erase_aspect: float = 1 / 0.3
    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.4 * np.pi  # 72 degrees


def make(
    record: CropRecord, seed_step_slot: tuple[int, int, int], **settings: Any
) -> dict[str, np.ndarray]:
    """Make one example at once: `arrange`, whose settings these are, with its image drawn."""
    example = arrange(record, seed_step_slot, **settings)
    return {**example, "image": example["image"]()}


def arrange(
    record: CropRecord,
    seed_step_slot: tuple[int, int, int],
    *,
    union: unions.JointUnion,
    label_names: tuple[str, ...],
    side_px: int,
    augmentation: Augmentation | None,
    occluders: Sequence[occlusion.Occluder] = (),
    backgrounds: Sequence[background.Background] = (),
    background_probability: float | None = None,
    device_colour: bool = False,
    dataset_index: int = 0,
) -> dict[str, Any]:
    """Make one example but for its image: a dict of image, intrinsics, joints, labels and dataset
    (J, K as in union and label_names).

    image: the function without arguments, to be called once, that makes it, uint8 (side, side, 3)
    RGB · intrinsics float32 (3, 3) of the crop camera · joints_mm float32 (J, 3) in its space, 0
    where not valid · valid bool (J,) · labels_px float32 (K, 2) in the crop, 0 where not valid, and
    labels_valid bool (K,) of 2D-labelled records · dataset int32. With `device_colour` the colour
    is left to `images.device_colour`, and there are also: colour float32 (5, 2), its stages ·
    erased int32 (4,), the pixels that it must leave alone.

    `augmentation` None gives the clean crop. `background_probability` replaces the augmentation's
    for datasets that are realistic already. Without occluders or backgrounds those changes are left
    out. ValueError, here or from the image's function, for an unreadable image or labels that do
    not fit their format.
    """
    stored = stored_camera(record)
    box, view, behind = record.box.astype(np.float64), crops.PLAIN, None
    changes = _Changes()
    if augmentation is not None:
        if background_probability is not None:
            augmentation = augmentation._replace(background_probability=background_probability)
        box, view = _vary_geometry(box, augmentation, seed_step_slot)
        if len(backgrounds) and record.mask_rle.size:
            behind = _draw_background(backgrounds, side_px, augmentation, seed_step_slot)
        changes = _draw_changes(augmentation, occluders, side_px, seed_step_slot)
    crop = crops.camera(stored, box, side_px, view)
    to_stored = cameras.homography(crop, stored)
    joints_mm, valid = _place_joints(record, union, crop, view.flip)
    labels_px, labels_valid = _place_labels(record, label_names, stored, crop, view.flip)
    left_to_device = {}
    if device_colour:
        left_to_device["colour"] = np.asarray(changes.stages, np.float32)
        left_to_device["erased"] = np.array(changes.erased, np.int32)
        changes = changes._replace(stages=colour.UNCHANGED)
    return {
        "image": functools.partial(_draw_image, record, to_stored, side_px, behind, changes),
        "intrinsics": np.asarray(crop.intrinsics, np.float32),
        "joints_mm": joints_mm,
        "valid": valid,
        "labels_px": labels_px,
        "labels_valid": labels_valid,
        "dataset": np.array(dataset_index, np.int32),
        **left_to_device,
    }


def stored_camera(record: CropRecord) -> cameras.Camera:
    """The camera of a record's image, in float64."""
    return cameras.create(
        record.intrinsics.astype(np.float64),
        record.rotation.astype(np.float64),
        record.position_mm.astype(np.float64),
    )


# ------------------------------------------------------------------------------------- randomness

_GEOMETRY, _PARTIAL, _BACKGROUND, _OCCLUSION, _COLOUR = range(5)


def _stream(seed_step_slot: tuple[int, int, int], which: int) -> np.random.Generator:
    """Return one of an example's independent streams.

    A counter-based generator keyed by the seed, at a counter given by the rest: distinct examples
    and streams cannot overlap, and nothing is hashed.
    """
    seed, step, slot = seed_step_slot
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, which, slot, step]))


def _vary_geometry(
    box: Float[np.ndarray, "4"], augmentation: Augmentation, seed: tuple[int, int, int]
) -> tuple[Float[np.ndarray, "4"], crops.View]:
    """Draw the box to look at and the view of it."""
    if augmentation.partial_probability:
        rng = _stream(seed, _PARTIAL)
        if rng.random() < augmentation.partial_probability:
            box = boxes.random_partial(box, rng)
    radius, angle, zoom, roll, full, flip = _stream(seed, _GEOMETRY).random(6)
    radius, angle = augmentation.shift * max(box[2:]) * np.sqrt(radius), 2 * np.pi * angle
    shift = (radius * np.cos(angle), radius * np.sin(angle), 0, 0)
    largest_roll = np.pi if full < augmentation.full_roll_probability else augmentation.roll
    view = crops.View(
        zoom=float(augmentation.zoom[0] + zoom * (augmentation.zoom[1] - augmentation.zoom[0])),
        roll=float(largest_roll * (2 * roll - 1)),
        flip=bool(flip < augmentation.flip_probability),
    )
    return box + shift, view


def _draw_background(
    backgrounds: Sequence[background.Background],
    side_px: int,
    augmentation: Augmentation,
    seed: tuple[int, int, int],
) -> Callable[[], background.Background] | None:
    """Draw whether there is a new background; the function makes the part of it to show."""
    rng = _stream(seed, _BACKGROUND)
    is_used, which = rng.random(2)
    if is_used >= augmentation.background_probability:
        return None
    return functools.partial(
        background.draw,
        backgrounds[int(which * len(backgrounds))],
        side_px,
        rng,
        zoom=augmentation.background_zoom,
        shift=augmentation.background_shift,
    )


class _Changes(NamedTuple):
    """What happens to a warped RGB image: objects, colour, an erased rectangle."""

    paste: Change | None = None
    stages: colour.Stages = colour.UNCHANGED
    erase: Change | None = None
    erased: occlusion.Rectangle = (0, 0, 0, 0)


def _draw_changes(
    augmentation: Augmentation,
    occluders: Sequence[occlusion.Occluder],
    side_px: int,
    seed: tuple[int, int, int],
) -> _Changes:
    """Draw what happens to a warped RGB image."""
    changes = _Changes()
    ranges = {name: getattr(augmentation, name) for name in colour.CHANGES}
    if any(ranges.values()):
        steps = colour.draw(_stream(seed, _COLOUR), **ranges)
        changes = changes._replace(stages=colour.stages(steps))
    rng = _stream(seed, _OCCLUSION)
    kind = occlusion.draw_kind(rng, augmentation.occlusion_probability)
    if kind == "objects" and len(occluders):
        most, scale = augmentation.max_objects, augmentation.object_scale
        paste = functools.partial(
            occlusion.paste_objects, rng=rng, occluders=occluders, max_objects=most, scale=scale
        )
        return changes._replace(paste=paste)
    if kind == "erase":
        area, aspect = augmentation.erase_area, augmentation.erase_aspect
        rectangle = occlusion.draw_rectangle(
            rng, side_px, side_px, max_area=area, max_aspect=aspect
        )
        erase = functools.partial(occlusion.erase, rng=rng, rectangle=rectangle)
        return changes._replace(erase=erase, erased=rectangle)
    return changes


# ------------------------------------------------------------------------------------------ pixels


def _draw_image(
    record: CropRecord,
    to_stored: Float[np.ndarray, "3 3"],
    side_px: int,
    behind: Callable[[], background.Background] | None,
    changes: _Changes,
) -> UInt8[np.ndarray, "{side_px} {side_px} 3"]:
    image = decoding.decode(record.image)
    if behind is None:
        image = crops.warp(image, to_stored, side_px)
    else:
        # Four channels are warped faster than three and one.
        mask = masks.decode(record.mask_rle, *image.shape[:2]) * np.uint8(255)
        four = cv2.insertChannel(mask, cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), 3)
        four = crops.warp(four, to_stored, side_px)
        person, alpha = cv2.cvtColor(four, cv2.COLOR_RGBA2RGB), cv2.extractChannel(four, 3)
        image = background.composite(person, alpha, behind())
    if changes.paste is not None:
        image = changes.paste(image)
    if changes.stages is not colour.UNCHANGED:
        image = colour.apply(image, changes.stages)
    if changes.erase is not None:
        image = changes.erase(image)
    return image


# ----------------------------------------------------------------------------------------- labels


def _place_joints(
    record: CropRecord, union: unions.JointUnion, crop: cameras.Camera, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the joints in crop camera space at their places in the union, and which are valid."""
    joints_mm = np.zeros((len(union.joint_names), 3), np.float32)
    valid = np.zeros(len(union.joint_names), bool)
    if not len(record.joints_mm):
        return joints_mm, valid
    members = members_of(record.format, len(record.joints_mm), union)
    labelled = np.isfinite(record.joints_mm).all(axis=-1) & (members >= 0)
    members = members[labelled]
    points_mm = record.joints_mm[labelled].astype(np.float64)
    joints_mm[members] = cameras.world_to_camera(crop, points_mm)
    valid[members] = True
    if flip:
        mirror = _mirror(union.joint_names)
        joints_mm, valid = joints_mm[mirror], valid[mirror]
    return joints_mm, valid


def members_of(
    format_name: str, joint_count: int, union: unions.JointUnion
) -> Int[np.ndarray, " j"]:
    """Return where in the union a record's joints belong, -1 for those of formats it has not.

    A record may hold several formats side by side, in an order of its own. A ValueError if the
    union has none of them, or the record's joints are not those of its formats.
    """
    members: list[int] = []
    for name in crop_record.formats(format_name):
        known = union.members.get(name)
        members += (-1,) * _joint_count(name) if known is None else known
    if all(place < 0 for place in members):
        raise ValueError(
            f"record's skeleton format {format_name!r} is not in the union of "
            f"{', '.join(union.members)}; add it to the config's formats or leave the dataset out"
        )
    if len(members) != joint_count:
        raise ValueError(
            f"record has {joint_count} joints but its format {format_name!r} has "
            f"{len(members)}; build the dataset again with this skeleton"
        )
    return np.array(members)


def _joint_count(format_name: str) -> int:
    """How many joints a format has that is not in use; 0 for one that nobody knows."""
    if format_name in catalogue.formats():
        return len(catalogue.load(format_name).joint_names)
    return 0


def _place_labels(
    record: CropRecord,
    label_names: tuple[str, ...],
    stored: cameras.Camera,
    crop: cameras.Camera,
    flip: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the 2D labels in the crop, in the order of label_names, and which are valid.

    Labels beyond the stored image are not valid, since nobody can have seen them; labels that the
    crop has cut off are, and it is for the loss to decide about them.
    """
    labels_px = np.zeros((len(label_names), 2), np.float32)
    valid = np.zeros(len(label_names), bool)
    if not len(record.joints_px):
        return labels_px, valid
    label_format = crop_record.format_of_px(record)
    places = _label_places(label_format, label_names)
    if len(places) != len(record.joints_px):
        raise ValueError(
            f"record has {len(record.joints_px)} 2D labels but its format {label_format!r} has "
            f"{len(places)}; build the dataset again with this label set"
        )
    height, width = decoding.size(record.image)
    end_px = np.array([width, height], np.float32) - 0.5
    # False for the unlabelled, which are NaN.
    inside = ((record.joints_px >= -0.5) & (record.joints_px <= end_px)).all(axis=-1)
    inside &= places >= 0
    points_px = record.joints_px[inside].astype(np.float64)
    labels_px[places[inside]] = cameras.reproject(stored, crop, points_px)
    valid[places[inside]] = True
    if flip:
        mirror = _mirror(label_names)
        labels_px, valid = labels_px[mirror], valid[mirror]
    return labels_px, valid


@functools.lru_cache(maxsize=16)
def _mirror(joint_names: tuple[str, ...]) -> np.ndarray:
    return skeleton.mirror_map(joint_names)


@functools.lru_cache(maxsize=64)
def _label_places(label_format: str, label_names: tuple[str, ...]) -> np.ndarray:
    """Return the index in label_names of each joint of a 2D label set, -1 for those not in use.

    The sets disagree about torso and head, so recipes supervise a selection (common_2d).
    """
    joint_names = catalogue.load(label_format).joint_names
    places = [label_names.index(name) if name in label_names else -1 for name in joint_names]
    if max(places) < 0:
        raise ValueError(
            f"label_names has none of the joints of the 2D label set {label_format!r}; "
            f"choose from {', '.join(joint_names)}"
        )
    return np.array(places)
