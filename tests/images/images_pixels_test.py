"""Colour, occlusion, background, masks and decoding: what each does to pixels."""

import colorsys
import itertools
import struct

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from acae_jax.images import (
    background,
    colour,
    decoding,
    device_colour,
    masks,
    occlusion,
    resizing,
)

# ---------------------------------------------------------------------------------------- decoding


def encoded(image: np.ndarray, ending: str) -> bytes:
    return cv2.imencode(ending, image[..., ::-1])[1].tobytes()


def test_png_decodes_exactly_in_rgb_order():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decoding.decode(encoded(image, ".png")), image)
    assert decoding.size(encoded(image, ".png")) == (5, 7)


def test_jpeg_decodes_in_rgb_order():
    image = np.full((24, 40, 3), (250, 128, 10), np.uint8)
    decoded = decoding.decode(encoded(image, ".jpg"))
    assert decoding.size(encoded(image, ".jpg")) == (24, 40)
    assert np.abs(decoded.astype(int) - image).max() <= 4


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_damaged_images_are_value_errors(ending):
    whole = encoded(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8), ending)
    for length in (0, 1, 3, 10, 20, len(whole) // 2):
        with pytest.raises(ValueError, match=r"image|JPEG"):
            decoding.decode(whole[:length])
    with pytest.raises(ValueError, match="neither JPEG nor PNG"):
        decoding.decode(b"GIF89a" + whole)


def test_an_embedded_preview_does_not_hide_a_cut():
    whole = encoded(np.zeros((40, 40, 3), np.uint8), ".jpg")
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(whole)) + whole
    with_preview = whole[:2] + segment + whole[2:]
    assert decoding.decode(with_preview).shape == (40, 40, 3)
    with pytest.raises(ValueError, match="cut short"):
        decoding.decode(with_preview[:-40])


def test_pictures_are_turned_upright_by_their_tag(tmp_path):
    image = np.zeros((24, 40, 3), np.uint8)
    image[:, :20] = (250, 128, 10)  # on the left, as stored; 6 means to turn it to the right
    tag = Image.Exif()
    tag[274] = 6
    Image.fromarray(image).save(tmp_path / "a.jpg", exif=tag, quality=95)
    content = (tmp_path / "a.jpg").read_bytes()
    assert decoding.decode(content).shape == (24, 40, 3)
    upright = decoding.decode_upright(content)
    assert upright.shape == (40, 24, 3)
    assert np.abs(upright[:18].astype(int) - (250, 128, 10)).max() < 8 and upright[22:].max() < 8
    assert decoding.decode_upright(encoded(image, ".png")).shape == (24, 40, 3)


def test_size_is_refused_before_decoding():
    small = encoded(np.zeros((4, 4, 3), np.uint8), ".png")
    huge = small[:16] + struct.pack(">II", 100_000, 100_000) + small[24:]
    with pytest.raises(ValueError, match="100000×100000 px is outside the limit"):
        decoding.decode(huge)
    with pytest.raises(ValueError, match="limit of 15 px"):
        decoding.decode(small, max_pixels=15)


# ------------------------------------------------------------------------------------------- masks


def test_masks_are_cocos_runs_down_the_columns():
    mask = np.array([[0, 1, 1], [0, 1, 0]])
    np.testing.assert_array_equal(masks.encode(mask), [2, 3, 1])
    np.testing.assert_array_equal(masks.encode(1 - mask), [0, 2, 3, 1])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_masks_survive_the_round_trip(share):
    mask = np.random.default_rng(0).random((13, 29)) < share
    decoded = masks.decode(masks.encode(mask), 13, 29)
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, mask)


def test_wrong_masks_are_value_errors():
    with pytest.raises(ValueError, match="runs cover 6 px but the image is 4×2"):
        masks.decode(np.array([2, 3, 1], np.uint32), 2, 4)
    with pytest.raises(ValueError, match="runs cover"):
        masks.decode(np.array([10, -2], np.int64), 2, 4)
    with pytest.raises(ValueError, match="outside the limit"):
        masks.decode(np.array([10**10], np.int64), 10**5, 10**5)


# ------------------------------------------------------------------------------------------ colour


