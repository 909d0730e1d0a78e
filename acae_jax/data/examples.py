"""A stored record → a training example: decode, crop, augment, place the labels.

This runs on the host, in NumPy. Image and labels go through the same crop camera, so an example's
`joints_mm`, projected with its `intrinsics`, lie on the joints in its image. That holds for
mirrored examples too: their crop camera has a negated x axis, and left and right labels are
swapped.

Randomness is a pure function of (seed, step, slot). Each kind of augmentation has its own stream
of random numbers and always reads the same numbers of it, so switching one off does not change the
others.

Order of the pixel operations: warp, background, pasted objects, colour, erased rectangle.

The small arithmetic comes first, and the image is made only when its function is called. So a
batch can do the arithmetic of all its examples in one go. Between images it would take several
times as long, because images push the interpreter's code and data out of the processor's caches.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax.data import labels
from acae_jax.data.crop_record import CropRecord
from acae_jax.geometry import boxes, cameras
from acae_jax.images import background, colour, crops, decoding, masks, occlusion
from acae_jax.skeletons import union as unions

Change = Callable[[UInt8[np.ndarray, "s s 3"]], UInt8[np.ndarray, "s s 3"]]


class Augmentation(NamedTuple):
    """Ranges and probabilities of the augmentation; the defaults are those of the published recipe
    for 28 datasets (MeTRAbs-ACAE).

    A range is a pair, or the largest change in either direction. Angles are in radians.
    """

    shift: float = 0.1  # radius of the disc for the box centre, in longer box sides
    zoom: tuple[float, float] = (0.75, 1.25)
    roll: float = np.pi / 9  # 20 degrees
    full_roll_probability: float = 0.0  # of a roll within ± 180 degrees instead
    flip_probability: float = 0.5
    partial_probability: float = 0.0  # of showing only a part of the person
    background_probability: float = 0.7  # of a new background, where there is a mask
    background_zoom: tuple[float, float] = (1.2, 1.5)
    background_shift: float = 0.1  # in crop sides
    occlusion_probability: float = 0.5  # half of them pasted objects, half an erased rectangle
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
    """Make one example with its image at once; the settings are those of `arrange`."""
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
    """Make one example, with a function in place of its image.

    The result is a dict; the union has J joints, `label_names` K names:

    image         function without arguments, to be called once: uint8 (side, side, 3), RGB
    intrinsics    float32 (3, 3) of the crop camera
    joints_mm     float32 (J, 3) in the crop camera's space, 0 where not valid
    valid         bool (J,)
    labels_px     float32 (K, 2) in the crop, 0 where not valid
    labels_valid  bool (K,)
    dataset       int32
    colour        float32 (5, 2), with `device_colour`: the stages for `images.device_colour`
    erased        int32 (4,), with `device_colour`: the rectangle that keeps its colour

    `augmentation` None gives the clean crop. `background_probability` replaces the augmentation's,
    for datasets that have realistic backgrounds already. Without occluders or backgrounds, these
    changes are left out. Raises ValueError, also from the image's function, for an unreadable
    image and for labels that do not fit their format.
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
    joints_mm, valid = labels.place_joints(record, union, crop, view.flip)
    labels_px, labels_valid = labels.place_labels_2d(record, label_names, stored, crop, view.flip)
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
    """Return one of an example's independent streams of random numbers.

    The generator is counter-based: the seed is its key, and step, slot and stream are its counter.
    So different examples and streams cannot overlap, and nothing needs a hash.
    """
    seed, step, slot = seed_step_slot
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, which, slot, step]))


def _vary_geometry(
    box: Float[np.ndarray, "4"], augmentation: Augmentation, seed: tuple[int, int, int]
) -> tuple[Float[np.ndarray, "4"], crops.View]:
    """Draw the box of the crop, and its zoom, roll and flip."""
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
    """Draw a new background, or none; the function makes the part of it that is visible."""
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
    """The changes to a warped RGB image: pasted objects, colour, an erased rectangle."""

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
    """Draw the changes to a warped RGB image."""
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
