"""A picture of all embedded datasets: a row of crops each, with the labelled skeletons drawn on."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from acae_jax.data import sources
from acae_jax.datasets import record_pictures
from acae_jax.datasets.synthetic import build

_TITLE_PX = 22


def write(path: str | Path, folders: Sequence[Path], columns: int = 6) -> None:
    """Writes the sheet as PNG: a row for each dataset folder."""
    rows = []
    for folder in folders:
        name = folder.parent.name
        source = sources.Source(name, folder, build.split(name))
        row = [source[i] for i in range(min(columns, len(source)))]
        names, edges = record_pictures.skeleton(row[0].format)
        tiles = [record_pictures.draw(record, names, edges) for record in row]
        tiles += [np.zeros_like(tiles[0])] * (columns - len(tiles))
        strip = np.concatenate(tiles, axis=1)
        title = np.full((_TITLE_PX, strip.shape[1], 3), 255, np.uint8)
        count = len(names)
        text = f"{name}   {row[0].format}, {count} joints   {len(source)} records"
        cv2.putText(title, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, strip]
    ok, encoded = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])
    if not ok:
        raise ValueError("OpenCV could not encode the contact sheet as PNG")
    Path(path).write_bytes(encoded.tobytes())
