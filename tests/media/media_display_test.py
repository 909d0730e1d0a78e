"""Pixels that are not square, pictures turned and mirrored: what a file says is what people see."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from acae_jax.media import display_matrix, videos

MATRICES = {  # a, b, c, d as phones and editors write them, and what they do to a picture
    "as it is": ((1, 0, 0, 1), lambda image: image),
    "turned by 90": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "turned by 180": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "turned by 270": ((0, -1, 1, 0), lambda image: np.rot90(image)),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda image: image[::-1]),
    "mirrored, turned by 90": ((0, 1, 1, 0), lambda image: np.rot90(image[:, ::-1])),
    "mirrored, turned by 270": ((0, -1, -1, 0), lambda image: np.rot90(image[:, ::-1], -1)),
}


def make_frame() -> np.ndarray:
    """No turn and no reflection of it looks the same."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32, 1:] = 200
    image[:8, 32:, 0] = 200
    return image


def write_video(path, codec: str = "mp4v") -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 12.5, (64, 48))
    assert writer.isOpened()
    for _ in range(4):
        writer.write(make_frame()[..., ::-1])
    writer.release()


def put_matrix(path, kind: bytes, matrix) -> None:
    data = bytearray(path.read_bytes())
    # Behind the kind: version, flags, times, track, duration, layer, volume; in mvhd, the rate.
    at = data.index(kind) + 4 + {b"tkhd": 40, b"mvhd": 36}[kind]
    assert struct.unpack_from(">9i", data, at) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def put_pixel_aspect(path, wide: int, high: int) -> None:
    """A pasp box at the end of the only entry of an MP4's stsd, all boxes around it enlarged."""
    data = bytearray(path.read_bytes())
    assert data.rindex(b"moov") > data.rindex(b"mdat"), "positions of frames would move"
    at = data.index(b"mp4v")
    (size,) = struct.unpack_from(">I", data, at - 4)
    if (old := data.find(b"pasp", at, at + size)) >= 0:
        struct.pack_into(">II", data, old + 4, wide, high)
    else:
        end = at - 4 + size
        data[end:end] = struct.pack(">I4sII", 16, b"pasp", wide, high)
        for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v"):
            place = data.index(kind, data.rindex(b"moov")) - 4
            (old,) = struct.unpack_from(">I", data, place)
            struct.pack_into(">I", data, place, old + 16)
    path.write_bytes(data)


def first_image(path) -> np.ndarray:
    return next(videos.open_file(path).frames).image


def assert_alike(image: np.ndarray, expected: np.ndarray) -> None:
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 12


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("kind", [b"tkhd", b"mvhd"])
def test_turns_and_mirrors_in_the_header_are_honoured(tmp_path, name, kind):
    matrix, shown = MATRICES[name]
    write_video(tmp_path / "a.mp4")
    put_matrix(tmp_path / "a.mp4", kind, matrix)
    assert_alike(first_image(tmp_path / "a.mp4"), shown(make_frame()))


def test_the_movie_is_turned_after_its_track(tmp_path):
    write_video(tmp_path / "a.mp4")
    put_matrix(tmp_path / "a.mp4", b"tkhd", (-1, 0, 0, 1))
    put_matrix(tmp_path / "a.mp4", b"mvhd", (0, 1, -1, 0))
    assert_alike(first_image(tmp_path / "a.mp4"), np.rot90(make_frame()[:, ::-1], -1))


@pytest.mark.parametrize("name", [name for name in MATRICES if "mirrored" not in name][:4])
def test_other_kinds_of_files_have_the_angle_that_opencv_tells(tmp_path, name, monkeypatch):
    matrix, shown = MATRICES[name]
    write_video(tmp_path / "a.mp4")
    put_matrix(tmp_path / "a.mp4", b"tkhd", matrix)
    monkeypatch.setattr(display_matrix, "of_file", lambda path: None)
    assert_alike(first_image(tmp_path / "a.mp4"), shown(make_frame()))


