"""What users pass → images with their cameras and boxes, all checked: shapes, types, units.

Arguments are named and shaped as users of this family of estimators know them. In the forms for
many images, camera arguments are one for all or one per image.
"""

import operator
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8

from acae_jax.geometry import cameras

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
else:
    # Whatever numpy makes an array of, a tuple of numbers included; what is none gets an error that
    # says what to pass.
    ArrayLike = object

ROTATION_TOLERANCE = 1e-3
# A camera so near to the world's origin, yet not in it, is one whose matrix is in metres: those of
# a stereo pair are farther apart, and few rooms are larger.
ROUNDING_MM, METRES_MM = 0.01, 50.0


class Scene(NamedTuple):
    """An RGB image and the camera that took it, in float64, its position in mm in the world."""

    image: UInt8[np.ndarray, "h w 3"]
    camera: cameras.Camera


def create(
    images: Sequence[ArrayLike] | np.ndarray,
    intrinsic_matrix: ArrayLike | None,
    distortion_coeffs: ArrayLike | None,
    extrinsic_matrix: ArrayLike | None,
    default_fov_degrees: ArrayLike,
) -> list[Scene]:
    """Put every image together with its camera.

    images: uint8 RGB (h, w, 3) each, of any sizes. intrinsic_matrix: (3, 3) or (n, 3, 3), in pixels
    whose centres lie at integers; without it the longer image side spans `default_fov_degrees`.
    distortion_coeffs: (k,) or (n, k) with k = 4, 5, 8 or 12, as OpenCV orders them.
    extrinsic_matrix: world to camera in mm, (3, 4) or (4, 4), or n of them. ValueError otherwise.
    """
    pixels = check_images(images)
    count = len(pixels)
    fov_degrees = check_number("default_fov_degrees", default_fov_degrees)
    if not 0 < fov_degrees < 180:
        raise ValueError(f"default_fov_degrees is {default_fov_degrees}; give 0 to 180, such as 55")
    intrinsics = _per_image("intrinsic_matrix", intrinsic_matrix, count, core=2)
    lenses = _per_image("distortion_coeffs", distortion_coeffs, count, core=1)
    extrinsics = _per_image("extrinsic_matrix", extrinsic_matrix, count, core=2)
    return [
        Scene(image, _camera(image, k, lens, extrinsic, fov_degrees))
        for image, k, lens, extrinsic in zip(pixels, intrinsics, lenses, extrinsics, strict=True)
    ]


def check_whole(name: str, value: ArrayLike) -> int:
    """A whole number of Python's or NumPy's; a ValueError for all else, 2.0 included."""
    try:
        return operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise ValueError(f"{name} is {value!r}; give a whole number") from None


def check_number(name: str, value: ArrayLike) -> float:
    """One finite number; a ValueError for all else."""
    number = _numbers(name, value)
    if number.ndim:
        raise ValueError(f"{name} is {number.tolist()}; give one number")
    return float(number)


def check_up(world_up_vector: ArrayLike) -> Float[np.ndarray, "3"]:
    """The direction in float64; ValueError unless it is one."""
    up = _numbers("world_up_vector", world_up_vector)
    if up.shape != (3,) or not up.any():
        raise ValueError(
            f"world_up_vector must be a direction (x, y, z) that is not 0; got {up.tolist()}"
        )
    return up


def check_lens(
    intrinsic_matrix: ArrayLike, distortion_coeffs: ArrayLike | None
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " k"] | None]:
    """One camera's intrinsics and lens; ValueError unless they are as `create` takes them."""
    matrix = _check_intrinsics(_numbers("intrinsic_matrix", intrinsic_matrix))
    if distortion_coeffs is None:
        return matrix, None
    coefficients = _numbers("distortion_coeffs", distortion_coeffs)
    if coefficients.ndim != 1:
        raise ValueError(f"distortion_coeffs has shape {coefficients.shape}; give a flat list")
    cameras.create(matrix, distortion=coefficients)  # counts them
    return matrix, coefficients


def check_boxes(boxes: Any, count: int) -> list[np.ndarray]:
    """The boxes of `count` images as float32 (n, 5), with score 1 where there was none.

    ValueError unless every image has (n, 4) or (n, 5) of them, each with an extent.
    """
    if not isinstance(boxes, Sequence) and not getattr(boxes, "shape", ()):
        raise ValueError(f"boxes must be a list with one array for each image, not {boxes!r:.80}")
    if len(boxes) != count:
        raise ValueError(
            f"boxes are for {len(boxes)} images but there are {count} images; "
            "give one (n, 4) or (n, 5) array for each, (0, 4) where nobody is"
        )
    return [_check_boxes_of_one(of_image) for of_image in boxes]


# ------------------------------------------------------------------------------------------ images


def check_images(images: Any) -> list[np.ndarray]:
    """The images as uint8 arrays (h, w, 3); ValueError that says what to do with others."""
    shape = getattr(images, "shape", None)
    is_list = isinstance(images, Sequence) and not isinstance(images, str)
    if not is_list and (shape is None or len(shape) != 4):
        raise ValueError(
            "images must be a list of (h, w, 3) arrays or one (n, h, w, 3) array, got "
            f"{shape or images!r:.80}; for a single image use detect_poses or estimate_poses"
        )
    return [_check_image(image) for image in images]


