"""Image files of any origin → upright RGB, refused in one line where that cannot be.

Pixels are uint8 (height, width, 3) in RGB order, turned as the EXIF orientation says. What a file
holds beyond that becomes it like this:

    16 bits          0…65535 → 0…255; 12 bits in 16 stay as dark as they are
    floating point   0…1 → 0…255, clipped; refused if more than highlights lie above 1
    grey, palette    three equal channels, the palette's colours
    alpha            composited on white, as a page shows it
    CMYK, Lab, …     converted without colour profiles
    several images   the first one, with a warning; `videos` plays animations

Pillow reads, because it knows an image's size before it unpacks its pixels, and tells a file that
is cut short, where OpenCV fills in grey. Its formats that start other programs are left out.
"""

import warnings
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from jaxtyping import Float, Integer, UInt8
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

MAX_PIXELS = 200_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp",
    ".dib", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif",
})  # fmt: skip
# Of phones and cameras; in some, which are TIFF as well, Pillow would find a thumbnail.
UNREADABLE = frozenset({
    ".heic", ".heif", ".hif", ".jxl", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw",
    ".sr2", ".srf", ".srw", ".orf", ".rw2", ".rwl", ".raf", ".pef", ".3fr", ".iiq", ".x3f",
})  # fmt: skip
ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
ORIENTATION = 0x0112  # the tag of EXIF
WIDTH, HEIGHT = 0x0100, 0x0101  # tags of TIFF
# Pillow's own limit, above which it warns, is lower; this module checks MAX_PIXELS itself.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def read(path: str | Path, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Read one image file as the module describes.

    ValueError if it is no image, damaged, cut short or larger than `max_pixels`; OSError if it
    cannot be opened.
    """
    path = Path(path)
    if path.suffix.lower() in UNREADABLE:
        raise ValueError(f"{path} is {path.suffix[1:].upper()}, not read here: save it as JPEG")
    with path.open("rb") as file:
        try:
            with open_checked(file, max_pixels) as image:
                count = getattr(image, "n_frames", 1)
                if count > 1 and image.format != "MPO":  # cameras' JPEG with previews behind it
                    warnings.warn(f"{path} holds {count} images; the first is used", stacklevel=2)
                return to_rgb(image)
        except UnidentifiedImageError:
            return _float_tiff(path, file, max_pixels)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        except Exception as error:  # each of Pillow's formats stumbles in its own way
            raise ValueError(f"{path} is damaged or cut short: {error}") from error


def is_image(path: str | Path) -> bool:
    """Whether a file begins as an image that `read` knows; its pixels may still be damaged."""
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Image.DecompressionBombError:  # for `read` to refuse
        return True
    except Exception:  # each of Pillow's formats stumbles in its own way
        return False


def is_animation(path: str | Path) -> bool:
    """Whether a file is an image that moves: GIF, PNG, WebP or AVIF with several frames."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.format in ANIMATED and getattr(image, "n_frames", 1) > 1
    except Exception:  # whatever it is, reading it as an image will say what is wrong
        return False


def open_checked(file: IO[bytes], max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an image without unpacking its pixels; a ValueError if these are too many.

    Pillow's own errors if it is no image.
    """
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(f"the image is far beyond the limit of {max_pixels} px") from error
    _check_size(*image.size, max_pixels)
    return image


def to_rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """Unpack, turn upright and convert as the module describes; Pillow's errors if damaged."""
    image.load()
    try:
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # each kind of damaged EXIF data stumbles in its own way
        warnings.warn(f"the orientation of an image cannot be read: {error}", stacklevel=2)
    if image.mode == "F":
        return _grey_to_rgb(_of_floats(np.asarray(image)))
    if image.mode.startswith("I"):
        return _grey_to_rgb(_of_16_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _float_tiff(path: Path, file: IO[bytes], max_pixels: int) -> UInt8[np.ndarray, "h w 3"]:
    """A TIFF of three or four floating-point channels, the one kind that Pillow does not know."""
    unreadable = f"{path} is no image that can be read; JPEG, PNG, WebP, TIFF, BMP and GIF can"
    try:
        file.seek(0)
        tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
        file.seek(tags.next)
        tags.load(file)
        width, height = tags[WIDTH], tags[HEIGHT]
    except Exception:  # it is no TIFF
        raise ValueError(unreadable) from None
    _check_size(width, height, max_pixels)
    file.seek(0)
    pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.float32 or pixels.ndim != 3:
        raise ValueError(unreadable)
    return _of_floats(pixels[..., 2::-1])  # OpenCV has blue first, and alpha last


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not 0 < width * height <= max_pixels:
        raise ValueError(f"an image of {width}×{height} px is beyond the limit of {max_pixels} px")


def _of_floats(values: Float[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "h w *c"]:
    """0…1 → 0…255, clipped; a ValueError if most of the image would be white for it."""
    values = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0)
    if (values > 1).mean() > 0.05:
        raise ValueError(
            f"floating-point pixels reach {values.max():g}; black must be 0 and white 1: divide "
            "them, or save 8 or 16 bits"
        )
    return (values.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _of_16_bits(values: Integer[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """0…65535 → 0…255; a ValueError if there is more."""
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise ValueError(f"pixels range over {low}…{high}; save the image with 8 or 16 bits")
    return (values // 257).astype(np.uint8)


def _grey_to_rgb(grey: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.repeat(grey[..., None], 3, axis=2)