def write_matroska(path, yaw: float = 0, pitch: float = 0, roll: float = 0, sphere=False) -> None:
    """Two frames of `make_frame`; the Projection in the asset's header gets these angles."""
    data = bytearray((Path(__file__).with_name("assets") / "projection.mkv").read_bytes())
    for name, value in ((b"\x76\x73", yaw), (b"\x76\x74", pitch), (b"\x76\x75", roll)):
        struct.pack_into(">f", data, data.index(name + b"\x84") + 3, value)
    data[data.index(b"\x76\x71\x81") + 3] = sphere
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("yaw", "roll", "name"),
    [
        (0, 0, "as it is"),
        (0, -90, "turned by 90"),  # the angle is counterclockwise
        (0, 180, "turned by 180"),
        (0, 90, "turned by 270"),
        (180, 0, "mirrored"),
        (-180, 180, "upside down"),
        (180, 90, "mirrored, turned by 90"),
        (180, -90, "mirrored, turned by 270"),
    ],
)
def test_matroska_is_turned_and_mirrored_by_its_projection(tmp_path, yaw, roll, name):
    write_matroska(tmp_path / "a.mkv", yaw, 0, roll)
    assert_alike(first_image(tmp_path / "a.mkv"), MATRICES[name][1](make_frame()))
    # What OpenCV knows of it is an angle: that of the first row of the matrix.
    capture = cv2.VideoCapture(str(tmp_path / "a.mkv"))
    a, b, _, _ = display_matrix.of_file(tmp_path / "a.mkv")
    degrees = round(np.degrees(np.arctan2(b, a))) % 360
    assert capture.get(cv2.CAP_PROP_ORIENTATION_META) == degrees


@pytest.mark.parametrize(
    "angles", [{"pitch": 90}, {"yaw": 90}, {"roll": np.nan}, {"roll": 500}, {"sphere": True}]
)
def test_a_projection_that_is_no_plane_leaves_the_picture(tmp_path, angles):
    write_matroska(tmp_path / "a.mkv", **angles)
    assert display_matrix.of_file(tmp_path / "a.mkv") is None
    assert_alike(first_image(tmp_path / "a.mkv"), make_frame())


@pytest.mark.parametrize("name", ["as it is", "turned by 90", "mirrored"])
@pytest.mark.parametrize(("aspect", "width"), [((4, 3), 85), ((10, 11), 58), ((2, 1), 128)])
def test_pixels_become_square_before_the_picture_is_turned(tmp_path, name, aspect, width):
    matrix, shown = MATRICES[name]
    write_video(tmp_path / "a.mp4")
    put_pixel_aspect(tmp_path / "a.mp4", *aspect)
    put_matrix(tmp_path / "a.mp4", b"tkhd", matrix)
    assert_alike(first_image(tmp_path / "a.mp4"), shown(cv2.resize(make_frame(), (width, 48))))


def test_a_pixel_that_cannot_be_is_square(tmp_path):
    write_video(tmp_path / "a.mp4")
    put_pixel_aspect(tmp_path / "a.mp4", 100, 1)
    with pytest.warns(UserWarning, match=r"a\.mp4 states pixels of 100:1"):
        assert_alike(first_image(tmp_path / "a.mp4"), make_frame())


def test_a_matrix_that_is_none_leaves_the_picture(tmp_path):
    write_video(tmp_path / "a.mp4")
    put_matrix(tmp_path / "a.mp4", b"tkhd", (0, 0, 0, 0))
    assert_alike(first_image(tmp_path / "a.mp4"), make_frame())


def test_damaged_headers_come_to_an_end(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "b"

    def matrix(content: bytes) -> display_matrix.Matrix | None:
        path.write_bytes(content)
        return display_matrix.of_file(path)

    write_video(tmp_path / "a.mp4")
    put_matrix(tmp_path / "a.mp4", b"tkhd", (-1, 0, 0, 1))
    write_matroska(tmp_path / "a.mkv", yaw=180)
    for name in ("a.mp4", "a.mkv"):
        whole = (tmp_path / name).read_bytes()
        assert matrix(whole) == (-1, 0, 0, 1)
        for cut in range(0, len(whole), 11):
            assert matrix(whole[:cut]) in (None, (-1, 0, 0, 1))
        for _ in range(80):
            harmed = np.frombuffer(whole, np.uint8).copy()
            harmed[rng.integers(0, len(whole), 20)] = rng.integers(0, 256, 20)
            found = matrix(harmed.tobytes())
            assert found is None or np.isfinite(found).all()
    whole = (tmp_path / "a.mp4").read_bytes()
    # Padding and a box whose size has 64 bits before the movie, and one up to the end behind it.
    free = struct.pack(">I4sQ", 1, b"free", 24) + bytes(8)
    assert matrix(struct.pack(">I4s", 8, b"free") + free + whole + b"\0\0\0\0free") == (-1, 0, 0, 1)
    assert matrix(b"\0\0\0\x08free" * 20_000) is None  # 10,000 elements are looked at
    assert matrix(display_matrix.MATROSKA + b"\x80" + b"\xec\x80" * 20_000) is None


def test_what_is_no_mp4_has_no_matrix(tmp_path):
    write_video(tmp_path / "a.avi", "MJPG")
    assert display_matrix.of_file(tmp_path / "a.avi") is None
    assert_alike(first_image(tmp_path / "a.avi"), make_frame())
