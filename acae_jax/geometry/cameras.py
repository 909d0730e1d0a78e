"""Pinhole cameras with OpenCV's lens distortion, and the changes that augmentation makes to them.

Conventions, held in the whole package:

* 3D lengths are millimetres, image lengths pixels, angles radians.
* Camera space: x right, y down, z forward. `rotation` takes world directions to camera space and
  `position_mm` is the camera's centre in the world: p_camera = rotation (p_world - position_mm).
* Pixel centres lie at integers: an image of width w spans [-0.5, w - 0.5] and its centre, the
  principal point of a crop, is (w - 1) / 2.
* `intrinsics` is upper triangular with last row (0, 0, 1); it acts on distorted (x/z, y/z).
* `distortion` is OpenCV's k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4; zeros mean none.
* A flipped camera has its x axis negated, so that its rotation has determinant -1.
* A camera may have a leading batch shape `*b`. Points are (*b, *p, 3) or (*b, *p, 2): each camera
  sees its own block of points; one unbatched camera sees them all.

Cameras are values: every function returns a new one. Functions that change where a camera looks
(`turn_towards`, `roll`, `flip`, `zoom`, …) keep its centre, so an image of the old camera can be
warped into an image of the new one (`homography`, `reproject`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax.geometry import lens, rotations
from acae_jax.geometry.arrays import Array, matmul, namespace, spread, transform

# Points closer to the camera plane than this are projected as if they were this far in front of
# it: finite values and gradients for points that the caller will mask out anyway.
NEAREST_MM = 1e-3


class Camera(NamedTuple):
    """A camera or a batch of them; see the module's conventions."""

    intrinsics: Float[Array, "*b 3 3"]
    rotation: Float[Array, "*b 3 3"]
    position_mm: Float[Array, "*b 3"]
    distortion: Float[Array, "*b 12"]


# ------------------------------------------------------------------------------------- making one


def create(
    intrinsics: Float[Array, "*b 3 3"],
    rotation: Float[Array, "*b 3 3"] | None = None,
    position_mm: Float[Array, "*b 3"] | None = None,
    distortion: Float[Array, "*b k"] | None = None,
) -> Camera:
    """Make a camera, by default undistorted at the world's origin with the world's axes.

    Distortion may stop early, after 4, 5, 8 or 12 coefficients, as OpenCV allows.
    """
    xp = namespace(intrinsics, rotation, position_mm, distortion)
    batch, dtype = intrinsics.shape[:-2], intrinsics.dtype
    if rotation is None:
        rotation = xp.broadcast_to(xp.eye(3, dtype=dtype), (*batch, 3, 3))
    if position_mm is None:
        position_mm = xp.zeros((*batch, 3), dtype)
    if distortion is None:
        distortion = xp.zeros((*batch, 12), dtype)
    elif distortion.shape[-1] not in (4, 5, 8, 12):
        raise ValueError(
            f"distortion has {distortion.shape[-1]} coefficients; give 4, 5, 8 or 12 "
            "(OpenCV's k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4)"
        )
    elif distortion.shape[-1] < 12:
        missing = 12 - distortion.shape[-1]
        zeros = xp.zeros((*distortion.shape[:-1], missing), distortion.dtype)
        distortion = xp.concat([distortion, zeros], axis=-1)
    return Camera(intrinsics, rotation, position_mm, distortion)


def field_of_view(angle: float, width_px: int, height_px: int) -> Float[np.ndarray, "3 3"]:
    """Return float32 intrinsics whose longer image side spans `angle`, centred on the image."""
    longer = max(width_px, height_px)
    focal = longer / (2 * np.tan(angle / 2))
    rows = [[focal, 0, (width_px - 1) / 2], [0, focal, (height_px - 1) / 2], [0, 0, 1]]
    return np.array(rows, np.float32)


# --------------------------------------------------------------------------- points and directions


def world_to_camera(camera: Camera, points_mm: Float[Array, "*p 3"]) -> Float[Array, "*p 3"]:
    """Express world points in camera space."""
    shared = points_mm.ndim - camera.position_mm.ndim
    return transform(camera.rotation, points_mm - spread(camera.position_mm, shared, core=1))


def camera_to_world(camera: Camera, points_mm: Float[Array, "*p 3"]) -> Float[Array, "*p 3"]:
    """Express camera-space points in the world."""
    shared = points_mm.ndim - camera.position_mm.ndim
    # A rotation's inverse is its transpose, for flipped cameras too.
    return transform(camera.rotation.mT, points_mm) + spread(camera.position_mm, shared, core=1)


def project(camera: Camera, world_points_mm: Float[Array, "*p 3"]) -> Float[Array, "*p 2"]:
    """Project world points to pixels."""
    return camera_to_image(camera, world_to_camera(camera, world_points_mm))


