"""A user's folders of backgrounds and occluders; whatever is wrong with a file is one line."""

import pickle

import cv2
import numpy as np
import pytest

from acae_jax.images import props_from_files


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def cutout(alpha):
    """A red cut-out, in OpenCV's order of channels."""
    image = np.zeros((5, 4, 4), np.uint8)
    image[..., 2], image[..., 3] = 250, alpha
    return image


def test_pictures_come_in_the_order_of_their_names_and_travel_to_workers(tmp_path):
    for i, name in enumerate(("b.png", "a/c.png", "a/d.jpg", "notes.txt")):
        path = tmp_path / name
        if path.suffix == ".txt":
            path.write_text("no picture")
        else:
            write(path, np.full((6 + i, 8, 3), 10 * i, np.uint8))
    pictures = pickle.loads(pickle.dumps(props_from_files.backgrounds(tmp_path)))  # our own bytes
    assert [picture.shape for picture in pictures] == [(7, 8, 3), (8, 8, 3), (6, 8, 3)]
    assert len(pictures) == 3 and (pictures[0] == 10).all()


def test_occluders_are_rgba_with_their_own_alpha(tmp_path):
    write(tmp_path / "thing.png", cutout(alpha=70))
    (thing,) = props_from_files.occluders(tmp_path)
    np.testing.assert_array_equal(thing, np.full((5, 4, 4), [250, 0, 0, 70], np.uint8))


def test_what_cannot_be_used_is_named_before_training(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder; give a folder of photographs"):
        props_from_files.backgrounds(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds none; give a folder of cut-out objects"):
        props_from_files.occluders(tmp_path)
    path = tmp_path / "thing.png"
    for image, cause in (
        (cutout(70)[..., :3], "it needs 4 channels of 8 bits"),
        (cutout(70).astype(np.uint16), "channel.s. of uint16"),
    ):
        write(path, image)
        with pytest.raises(ValueError, match=rf"thing.png: image has .*{cause}.*; mend the file"):
            props_from_files.occluders(tmp_path)
    write(path, cutout(70))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"thing.png: .*cannot be decoded"):
        props_from_files.occluders(tmp_path)
    huge = bytearray(whole)
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    path.write_bytes(bytes(huge))
    for read in (props_from_files.occluders, props_from_files.backgrounds):
        with pytest.raises(ValueError, match=r"thing.png: image of 60000×60000 px is outside"):
            read(tmp_path)
