"""What a builder of an official dataset says about it, and what it gives: people in frames.

A builder is a module in `datasets.official` with three names (that room's docstring shows how to
write one):

    RELEASE                  a `Release`: facts, and rules for boxes, crops and masks
    units(raw)               the `Unit`s of work in the folder of the release
    frames(raw, unit)        the `Frame`s of a unit, lazily, without those that sampling leaves out

All else – boxes, crops, masks, records, files – is the same for all datasets.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from acae_jax.datasets.steps.person_boxes import BoxRule
from acae_jax.datasets.steps.stored_crop import Cropping
from acae_jax.geometry import cameras
from acae_jax.skeletons import catalogue
from acae_jax.skeletons.skeleton import Skeleton

Pixels = UInt8[np.ndarray, "h w 3"] | Callable[[], UInt8[np.ndarray, "h w 3"]]
"""RGB pixels, or a function that reads them. If it raises ValueError, OSError or LookupError, the
frame is named, counted and left out. Give a function for files of single images."""

Mask = UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"]
Masked = Mask | Callable[[], Mask]
"""Which pixels of a frame show a person (nonzero), or a function that tells."""

Z_UP, Y_UP, Y_DOWN = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)
"""World's up where z or y points up, or y points down."""


class Unit(NamedTuple):
    """A part of a dataset that one process makes in seconds to minutes, such as a video.

    `name` is unique in the dataset, "S1/Walking 1.54138969", and all that `frames` needs to find
    its files.
    """

    name: str
    split: str


class Person(NamedTuple):
    """A person in a frame.

    id          within the clip
    joints_mm   in the world, in the dataset's own order; NaN = not labelled; (0, 3) without 3D
    joints_px   the release's own 2D labels, px of the frame; NaN = not labelled. Without 3D labels
                they are what is learned. With them they are of the same joints, and only check the
                camera: None if there are none.
    box         x, y, w, h in px of the frame, if the release gives one or it follows from its masks
    mask        if the release gives one
    is_kept     whether this person makes a record. If not, it takes part in the matching of
                detections only.
    is_hidden   whether things hide most of it, for rules of boxes that ask
    """

    id: str
    joints_mm: Float[np.ndarray, "j 3"]
    joints_px: Float[np.ndarray, "k 2"] | None = None
    box: Float[np.ndarray, "4"] | None = None
    mask: Masked | None = None
    is_kept: bool = True
    is_hidden: bool = False


class Frame(NamedTuple):
    """An image with its people. A record's key is made of clip, camera, index and person.

    camera        of the image as it is, with its lens; None for 2D datasets without one
    index         of the clip's video, from 0
    up            the world's up
    cropping      of this image, where it is not the release's
    """

    image: Pixels
    camera: cameras.Camera | None
    people: tuple[Person, ...]
    clip: str
    index: int
    camera_name: str = ""
    up: tuple[float, float, float] = Y_DOWN
    cropping: Cropping | None = None


def broken(error: ValueError | OSError, clip: str, index: int, camera_name: str = "") -> Frame:
    """A frame in place of one whose labels cannot be read: it is named, counted and left out."""

    def image() -> UInt8[np.ndarray, "h w 3"]:
        raise error

    return Frame(image, None, (), clip, index, camera_name)


class Published(NamedTuple):
    """A number of records of some splits together, before implausible poses are left out."""

    records: int
    splits: tuple[str, ...] = ("train",)


class Release(NamedTuple):
    """What is known of a dataset before its files are read.

    name        of the dataset, as in the mixtures
    version     of what the builder makes: raise it when records change
    access      licence, and how to get the files
    size        rough size of the download
    layout      globs below the folder of the release that must all find something
    format      what a record's `format` says: a dataset or a label set of the catalogue
    quota       slots in a batch of 128 of the recipe
    boxes       how people's boxes are found (`steps.person_boxes`)
    cropping    departures from the usual stored crop
    finds_masks whether the landmark network makes masks where the release gives none
    body_models files that must lie, or be linked, in <raw>/body_models
    published   how many records PosePile's public code says that it makes of the same splits
    drops_implausible   whether training records need bones of possible lengths, and joints in
                their box

    Of users' own recordings (`datasets.own`) only:

    skeleton          of the labels, which need not be in the catalogue
    largest_error_px  by which 3D labels may miss 2D labels in the median
    content           a checksum of what is built: a dataset of other content is another one
    """

    name: str
    title: str
    version: str
    url: str
    access: str
    size: str
    layout: tuple[str, ...]
    format: str
    quota: int
    boxes: BoxRule
    cropping: Cropping = Cropping()
    finds_masks: bool = True
    body_models: tuple[str, ...] = ()
    drops_implausible: bool = True
    published: Published | None = None
    skeleton: Skeleton | None = None
    largest_error_px: float = 2.0
    content: str = ""


@runtime_checkable
class Builder(Protocol):
    """A module of `datasets.official`."""

    RELEASE: Release

    def units(self, raw: Path) -> tuple[Unit, ...]:
        """The units in a folder whose layout was checked; ValueError, in one line, if files are
        missing or of another version."""
        ...

    def frames(self, raw: Path, unit: Unit) -> Iterator[Frame]:
        """The frames of a unit, each read when it is asked for.

        What it raises as ValueError, OSError or LookupError ends the unit, and is counted."""
        ...


def skeleton(release: Release) -> Skeleton:
    """The joints of the labels, in the order of the records, and their bones."""
    if release.skeleton is not None:
        return release.skeleton
    if release.format in catalogue.datasets():
        return catalogue.dataset_skeleton(release.format)
    return catalogue.load(release.format)


def joint_names(release: Release) -> tuple[str, ...]:
    """The joints of the labels, in the order of the records."""
    return skeleton(release).joint_names


def bones(release: Release) -> tuple[tuple[int, int], ...]:
    """The pairs of these joints that are bones."""
    return skeleton(release).edges


def check_layout(release: Release, raw: Path) -> None:
    """Raise ValueError, in one line, unless the folder has the files of the release."""
    if not raw.is_dir():
        raise ValueError(f"{release.name}: there is no folder {raw}; give the release by --raw")
    missing = [pattern for pattern in release.layout if next(raw.glob(pattern), None) is None]
    if missing:
        raise ValueError(
            f"{release.name}: nothing in {raw} fits {', '.join(missing)}; unpack the release there "
            f"({release.url}: {release.access})"
        )
    for name in release.body_models:
        if not (raw / "body_models" / name).exists():
            raise ValueError(
                f"{release.name}: no body model {raw / 'body_models' / name}; get it from "
                "https://smpl.is.tue.mpg.de, https://mano.is.tue.mpg.de (SMPL-H) or "
                "https://smpl-x.is.tue.mpg.de, and put or link it there"
            )
