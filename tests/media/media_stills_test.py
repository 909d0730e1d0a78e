import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from acae_jax.media import stills


def make_rgb(height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth, and different at each edge, so that turns, mirrors and swapped channels show."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    channels = [255 * x / width, 255 * y / height, 200 - 150 * x * y / (width * height)]
    return np.stack(channels, -1).astype(np.uint8)


def assert_close(one: np.ndarray, other: np.ndarray, within: float) -> None:
    assert one.shape == other.shape and one.dtype == np.uint8
    assert np.abs(one.astype(int) - other.astype(int)).max() <= within


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "bmp", "gif", "ppm", "jpg", "jp2"])
def test_formats(tmp_path, suffix):
    rgb, path = make_rgb(), tmp_path / f"a.{suffix}"
    kind = {"webp": {"lossless": True}, "jpg": {"quality": 98, "subsampling": 0}}
    Image.fromarray(rgb).save(path, **kind.get(suffix, {}))
    assert_close(stills.read(path), rgb, {"jpg": 6, "gif": 40}.get(suffix, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_orientation_is_honoured(tmp_path, suffix, orientation):
    upright = make_rgb()
    # How a camera stores it: what the tag says must be done to the pixels, undone.
    undo = {1: 0, 2: "lr", 3: 2, 4: "ud", 5: "t", 6: 1, 7: "a", 8: 3}[orientation]
    stored = {
        "lr": upright[:, ::-1],
        "ud": upright[::-1],
        "t": upright.swapaxes(0, 1),
        "a": np.rot90(upright, 2).swapaxes(0, 1),
    }.get(str(undo), np.rot90(upright, undo if isinstance(undo, int) else 0))
    exif = Image.Exif()
    exif[stills.ORIENTATION] = orientation
    path = tmp_path / f"a.{suffix}"
    kind = {"webp": {"lossless": True}, "jpg": {"quality": 98, "subsampling": 0}}
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **kind.get(suffix, {}))
    assert_close(stills.read(path), upright, 6 if suffix == "jpg" else 0)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits(tmp_path, suffix, channels):
    rgb = make_rgb()[..., :channels]
    deep = rgb.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), deep[..., ::-1])
    assert_close(stills.read(tmp_path / f"a.{suffix}"), np.broadcast_to(rgb, (40, 60, 3)), 0)


def test_16_bit_pgm(tmp_path):
    grey = make_rgb()[..., 0]
    cv2.imwrite(str(tmp_path / "a.pgm"), grey.astype(np.uint16) * 257)
    assert_close(stills.read(tmp_path / "a.pgm"), np.repeat(grey[..., None], 3, 2), 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_floating_point(tmp_path, channels):
    rgb, path = make_rgb()[..., :channels], str(tmp_path / "a.tiff")
    values = rgb.astype(np.float32) / 255
    values[0, 0], values[0, 1] = 3.0, np.nan  # a highlight, and nothing
    cv2.imwrite(path, values[..., ::-1])
    expected = np.broadcast_to(rgb, (40, 60, 3)).copy()
    expected[0, 0], expected[0, 1] = 255, 0
    assert_close(stills.read(path), expected, 0)
    cv2.imwrite(path, values[..., ::-1] * 255)
    with pytest.raises(ValueError, match="white 1"):
        stills.read(path)


def test_alpha_is_composited_on_white(tmp_path):
    rgb = make_rgb()
    alpha = np.zeros((40, 60), np.uint8)
    alpha[:, 20:] = 128
    alpha[:, 40:] = 255
    share = alpha[..., None] / 255
    expected = (rgb * share + 255 * (1 - share)).round().astype(np.uint8)
    for suffix in ("png", "tiff"):
        Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / f"a.{suffix}")
        assert_close(stills.read(tmp_path / f"a.{suffix}"), expected, 1)
    grey = Image.fromarray(rgb[..., 0])
    grey.putalpha(Image.fromarray(alpha))
    grey.save(tmp_path / "grey.png")
    assert_close(stills.read(tmp_path / "grey.png"), np.repeat(expected[..., :1], 3, 2), 1)


def test_palette_with_a_transparent_colour(tmp_path):
    image = Image.new("P", (4, 2), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "a.png", transparency=0)
    found = stills.read(tmp_path / "a.png")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[1, 3].tolist() == [200, 100, 50]


def test_black_and_white_grey_and_cmyk(tmp_path):
    rgb = make_rgb()
    grey = Image.fromarray(rgb).convert("L")
    grey.save(tmp_path / "grey.png")
    assert_close(stills.read(tmp_path / "grey.png"), np.array(grey.convert("RGB")), 0)
    grey.convert("1").save(tmp_path / "one.png")
    assert set(np.unique(stills.read(tmp_path / "one.png"))) == {0, 255}
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    assert_close(stills.read(tmp_path / "a.jpg"), rgb, 12)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_of_several_images_the_first_is_read_with_a_warning(tmp_path, suffix):
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert stills.is_animation(path) == (suffix != "tiff")
    with pytest.warns(UserWarning, match="holds 3 images"):
        found = stills.read(path)
    assert np.abs(found[0, 0].astype(int) - [255, 0, 0]).max() < 8


def test_a_jpeg_with_a_preview_is_a_still(tmp_path):
    frames = [Image.fromarray(make_rgb()), Image.fromarray(make_rgb(20, 30))]
    frames[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert stills.read(tmp_path / "a.jpg").shape == (40, 60, 3)
    assert not stills.is_animation(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp", "gif"])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_files_cut_short_are_refused_in_one_line(tmp_path, suffix, share):
    rng = np.random.default_rng(0)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(rng.integers(0, 255, (90, 90, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match="a." + suffix) as caught:
        stills.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\xff\xd8\xff", b"II*\x00\x08\x00\x00\x00", b"%!PS-Adobe-3.0 EPSF"]
)
def test_what_is_no_image_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.jpg") as caught:
        stills.read(path)
    assert "\n" not in str(caught.value)


def make_png(width: int, height: int) -> bytes:
    """A PNG that states a size but holds few pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\x02\0\0\0") + pixels


@pytest.mark.parametrize("side", [20_100, 60_000])
def test_bombs_are_refused_before_they_are_unpacked(tmp_path, side):
    (tmp_path / "a.png").write_bytes(make_png(side, side))
    with pytest.raises(ValueError, match="limit of 200000000 px"):
        stills.read(tmp_path / "a.png")


def test_the_limit_is_the_callers_too(tmp_path):
    Image.fromarray(make_rgb()).save(tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "a.tiff"), make_rgb().astype(np.float32) / 255)
    for name in ("a.png", "a.tiff"):
        with pytest.raises(ValueError, match="60×40 px is beyond the limit of 2399 px"):
            stills.read(tmp_path / name, max_pixels=2399)


def test_one_pixel_and_a_hundred_million(tmp_path):
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "tiny.png")
    assert stills.read(tmp_path / "tiny.png").tolist() == [[[9, 8, 7]]]
    Image.new("L", (10_000, 10_000), 77).save(tmp_path / "huge.png", compress_level=1)
    huge = stills.read(tmp_path / "huge.png")
    assert huge.shape == (10_000, 10_000, 3) and huge[-1, -1].tolist() == [77, 77, 77]


def test_damaged_orientation_data_do_not_matter(tmp_path):
    file = io.BytesIO()
    Image.fromarray(make_rgb()).save(file, "jpeg", exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff\x01")
    (tmp_path / "a.jpg").write_bytes(file.getvalue())
    with pytest.warns(UserWarning, match="EXIF"):
        assert stills.read(tmp_path / "a.jpg").shape == (40, 60, 3)
