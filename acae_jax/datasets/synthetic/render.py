"""A small software rasteriser: triangles to visible pixels, exact and vectorised in numpy.

Conventions: image points are in px with pixel centres at integers; depth grows away from the
camera; triangles are counter-clockwise as seen from outside.

A body at crop size has triangles of one or two pixels. So polygons are not filled in a loop: every
triangle becomes the pixels of its bounding box, all of these are tested at once, and
`np.minimum.at` keeps the nearest. Shading is deferred: only visible pixels are coloured.
Interpolation is affine inside a triangle; across two pixels perspective does not matter.
"""

import functools
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

_DEPTH_STEPS_PER_MM = 16.0
_EDGE = 1e-4  # rounding must not open a seam between triangles


class Visible(NamedTuple):
    """The visible pixels of a mesh on a square canvas."""

    pixels: Int[np.ndarray, " n"]  # flat index y * side + x
    faces: Int[np.ndarray, " n"]
    weights: Float[np.ndarray, "n 3"]  # barycentric, of the face's corners


class Light(NamedTuple):
    """One directional lamp and a sky: colours are linear RGB multipliers."""

    direction: Float[np.ndarray, "3"]  # unit, from the scene towards the lamp, world
    lamp: Float[np.ndarray, "3"]
    sky: Float[np.ndarray, "3"]  # ambient from above
    ground: Float[np.ndarray, "3"]  # ambient from below