def one_by_one(rgb: np.ndarray, steps: list[tuple[str, float]]) -> np.ndarray:
    """The four changes to one pixel, each by its definition."""
    for name, amount in steps:
        if name == "brightness":
            rgb = rgb + amount
        elif name == "contrast":
            rgb = (rgb - 0.5) * amount + 0.5
        else:
            h, s, v = colorsys.rgb_to_hsv(*np.clip(rgb, 0, 1))
            if name == "hue":
                h = (h + amount / (2 * np.pi)) % 1
            else:
                s = min(s * amount, 1)
            rgb = np.array(colorsys.hsv_to_rgb(h, s, v))
    return np.clip(rgb, 0, 1)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
def test_colour_in_any_order_equals_its_definition(order):
    rng = np.random.default_rng(order)
    image = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    for sign in (-1, 1):
        amounts = [0.12 * sign, 1 + 0.45 * sign, 1 - 0.45 * sign, 1.2 * sign]
        steps = [(colour.CHANGES[i], amounts[i]) for i in order]
        exact = [[255 * one_by_one(pixel, steps) for pixel in row] for row in image / 255]
        # Rounded once: half a level, and what float32 does to a value in between.
        np.testing.assert_allclose(colour.apply(image, colour.stages(steps)), exact, atol=0.51)


def test_the_device_changes_colours_as_the_host_does():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 16, 12, 3), dtype=np.uint8)
    images[:, 0] = images[:, 0, :, :1]  # greys have no hue
    images[:, 1] = rng.choice([0, 255], images[:, 1].shape)
    orders = itertools.permutations(zip(colour.CHANGES, (0.1, 1.4, 0.6, -1.2), strict=True))
    plans = [colour.stages(list(steps)) for steps in orders]
    kept = np.tile(np.array([[4, 2, 9, 7]], np.int32), (24, 1))
    given = (
        jnp.asarray(images / np.float32(255)),
        jnp.asarray(np.array(plans), jnp.float32),
        jnp.asarray(kept),
    )
    changed = 255 * device_colour.apply(*given)
    for image, plan, found in zip(images, plans, np.asarray(changed), strict=True):
        expected = colour.apply(image, plan)
        expected[4:9, 2:7] = image[4:9, 2:7]
        assert np.abs(expected.astype(int) - image).max() > 20
        # The host rounds to bytes.
        np.testing.assert_allclose(found, expected, atol=0.52)


def test_a_third_of_a_turn_makes_red_green():
    red = np.array([[[255, 0, 0]]], np.uint8)
    for turn, expected in ((1, [0, 255, 0]), (-1, [0, 0, 255])):
        turned = colour.apply(red, colour.stages([("hue", turn * 2 * np.pi / 3)]))
        np.testing.assert_array_equal(turned[0, 0], expected)


def test_colour_without_ranges_is_the_identity():
    image = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    none = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    for seed in range(20):
        same = colour.apply(image, colour.stages(colour.draw(np.random.default_rng(seed), **none)))
        np.testing.assert_array_equal(same, image)


# --------------------------------------------------------------------------------------- occlusion


def test_half_the_images_are_occluded_half_of_them_by_objects():
    rng = np.random.default_rng(0)
    kinds = [occlusion.draw_kind(rng, 0.5) for _ in range(4000)]
    shares = [kinds.count(kind) / 4000 for kind in ("objects", "erase", "none")]
    np.testing.assert_allclose(shares, [0.25, 0.25, 0.5], atol=0.03)
    assert {occlusion.draw_kind(rng, 0.0) for _ in range(50)} == {"none"}


def test_an_object_lies_where_it_is_pasted():
    occluder = np.full((5, 3, 4), 255, np.uint8)
    image = np.zeros((20, 30, 3), np.uint8)
    occlusion.paste(image, occluder, 1.0, (10.0, 7.0))
    expected = np.zeros_like(image)
    expected[5:10, 9:12] = 255
    np.testing.assert_array_equal(image, expected)
    for outside in ((-50.0, 3.0), (3.0, 99.0)):
        occlusion.paste(image, occluder, 1.0, outside)
    occlusion.paste(image, occluder, 1.0, (0.0, 19.0))  # cut at the corner
    expected[17:, :2] = 255
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("factor", [0.13, 0.4, 0.9])
def test_cut_away_colours_do_not_bleed_into_the_rim(factor):
    """A white object on white stays white, whatever its transparent pixels hold."""
    occluder = np.zeros((60, 60, 4), np.uint8)
    cv2.circle(occluder, (30, 30), 20, (255, 255, 255, 255), -1)
    image = np.full((64, 64, 3), 255, np.uint8)
    occlusion.paste(image, occluder, factor, (31.5, 31.5))
    np.testing.assert_allclose(image, 255, atol=2)
    image[:] = 0
    occlusion.paste(image, occluder, factor, (31.5, 31.5))
    np.testing.assert_allclose(image.sum() / 3 / 255, np.pi * (20.5 * factor) ** 2, rtol=0.06)