def camera_to_image(camera: Camera, points_mm: Float[Array, "*p 3"]) -> Float[Array, "*p 2"]:
    """Project camera-space points to pixels.

    Points within a micrometre of the camera plane are projected as if a micrometre in front of it;
    points behind it are projected through the centre, as the formula has it.
    """
    xp = namespace(points_mm, camera.intrinsics)
    depth = points_mm[..., 2:]
    depth = xp.where(xp.abs(depth) < NEAREST_MM, xp.asarray(NEAREST_MM, depth.dtype), depth)
    plane = points_mm[..., :2] / depth
    return to_px(camera.intrinsics, lens.distort(camera.distortion, plane))


def image_to_camera(camera: Camera, points_px: Float[Array, "*p 2"]) -> Float[Array, "*p 3"]:
    """Return the camera-space rays (x, y, 1) seen at the pixels, with distortion undone."""
    xp = namespace(points_px, camera.intrinsics)
    plane = lens.undo_distortion(camera.distortion, to_plane(camera.intrinsics, points_px))
    return xp.concat([plane, xp.ones_like(plane[..., :1])], axis=-1)


def to_px(intrinsics: Float[Array, "*b 3 3"], plane: Float[Array, "*p 2"]) -> Float[Array, "*p 2"]:
    """Map points (x/z, y/z) of the image plane to pixels."""
    shared = plane.ndim - intrinsics.ndim + 1
    return transform(intrinsics[..., :2, :2], plane) + spread(
        intrinsics[..., :2, 2], shared, core=1
    )


def to_plane(
    intrinsics: Float[Array, "*b 3 3"], points_px: Float[Array, "*p 2"]
) -> Float[Array, "*p 2"]:
    """Map pixels to points (x/z, y/z) of the image plane."""
    xp = namespace(points_px, intrinsics)
    k = spread(intrinsics, points_px.ndim - intrinsics.ndim + 1, core=2)
    y = (points_px[..., 1] - k[..., 1, 2]) / k[..., 1, 1]
    x = (points_px[..., 0] - k[..., 0, 2] - k[..., 0, 1] * y) / k[..., 0, 0]
    return xp.stack([x, y], axis=-1)


# --------------------------------------------------------------------------------- changing cameras


def turn_towards(
    camera: Camera,
    *,
    image_point_px: Float[Array, "*b 2"] | None = None,
    world_point_mm: Float[Array, "*b 3"] | None = None,
    up: Float[Array, "*b 3"] | None = None,
) -> Camera:
    """Turn the camera about its centre until it looks at a point, upright with respect to `up`.

    The point, given in the image or in the world, then lies at the principal point. `up` is a world
    direction, by default the camera's own. A flipped camera stays flipped. Looking straight along
    `up`, where no direction is upright, the camera's x axis is kept as nearly as possible.
    """
    xp = namespace(camera.rotation, image_point_px, world_point_mm, up)
    rotation = camera.rotation
    if (image_point_px is None) == (world_point_mm is None):
        raise ValueError("turn_towards needs exactly one of image_point_px and world_point_mm")
    if image_point_px is not None:
        forward = transform(rotation.mT, image_to_camera(camera, image_point_px))
    else:
        forward = world_point_mm - camera.position_mm
    forward = _unit(xp, forward)
    down = rotation[..., 1, :] if up is None else -up.astype(rotation.dtype)
    if up is not None and up.ndim < rotation.ndim - 1:
        down = spread(down, rotation.ndim - 1 - up.ndim, core=1)
        down = xp.broadcast_to(down, forward.shape)
    hand = rotations.handedness(rotation)
    right = rotations.cross(down, forward)
    # The old x axis, made perpendicular to the new forward one, where `up` gives none.
    sideways = hand * rotation[..., 0, :]
    sideways = sideways - (sideways * forward).sum(-1, keepdims=True) * forward
    sine = (right * right).sum(-1, keepdims=True) / (down * down).sum(-1, keepdims=True)
    right = _unit(xp, xp.where(sine < 1e-8, sideways, right))
    below = rotations.cross(forward, right)
    return camera._replace(rotation=xp.stack([hand * right, below, forward], axis=-2))


def zoom(camera: Camera, factor: float | Float[Array, "*b"]) -> Camera:
    """Enlarge the image `factor` times about the principal point, by the focal length."""
    k = camera.intrinsics
    pattern = _like(k, [[1, 1, 0], [1, 1, 0], [0, 0, 0]])
    return camera._replace(intrinsics=k * (1 + (_per_camera(k, factor) - 1) * pattern))


def roll(camera: Camera, angle: float | Float[Array, "*b"]) -> Camera:
    """Turn the camera about its forward axis, from x (right) towards y (down).

    The camera turns clockwise, so the picture turns anticlockwise: camera-space points are
    multiplied by Rz(-angle).
    """
    xp = namespace(camera.rotation, angle)
    r = camera.rotation
    angle = _per_camera(r, angle)[..., 0]
    cosine, sine = xp.cos(angle), xp.sin(angle)
    x, y = r[..., 0, :], r[..., 1, :]
    rows = [cosine * x + sine * y, cosine * y - sine * x, r[..., 2, :]]
    return camera._replace(rotation=xp.stack(rows, axis=-2))


