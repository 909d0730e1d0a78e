"""The tiles of a contact sheet: crops with skeleton, box and mask, as images within a page."""

import base64
from collections.abc import Iterator
from html import escape

import cv2
import numpy as np
from jaxtyping import UInt8

from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets import record_pictures
from acae_jax.datasets.record_pictures import Edges, Names
from acae_jax.images import decoding, masks

SIDE_PX = 320  # the longer one
BOX, MASK = (255, 255, 0), (0, 220, 90)  # RGB
JPEG_QUALITY = 85


def html(records: tuple[CropRecord, ...], joint_names: Names, edges: Edges) -> str:
    """The tiles with their keys below; records whose image is broken have only their key."""
    return f'<div class="sheet">{"".join(_figures(records, joint_names, edges))}</div>'


def _figures(records: tuple[CropRecord, ...], joint_names: Names, edges: Edges) -> Iterator[str]:
    for record in records:
        try:
            shown = f'<img alt="" src="{data_uri(tile(record, joint_names, edges))}">'
        except ValueError as error:
            shown = f"<p>{escape(str(error))}</p>"
        yield f"<figure>{shown}<figcaption>{escape(record.key)}</figcaption></figure>"


def tile(record: CropRecord, joint_names: Names, edges: Edges) -> UInt8[np.ndarray, "h w 3"]:
    """A record's crop with its mask's outline, its box and its skeleton."""
    height, width = decoding.size(record.image)
    zoom = SIDE_PX / max(height, width)
    image = record_pictures.draw(record, joint_names, edges, zoom)
    if len(record.mask_rle):
        mask = masks.decode(record.mask_rle, height, width)
        mask = cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, MASK, 1, cv2.LINE_AA)
    corners = np.stack([record.box[:2], record.box[:2] + record.box[2:]])
    first, second = map(record_pictures.fine, record_pictures.enlarged(corners, zoom))
    cv2.rectangle(image, first, second, BOX, 1, cv2.LINE_AA, record_pictures.FINE)
    return image


def data_uri(image: UInt8[np.ndarray, "h w 3"]) -> str:
    """An image as JPEG within a page."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], options)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