def _check_image(image: ArrayLike) -> UInt8[np.ndarray, "h w 3"]:
    if isinstance(image, str) or hasattr(image, "__fspath__"):
        raise ValueError(f"{str(image)!r} is a path; read the image, as uint8 RGB (h, w, 3)")
    image = np.asarray(image)
    description = f"image is {image.dtype} {image.shape}; give uint8 RGB (h, w, 3)"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        raise ValueError(f"{description}: for grey, np.repeat(image.reshape(h, w, 1), 3, axis=2)")
    if image.ndim == 3 and image.shape[2] == 4:
        raise ValueError(f"{description}: for RGBA, image[:, :, :3]")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{description}: if it is one of several images, use the batched form")
    if np.issubdtype(image.dtype, np.floating):
        # Not converted silently: 0…1 and 0…255, encoded and linear light are all in use.
        raise ValueError(f"{description}: for values in 0…1, np.uint8(255 * image + 0.5)")
    if image.dtype != np.uint8:
        raise ValueError(f"{description}: for 16 bits, np.uint8(image >> 8)")
    if 0 in image.shape:
        raise ValueError(f"{description} with at least one pixel")
    return image


# ----------------------------------------------------------------------------------------- cameras


def _numbers(name: str, value: ArrayLike) -> np.ndarray:
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from None
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite numbers; got {numbers.tolist()}")
    return numbers


def _per_image(
    name: str, value: ArrayLike | None, count: int, core: int
) -> list[np.ndarray | None]:
    """One array with `core` axes for each image, of one for all or as many as there are images."""
    if value is None:
        return [None] * count
    numbers = _numbers(name, value)
    if numbers.ndim == core:
        return [numbers] * count
    if numbers.ndim == core + 1 and len(numbers) == 1:
        return [numbers[0]] * count
    if numbers.ndim == core + 1 and len(numbers) == count:
        return list(numbers)
    raise ValueError(
        f"{name} has shape {numbers.shape}; give one for all images or one for each of the {count}"
    )


def _camera(
    image: np.ndarray,
    intrinsics: np.ndarray | None,
    distortion: np.ndarray | None,
    extrinsics: np.ndarray | None,
    fov_degrees: float,
) -> cameras.Camera:
    height, width = image.shape[:2]
    if intrinsics is None:
        intrinsics = cameras.field_of_view(np.deg2rad(fov_degrees), width, height)
    rotation, position_mm = None, None
    if extrinsics is not None:
        rotation, position_mm = check_extrinsics(extrinsics)
    intrinsics = _check_intrinsics(intrinsics.astype(np.float64))
    _warn_of_principal_point(intrinsics[:2, 2], width, height)
    return cameras.create(intrinsics, rotation, position_mm, distortion)


def _check_intrinsics(matrix: np.ndarray) -> np.ndarray:
    valid = (
        matrix.shape == (3, 3)
        and np.array_equal(matrix[2], (0, 0, 1))
        and matrix[1, 0] == 0
        and min(matrix[0, 0], matrix[1, 1]) > 0
    )
    if not valid:
        raise ValueError(
            f"intrinsic_matrix is {matrix.tolist()}; give [[fx, skew, cx], [0, fy, cy], [0, 0, 1]] "
            "in px with fx, fy > 0"
        )
    return matrix


def _warn_of_principal_point(
    point_px: Float[np.ndarray, "2"], width_px: int, height_px: int
) -> None:
    x, y = point_px.tolist()
    if not (-0.5 <= x <= width_px - 0.5 and -0.5 <= y <= height_px - 0.5):
        warnings.warn(
            f"intrinsic_matrix has its principal point at ({x:.1f}, {y:.1f}), outside of the "
            f"{width_px} × {height_px} image; if the image was resized, scale the first two rows "
            "of the matrix with it (of an image that was cut out, it may be right)",
            stacklevel=2,
        )


def check_extrinsics(
    extrinsic_matrix: ArrayLike,
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Rotation and position in mm of a world-to-camera matrix; ValueError unless it is one.

    A UserWarning if its translation looks like metres.
    """
    matrix = _numbers("extrinsic_matrix", extrinsic_matrix)
    if matrix.shape not in ((3, 4), (4, 4)):
        raise ValueError(
            f"extrinsic_matrix has shape {matrix.shape}; give (3, 4) or (4, 4), world to camera, mm"
        )
    if len(matrix) == 4 and not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise ValueError(
            f"extrinsic_matrix ends with {matrix[3].tolist()}, not 0 0 0 1; it may be transposed"
        )
    rotation, translation = matrix[:3, :3], matrix[:3, 3]
    deviation = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if deviation > ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise ValueError(
            "the first three columns of extrinsic_matrix are no rotation; "
            "give an orthonormal, right-handed one, and the translation in mm"
        )
    distance_mm = float(np.linalg.norm(translation))
    if ROUNDING_MM < distance_mm < METRES_MM:
        warnings.warn(
            f"extrinsic_matrix puts the camera {distance_mm:.3g} mm beside the world's origin; if "
            "its translation is in metres, multiply it by 1000",
            stacklevel=2,
        )
    return rotation, -rotation.T @ translation


# ------------------------------------------------------------------------------------------- boxes


def _check_boxes_of_one(boxes: ArrayLike) -> Float32[np.ndarray, "n 5"]:
    try:
        array = np.asarray(boxes, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"boxes must be arrays (n, 4) or (n, 5): {error}") from None
    if array.size == 0:
        return np.zeros((0, 5), np.float32)
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        raise ValueError(
            f"boxes of an image have shape {array.shape}; give (n, 4) or (n, 5): x, y of the "
            "top-left corner, width, height in px, and a score if you have one"
        )
    without = ~(np.isfinite(array).all(1) & (array[:, 2:4] > 0).all(1))
    if without.any():
        which = int(np.flatnonzero(without)[0])
        raise ValueError(
            f"box {which}, {array[which, :4].tolist()}, has no extent; "
            "give x, y, width, height with width, height > 0, or leave it out"
        )
    if array.shape[1] == 4:
        array = np.concatenate([array, np.ones((len(array), 1), np.float32)], axis=1)
    return array