def flip(camera: Camera) -> Camera:
    """Negate the camera's x axis: the picture is mirrored about the principal point's column.

    The skew and the odd coefficients of the distortion change sign with it.
    """
    mirror_rotation = _like(camera.rotation, [[-1], [1], [1]])
    mirror_skew = _like(camera.intrinsics, [[1, -1, 1], [1, 1, 1], [1, 1, 1]])
    mirror_lens = _like(camera.distortion, [1, 1, 1, -1, 1, 1, 1, 1, -1, -1, 1, 1])
    return camera._replace(
        rotation=camera.rotation * mirror_rotation,
        intrinsics=camera.intrinsics * mirror_skew,
        distortion=camera.distortion * mirror_lens,
    )


def undistort(camera: Camera) -> Camera:
    """Remove the lens distortion."""
    return camera._replace(distortion=namespace(camera.distortion).zeros_like(camera.distortion))


def square_pixels(camera: Camera) -> Camera:
    """Give both axes the mean focal length and no skew, keeping the principal point."""
    k = camera.intrinsics
    focal = _per_camera(k, (k[..., 0, 0] + k[..., 1, 1]) / 2)
    mask = _like(k, [[0, 0, 1], [0, 0, 1], [0, 0, 1]])
    return camera._replace(
        intrinsics=k * mask + focal * _like(k, [[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    )


def centre_principal_point(camera: Camera, side_px: int | tuple[int, int]) -> Camera:
    """Move the principal point to the centre of a square image, or of one of (width, height)."""
    width, height = (side_px, side_px) if isinstance(side_px, int) else side_px
    k = camera.intrinsics
    mask = _like(k, [[1, 1, 0], [1, 1, 0], [1, 1, 1]])
    centre = _like(k, [[0, 0, (width - 1) / 2], [0, 0, (height - 1) / 2], [0, 0, 0]])
    return camera._replace(intrinsics=k * mask + centre)


def scale_output(camera: Camera, factor: float | Float[Array, "*b"]) -> Camera:
    """Resize the whole image: pixel p becomes (p + 0.5) factor - 0.5."""
    k = camera.intrinsics
    factor = _per_camera(k, factor)
    scaled = 1 + (factor - 1) * _like(k, [[1, 1, 1], [1, 1, 1], [0, 0, 0]])
    offset = (factor - 1) / 2 * _like(k, [[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    return camera._replace(intrinsics=k * scaled + offset)


def shift(camera: Camera, offset_px: Float[Array, "*b 2"]) -> Camera:
    """Move the picture by an offset; cutting a crop out at (x, y) is a shift by (-x, -y)."""
    xp = namespace(camera.intrinsics, offset_px)
    k = camera.intrinsics
    offset = xp.concat([offset_px, xp.zeros_like(offset_px[..., :1])], axis=-1)
    offset = offset.astype(k.dtype)[..., None]
    offset = spread(offset, k.ndim - offset.ndim, core=2)
    return camera._replace(intrinsics=k + offset * _like(k, [[0, 0, 1]]))


def homography(from_camera: Camera, to_camera: Camera) -> Float[Array, "*b 3 3"]:
    """Return the map of undistorted homogeneous pixels between two cameras with one centre."""
    xp = namespace(from_camera.intrinsics, to_camera.intrinsics)
    turn = matmul(to_camera.rotation, from_camera.rotation.mT)
    return _times_inverse(xp, matmul(to_camera.intrinsics, turn), from_camera.intrinsics)


def reproject(
    from_camera: Camera, to_camera: Camera, points_px: Float[Array, "*p 2"]
) -> Float[Array, "*p 2"]:
    """Map pixels of one camera to those of another with the same centre, distortion included."""
    turn = matmul(to_camera.rotation, from_camera.rotation.mT)
    return camera_to_image(to_camera, transform(turn, image_to_camera(from_camera, points_px)))


# ----------------------------------------------------------------------------------------- helpers


def _like(matrix: Array, values: list) -> Array:
    """Return constants in the dtype of `matrix`, with leading axes of length 1 up to its rank."""
    constant = np.array(values, matrix.dtype)
    return spread(constant, matrix.ndim - constant.ndim, core=constant.ndim)


def _per_camera(matrix: Array, value: float | Array) -> Array:
    """Shape one number per camera, or one for all, to multiply the cameras' matrices."""
    number = namespace(matrix, value).asarray(value, dtype=matrix.dtype)
    if number.ndim == 0:
        return number.reshape((1,) * matrix.ndim)
    return number[..., None, None]


def _times_inverse(xp, matrix: Array, intrinsics: Array) -> Array:
    """Return matrix · intrinsics⁻¹, solved column by column of the upper-triangular intrinsics."""
    k = intrinsics[..., None]
    first = matrix[..., 0] / k[..., 0, 0, :]
    second = (matrix[..., 1] - k[..., 0, 1, :] * first) / k[..., 1, 1, :]
    third = matrix[..., 2] - k[..., 0, 2, :] * first - k[..., 1, 2, :] * second
    return xp.stack([first, second, third], axis=-1)


def _unit(xp, vectors: Array) -> Array:
    return vectors / xp.sqrt((vectors * vectors).sum(-1, keepdims=True))
