"""Occluders and backgrounds of the published recipe, made of photographs.

Occluders are the objects of Pascal VOC 2012 that are no people, whole, not difficult and large
enough, cut out with their masks. They are half as large as in the photographs, which is their size
in a crop of 256 px, and their rim is a quarter transparent.

Backgrounds are photographs in which the detector finds nobody: of INRIA Holidays, or any folder.
They are turned upright, cut to a square about their middle and made 512 px large.

`images.props_from_files` reads both. A picture appears only when it is complete, and backgrounds
that are there already are kept, so that an interrupted run continues.
"""

import collections
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import cv2
import numpy as np
import tqdm
from jaxtyping import Bool, UInt8

from acae_jax import messages
from acae_jax.datasets.frames_to_records import DETECTION
from acae_jax.images import decoding
from acae_jax.images.resizing import resize
from acae_jax.inference.detection import Detector

VOC = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012"
LEAST_OBJECT_PX = 500  # pixels of a mask
RIM_PX = 8  # diameter of what erodes a mask; what falls away is the rim
RIM_ALPHA = 191
BACKGROUND_PX = 512
JPEG_QUALITY = 95
LONGEST_XML = 1 << 20
MOST_NAMED = 20
PHOTOGRAPHS = (".jpg", ".jpeg", ".png")


class Made(NamedTuple):
    """How many pictures there are, what was left out and how often, and which files are broken."""

    pictures: int
    left_out: dict[str, int]
    broken: tuple[str, ...]

    def told(self) -> str:
        """A line about all, and one for each broken file (of many, the first)."""
        left_out = ", ".join(f"{count} {why}" for why, count in sorted(self.left_out.items()))
        head = f"{self.pictures} pictures; left out: {left_out or 'nothing'}"
        return "\n".join([head, *self.broken[:MOST_NAMED]])


def write_occluders(voc: Path, out: Path) -> Made:
    """Write the objects of Pascal VOC in the folder of its release as PNG files with alpha.

    ValueError if the release is not there or has no usable object. Broken photographs are named.
    """
    masks = sorted(voc.glob("**/SegmentationObject/*.png"))
    if not masks:
        raise ValueError(f"{voc} has no SegmentationObject/*.png; unpack VOC 2012 there ({VOC})")
    left_out: collections.Counter[str] = collections.Counter()
    pictures, broken = 0, []
    for path in tqdm.tqdm(masks, "occluders", unit="photographs"):
        try:
            found = list(_objects(path))
        except (ValueError, OSError) as error:
            left_out["broken"] += 1
            broken.append(f"{path}: {messages.one_line(error)}")
            continue
        for number, kind, picture in found:
            if picture is None:
                left_out[kind] += 1
            else:
                _save(out / f"{path.stem}_{number}.png", picture)
                pictures += 1
    made = Made(pictures, dict(left_out), tuple(broken))
    if not pictures:
        raise ValueError(f"{voc} has no usable object ({made.told()}); is it VOC 2012 ({VOC})?")
    return made


def write_backgrounds(photographs: Path, out: Path, detector: Detector) -> Made:
    """Write the photographs without people in a folder and its subfolders as JPEG files.

    ValueError if there is none. Broken photographs are named.
    """
    paths = sorted(p for p in photographs.rglob("*") if p.suffix.lower() in PHOTOGRAPHS)
    left_out: collections.Counter[str] = collections.Counter()
    pictures, broken = 0, []
    for path in tqdm.tqdm(paths, "backgrounds", unit="photographs"):
        target = out / (re.sub(r"\W", "_", str(path.relative_to(photographs))) + ".jpg")
        if not target.exists():
            try:
                image = decoding.decode_upright(path.read_bytes())
            except (ValueError, OSError) as error:
                left_out["broken"] += 1
                broken.append(f"{path}: {messages.one_line(error)}")
                continue
            if len(detector([image], *DETECTION.values())[0]):
                left_out["with people"] += 1
                continue
            _save(target, square(image))
        pictures += 1
    made = Made(pictures, dict(left_out), tuple(broken))
    if not pictures:
        raise ValueError(f"{photographs} has no photograph without people ({made.told()})")
    return made


def cut_out(
    image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "_h _w 4"]:
    """The pixels of a mask, half as large, with straight alpha."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    part = (slice(y, y + height), slice(x, x + width))
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (RIM_PX, RIM_PX))
    inner = cv2.erode(mask.astype(np.uint8), brush) > 0
    alpha = np.where(inner, 255, np.where(mask, RIM_ALPHA, 0)).astype(np.float32)[part]
    size = max(1, width // 2), max(1, height // 2)
    colours = cv2.resize(image[part] * alpha[..., None], size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    colours /= np.maximum(alpha, 1e-3)[..., None]
    return np.rint(np.dstack([np.minimum(colours, 255), alpha])).astype(np.uint8)


def square(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "512 512 3"]:
    """The largest square about an image's middle, 512 px large."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    part = image[top : top + side, left : left + side]
    return resize(part, BACKGROUND_PX, BACKGROUND_PX)


def _objects(path: Path) -> Iterator[tuple[int, str, UInt8[np.ndarray, "h w 4"] | None]]:
    """Each object of a photograph: its number, and its picture or why it has none."""
    stem, release = path.stem, path.parent.parent
    description = (release / f"Annotations/{stem}.xml").read_bytes()
    if len(description) > LONGEST_XML:
        raise ValueError(f"Annotations/{stem}.xml has {len(description)} bytes; that is too much")
    try:
        described = ElementTree.fromstring(description).findall("object")
    except ElementTree.ParseError as error:
        raise ValueError(f"Annotations/{stem}.xml is no XML: {error}") from None
    drawn = decoding.decode(path.read_bytes())
    image = decoding.decode((release / f"JPEGImages/{stem}.jpg").read_bytes())
    if image.shape != drawn.shape:
        raise ValueError("the mask and the photograph differ in size")
    for number, one in enumerate(described, start=1):
        mask = (drawn == _colour(number)).all(axis=-1)
        kind = _unusable(one) or ("small" if mask.sum() < LEAST_OBJECT_PX else "")
        yield number, kind, None if kind else cut_out(image, mask)


def _unusable(described: ElementTree.Element) -> str:
    if described.findtext("name", "").strip() == "person":
        return "people"
    for kind in ("difficult", "truncated"):
        if described.findtext(kind, "0").strip() != "0":
            return kind
    return ""


def _colour(number: int) -> UInt8[np.ndarray, "3"]:
    """The colour of an index in VOC's palette: its bits by turns in red, green and blue, the lowest
    three as the highest."""
    colour = [0, 0, 0]
    for bit in range(8):
        colour[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return np.array(colour, np.uint8)


def _save(path: Path, picture: UInt8[np.ndarray, "h w c"]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    encoded = cv2.imencode(path.suffix, cv2.cvtColor(picture, order), options)[1].tobytes()
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(encoded)
    partial.replace(path)