def test_every_occluder_is_used_at_every_size():
    """Also the last one, which an exclusive end would lose."""
    occluders = [np.full((40, 40, 4), 255, np.uint8) * np.uint8([[[i == 0, i == 1, i == 2, 1]]])
                 for i in range(3)]  # fmt: skip
    image = np.zeros((256, 256, 3), np.uint8)
    rng = np.random.default_rng(0)
    pasted = [occlusion.paste_objects(image, rng, occluders, max_objects=1) for _ in range(300)]
    areas = np.array([p.sum(axis=(0, 1)) / 255 for p in pasted])
    assert (areas.max(axis=0) > 38**2).all() and areas.max() <= 41**2
    assert (np.count_nonzero(areas, axis=0) > 70).all()
    assert not image.any()


def test_erased_rectangles_fit_and_have_the_stated_sizes():
    image = np.full((60, 80, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    shares, aspects = [], []
    for _ in range(400):
        changed = (
            occlusion.erase(image, rng, occlusion.draw_rectangle(rng, *image.shape[:2])) != image
        ).any(axis=-1)
        if not changed.any():
            continue
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert changed.sum() > 0.95 * tall * wide - 2  # noise hardly ever equals the grey
        shares.append(tall * wide / 4800)
        aspects.append(tall / wide if min(tall, wide) > 10 else 1.0)
    assert max(shares) < 1 / 3 + 0.03 and max(shares) > 0.27
    assert 0.27 < min(aspects) < 0.5 and 2 < max(aspects) < 3.7


# -------------------------------------------------------------------------------------- background


def test_composite_is_linear_in_a_soft_alpha():
    image, behind = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 3), dtype=np.uint8)
    alpha = np.array([[0, 64, 255], [128, 191, 255]], np.uint8)
    share = alpha[..., None] / 255
    exact = share * image + (1 - share) * behind
    np.testing.assert_allclose(background.composite(image, alpha, behind), exact, atol=1)
    hard = np.array([[0, 255, 255], [255, 0, 0]], np.uint8)
    chosen = np.where(hard[..., None] == 255, image, behind)
    np.testing.assert_array_equal(background.composite(image, hard, behind), chosen)


@pytest.mark.parametrize("shape", [(40, 90), (300, 200), (1, 1), (64, 64)])
def test_backgrounds_of_any_size_cover_the_crop(shape):
    picture = np.full((*shape, 3), 255, np.uint8)
    for seed in range(20):
        drawn = background.draw(picture, 64, np.random.default_rng(seed))
        assert drawn.shape == (64, 64, 3) and drawn.min() == 255


def test_background_shows_the_stated_part():
    """A ramp along x tells from where to where the crop looks."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 256, axis=0).repeat(3, axis=2)
    centres, widths = [], []
    for seed in range(300):
        drawn = background.draw(ramp, 128, np.random.default_rng(seed))[64, :, 0].astype(float)
        widths.append((drawn[100] - drawn[28]) / 72 * 128 / 256)
        centres.append((drawn[64] - 127.5) / 256 / widths[-1])
    assert 1 / 1.5 - 0.02 < min(widths) < 0.7 and 0.8 < max(widths) < 1 / 1.2 + 0.02
    assert -0.115 < min(centres) < -0.085 and 0.085 < max(centres) < 0.115


@pytest.mark.parametrize("size", [(7, 5), (40, 30), (100, 100), (33, 130)])
def test_resize_keeps_the_mean_of_a_smooth_picture(size):
    y, x = np.mgrid[:100, :100]
    picture = np.stack([x * 2, y * 2, 100 + 0 * x], axis=-1).astype(np.uint8)
    resized = resizing.resize(picture, *size)
    assert resized.shape == (*size, 3)
    np.testing.assert_allclose(resized.mean((0, 1)), picture.mean((0, 1)), atol=2.5)
