"""PGM and PPM files, written by OpenCV and by hand."""

import cv2
import numpy as np
import pytest

from acae_jax.datasets.readers import portable_maps

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_pixels_come_back(tmp_path):
    cv2.imwrite(str(tmp_path / "a.ppm"), PIXELS[..., ::-1])
    np.testing.assert_array_equal(portable_maps.read(tmp_path / "a.ppm"), PIXELS)
    cv2.imwrite(str(tmp_path / "a.pgm"), PIXELS[..., 0])
    np.testing.assert_array_equal(portable_maps.read(tmp_path / "a.pgm"), PIXELS[..., 0])
    commented = b"P5 # grey\n# 7 wide\n7\t5\n255\n" + PIXELS[..., 0].tobytes()
    (tmp_path / "b.pgm").write_bytes(commented)
    np.testing.assert_array_equal(portable_maps.read(tmp_path / "b.pgm"), PIXELS[..., 0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P2 2 2 255\n1 2 3 4", "no binary PGM"),
        (b"P5 99999 99999 255\n", "it must be of 8 bits"),
        (b"P5 2 2 65535\n12345678", "it must be of 8 bits"),
        (b"P5 2 2 255\n123", "cut short"),
        (b"", "no binary PGM"),
    ],
)
def test_other_files_are_one_line(tmp_path, content, message):
    (tmp_path / "a.pgm").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        portable_maps.read(tmp_path / "a.pgm")