def rasterise(
    points_px: Float[np.ndarray, "v 2"],
    depth_mm: Float[np.ndarray, " v"],
    faces: Int[np.ndarray, "f 3"],
    side_px: int,
) -> Visible:
    """Finds the nearest front-facing triangle at every pixel centre of a square canvas.

    A triangle with a corner behind the camera (depth below 1 mm) is left out.
    """
    corners = points_px.astype(np.float32)[faces]
    depths = depth_mm.astype(np.float32)[faces]
    u = corners[:, 1] - corners[:, 0]
    v = corners[:, 2] - corners[:, 0]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    # Two calls each: a reduction over an axis of length three takes five times as long.
    first, second, third = corners[:, 0], corners[:, 1], corners[:, 2]
    low = np.ceil(np.minimum(np.minimum(first, second), third))
    high = np.floor(np.maximum(np.maximum(first, second), third))
    np.clip(low, 0, side_px, out=low)
    np.clip(high, -1, side_px - 1, out=high)
    size = high - low + 1
    # y points down in the image, so outward counter-clockwise triangles have negative area.
    is_front = (area < -1e-6) & (size[:, 0] > 0) & (size[:, 1] > 0) & (depths > 1).all(axis=1)
    front = np.flatnonzero(is_front)
    if front.size == 0:
        return Visible(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3), np.float32))
    plane = _barycentric_planes(corners[front, 0], u[front], v[front], area[front])
    d = depths[front]
    d = np.stack([d[:, 0], d[:, 1] - d[:, 0], d[:, 2] - d[:, 0]], axis=1)

    row, x, y = _pixels_of_boxes(low[front], size[front])
    p = plane[row]
    second = p[:, 0] * x + p[:, 1] * y + p[:, 2]
    third = p[:, 3] * x + p[:, 4] * y + p[:, 5]
    smallest = np.minimum(np.minimum(second, third), 1 - second - third)
    inside = np.flatnonzero(smallest >= -_EDGE)
    row, second, third = row[inside], second[inside], third[inside]
    pixel = (y[inside] * side_px + x[inside]).astype(np.int64)
    d = d[row]
    z = d[:, 0] + second * d[:, 1] + third * d[:, 2]
    key = (z * _DEPTH_STEPS_PER_MM).astype(np.uint64) << np.uint64(32)
    key |= np.arange(row.size, dtype=np.uint64)
    empty = np.iinfo(np.uint64).max
    nearest = np.full(side_px * side_px, empty, np.uint64)
    np.minimum.at(nearest, pixel, key)
    pixels = np.flatnonzero(nearest != empty)
    winner = (nearest[pixels] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    second, third = second[winner], third[winner]
    weights = np.stack([1 - second - third, second, third], axis=1).astype(np.float32)
    return Visible(pixels, front[row[winner]], weights)


def _pixels_of_boxes(low, size):
    """Index of the box, x and y of every pixel of the boxes, as whole float32 numbers."""
    width = size[:, 0].astype(np.int32)
    count = width * size[:, 1].astype(np.int32)
    row = np.repeat(np.arange(len(size)), count)
    start = np.cumsum(count) - count
    down, right = np.divmod(
        np.arange(row.size, dtype=np.int32) - start.astype(np.int32)[row], width[row]
    )
    corner = low[row]
    return row, corner[:, 0] + right.astype(np.float32), corner[:, 1] + down.astype(np.float32)


def _barycentric_planes(origin, u, v, area):
    """Coefficients of x, y and 1 in the second and third barycentric coordinate."""
    a2, b2 = v[:, 1] / area, -v[:, 0] / area
    a3, b3 = -u[:, 1] / area, u[:, 0] / area
    c2 = -(a2 * origin[:, 0] + b2 * origin[:, 1])
    c3 = -(a3 * origin[:, 0] + b3 * origin[:, 1])
    return np.stack([a2, b2, c2, a3, b3, c3], axis=1)


def vertex_normals(
    vertices_mm: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> Float[np.ndarray, "v 3"]:
    """Area-weighted unit normals of a mesh's vertices; zero where a vertex has no face."""
    a, b, c = (vertices_mm[faces[:, k]] for k in range(3))
    face_normals = np.cross(b - a, c - a)
    flat = faces.T.reshape(-1)
    sums = [np.bincount(flat, np.tile(face_normals[:, k], 3), len(vertices_mm)) for k in range(3)]
    normals = np.stack(sums, axis=1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def interpolate(
    visible: Visible, values: Float[np.ndarray, "v c"], faces: Int[np.ndarray, "f 3"]
) -> Float[np.ndarray, "n c"]:
    """Values of the vertices, interpolated at the visible pixels."""
    corner = faces[visible.faces]
    w = visible.weights
    return (
        w[:, :1] * values[corner[:, 0]]
        + w[:, 1:2] * values[corner[:, 1]]
        + (w[:, 2:] * values[corner[:, 2]])
    )


def shade(
    albedo: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    view: Float[np.ndarray, "3"],
    light: Light,
    gloss: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n 3"]:
    """Diffuse lamp with a soft terminator, hemispherical ambient, and a small highlight.

    `normals` need not be unit length; `view` is the unit direction from the scene to the camera;
    world axes with y up. Linear RGB in and out.
    """
    length = np.sqrt(np.einsum("nk,nk->n", normals, normals))
    normals = normals / np.maximum(length, 1e-9)[:, None]
    facing = np.maximum((normals @ light.direction + 0.15) / 1.15, 0)
    up = 0.5 + 0.5 * normals[:, 1:2]
    colour = albedo * (light.lamp * facing[:, None] + light.sky * up + light.ground * (1 - up))
    half = light.direction + view
    half = half / max(float(np.linalg.norm(half)), 1e-9)
    highlight = np.maximum(normals @ half, 0) ** 24 * gloss * (facing > 0)
    return colour + light.lamp * highlight[:, None]


def to_canvas(
    visible: Visible, colours: Float[np.ndarray, "n 3"], side_px: int, supersampling: int
) -> tuple[Float[np.ndarray, "s s 3"], Float[np.ndarray, "s s"]]:
    """Averages the shaded pixels of a supersampled canvas to premultiplied colour and coverage."""
    big = side_px * supersampling
    canvas = np.zeros((big * big, 4), np.float32)
    canvas[visible.pixels, :3] = colours
    canvas[visible.pixels, 3] = 1
    canvas = canvas.reshape(big, big, 4)
    if supersampling > 1:
        canvas = cv2.resize(canvas, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return canvas[..., :3], canvas[..., 3]


def encode_srgb(linear: Float[np.ndarray, "*s"]) -> UInt8[np.ndarray, "*s"]:
    """Linear values in [0, 1] to 8 bit with gamma 2.2 (the gamma that crops are resampled in)."""
    return _gamma_table()[(np.clip(linear, 0, 1) * 65535 + 0.5).astype(np.int32)]


@functools.cache
def _gamma_table() -> UInt8[np.ndarray, "65536"]:
    return np.round(255 * (np.arange(65536) / 65535) ** (1 / 2.2)).astype(np.uint8)


def silhouette(coverage: Float[np.ndarray, "s s"]) -> Bool[np.ndarray, "s s"]:
    """The mask of a layer: pixels covered by at least a half."""
    return coverage >= 0.5
