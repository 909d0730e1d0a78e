"""A picture of all embedded datasets: a row of crops each, with the labelled skeletons drawn on."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax.data import crop_record, sources
from acae_jax.datasets.synthetic import build
from acae_jax.geometry import cameras
from acae_jax.images import decoding
from acae_jax.skeletons import catalogue

_COLOURS = {"l": (60, 150, 255), "r": (255, 120, 40)}  # RGB
_CENTRAL = (255, 255, 255)
_ZOOM = 2
_FINE = 3  # fractional bits of drawn positions
_TITLE_PX = 22


def joints_px(record: crop_record.CropRecord) -> Float[np.ndarray, "j 2"]:
    """A record's joints in its stored crop, 3D-labelled or 2D-labelled."""
    if len(record.joints_px):
        return record.joints_px
    camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
    return cameras.project(camera, record.joints_mm)


def skeleton(format_name: str) -> tuple[tuple[str, ...], list[tuple[int, int]]]:
    """Joint names and edges of a record's format, or of several side by side."""
    names: list[str] = []
    edges: list[tuple[int, int]] = []
    for name in crop_record.formats(format_name):
        part = catalogue.load(name)
        edges += [(a + len(names), b + len(names)) for a, b in part.edges]
        names += part.joint_names
    return tuple(names), edges


def draw(record: crop_record.CropRecord) -> UInt8[np.ndarray, "h w 3"]:
    """A record's crop, enlarged, with its joints and edges."""
    image = decoding.decode(record.image)
    image = cv2.resize(image, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_CUBIC)
    points = (joints_px(record) + 0.5) * _ZOOM - 0.5
    names, edges = skeleton(record.format)
    has_label = [bool(np.isfinite(point).all()) for point in points]
    places = [(int(x), int(y)) for x, y in np.round(np.nan_to_num(points) * 2**_FINE)]
    width = 1 if len(names) > 60 else 2
    for a, b in edges:
        if has_label[a] and has_label[b]:
            tint = _COLOURS.get(names[b][0], _CENTRAL)
            cv2.line(image, places[a], places[b], tint, width, cv2.LINE_AA, _FINE)
    for index in range(len(names)):
        if not has_label[index]:
            continue
        tint = _COLOURS.get(names[index][0], _CENTRAL)
        cv2.circle(image, places[index], 2 << _FINE, tint, -1, cv2.LINE_AA, _FINE)
    return image


def write(path: str | Path, folders: Sequence[Path], columns: int = 6) -> None:
    """Writes the sheet as PNG: a row for each dataset folder."""
    rows = []
    for folder in folders:
        name = folder.parent.name
        source = sources.Source(name, folder, build.split(name))
        row = [source[i] for i in range(min(columns, len(source)))]
        tiles = [draw(record) for record in row]
        tiles += [np.zeros_like(tiles[0])] * (columns - len(tiles))
        strip = np.concatenate(tiles, axis=1)
        title = np.full((_TITLE_PX, strip.shape[1], 3), 255, np.uint8)
        count = len(skeleton(row[0].format)[0])
        text = f"{name}   {row[0].format}, {count} joints   {len(source)} records"
        cv2.putText(title, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, strip]
    ok, encoded = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])
    if not ok:
        raise ValueError("OpenCV could not encode the contact sheet as PNG")
    Path(path).write_bytes(encoded.tobytes())
