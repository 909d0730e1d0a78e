"""Looks lead from a box to the person, however the box cuts and however the person lies."""

import math

import numpy as np
import pytest

from acae_jax.bundles.bundle import Bundle
from acae_jax.bundles.facts import Facts, Looks, Selection
from acae_jax.geometry import cameras
from acae_jax.inference import arguments, cropping, looks
from acae_jax.inference.estimator import Estimator

SIDE_PX = 64
RULES = Looks(middle=0, top=1)
UP = np.array([0.0, -1.0, 0.0])
INTRINSICS = np.array([[500.0, 0, 320], [0, 500.0, 240], [0, 0, 1]])


def scene(height_px=480) -> arguments.Scene:
    return arguments.Scene(np.zeros((height_px, 640, 3), np.uint8), cameras.create(INTRINSICS))


def region_in(frame, true_px):
    """Middle and top of the true region, in px of a frame of the scene."""
    return cameras.reproject(cameras.create(INTRINSICS), frame.camera, true_px)


def angle_from_up(region_px) -> float:
    x, y = region_px[1] - region_px[0]
    return abs(math.atan2(x, -y))


def settle(look, boxes, rules=RULES, height_px=480):
    return looks.settled(look, rules, scene(height_px), np.array(boxes, float), SIDE_PX, UP)


def sure_of(true_px):
    """A network that sees the true region wherever it looks."""
    return lambda frames: [looks.Seen(region_in(frame, true_px), 10.0) for frame in frames]


@pytest.mark.parametrize("box", [(200, 100, 80, 200), (150, 150, 300, 120), (260, 60, 90, 90)])
@pytest.mark.parametrize("top", [(250.0, 120.0), (330.0, 260.0)])
def test_the_last_look_is_centred_upright_and_in_scale(box, top):
    true_px = np.array([[240.0, 210.0], top])
    (frame,) = settle(sure_of(true_px), [box])
    middle_px, top_px = region_in(frame, true_px)
    centre = (SIDE_PX - 1) / 2
    np.testing.assert_allclose(middle_px, [centre, centre], atol=1e-6)
    np.testing.assert_allclose(top_px, [centre, centre - SIDE_PX / RULES.radii], atol=1e-6)


def test_the_extent_is_the_side_in_px_of_the_image():
    true_px = np.array([[320.0, 240.0], [320.0, 200.0]])  # at the principal point
    (frame,) = settle(sure_of(true_px), [(300, 180, 50, 100)])
    assert frame.extent_px == pytest.approx(RULES.radii * 40, rel=0.02)


@pytest.mark.parametrize("whole", [1.0, 1.5, 2.2])
@pytest.mark.parametrize("box", [(200, 280, 80, 200), (200, 0, 80, 200)])
def test_a_box_at_the_edge_may_go_on(box, whole):
    """The network sees the middle of the frame wherever it looks, but is right only of one."""
    first = []

    def look(frames):
        first.append(len(frames))
        extents = np.array([frame.extent_px for frame in frames])
        seen = []
        for extent in extents:
            off = 0.0 if math.isclose(extent, whole * 200 * RULES.margin) else 10.0
            middle = np.full(2, (SIDE_PX - 1) / 2) + off
            seen.append(looks.Seen(np.stack([middle, middle - [0, SIDE_PX / 2.5]]), 10.0))
        return seen

    (frame,) = settle(look, [box])
    assert first[0] == 3
    assert frame.extent_px == pytest.approx(whole * 200 * RULES.margin, rel=1e-6)
    shown = cameras.reproject(frame.camera, scene().camera, np.full(2, (SIDE_PX - 1) / 2))
    goes_down = box[1] > 0
    middle = box[1] + 100 + (1 if goes_down else -1) * 100 * (whole - 1)
    assert shown[1] == pytest.approx(middle, abs=1)


def test_a_whole_box_is_looked_at_once():
    counts = []

    def look(frames):
        counts.append(len(frames))
        return sure_of(np.array([[240.0, 210.0], [250.0, 120.0]]))(frames)

    settle(look, [(200, 100, 80, 200), (20, 30, 60, 50)])
    assert counts == [2]


def knows_upright_people_only(true_px, unsure_mm, sure_mm=15.0):
    """Of others it says that they are where the frame is, and is unsure."""

    def look(frames):
        seen = []
        for frame in frames:
            region_px = region_in(frame, true_px)
            if angle_from_up(region_px) < 0.6:
                seen.append(looks.Seen(region_px, sure_mm))
            else:
                middle = np.full(2, (SIDE_PX - 1) / 2)
                up = np.stack([middle, middle - [0, SIDE_PX / 2.5]])
                seen.append(looks.Seen(up, unsure_mm))
        return seen

    return look


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_lying_person_in_a_wide_box_is_turned_upright(sign):
    true_px = np.array([[240.0, 210.0], [240.0 + sign * 90, 200.0]])
    (frame,) = settle(knows_upright_people_only(true_px, 50.0, 49.0), [(150, 170, 180, 80)])
    assert angle_from_up(region_in(frame, true_px)) < 1e-6


def test_after_a_turn_the_second_look_counts():
    """The look at the turned box is a little off; that at its region is not."""
    true_px = np.array([[240.0, 210.0], [150.0, 200.0]])
    knows, calls = knows_upright_people_only(true_px, 50.0, 20.0), []

    def look(frames):
        calls.append(len(frames))
        shift_px = 4.0 if len(calls) == 2 else 0.0
        return [seen._replace(region_px=seen.region_px + shift_px) for seen in knows(frames)]

    (frame,) = settle(look, [(150, 170, 180, 80)])
    assert calls == [1, 3, 4]
    np.testing.assert_allclose(region_in(frame, true_px)[0], (SIDE_PX - 1) / 2, atol=1e-6)


@pytest.mark.parametrize(("sure_mm", "is_turned"), [(15.0, True), (25.0, False)])
@pytest.mark.parametrize("top", [(150.0, 200.0), (245.0, 300.0)])
def test_in_a_tall_box_a_turn_must_be_plainly_better(sure_mm, is_turned, top):
    true_px = np.array([[240.0, 210.0], top])
    (frame,) = settle(knows_upright_people_only(true_px, 50.0, sure_mm), [(200, 110, 80, 200)])
    assert (angle_from_up(region_in(frame, true_px)) < 0.1) == is_turned


@pytest.mark.parametrize("radius", [0.0, np.nan, 1e6])
def test_a_region_that_is_no_person_changes_nothing(radius):
    def look(frames):
        middle = np.full(2, 20.0)
        return [looks.Seen(np.stack([middle, middle - [0, radius]]), 10.0) for _ in frames]

    (frame,) = settle(look, [(200, 100, 80, 200)])
    assert frame.extent_px == pytest.approx(200 * RULES.margin)


def spots(images, intrinsics):
    """A network that sees two spots, a red one and the green top of its region, 2 m away."""
    positions = []
    for channel in range(2):
        weights = np.square(images[..., channel].astype(np.float64)) + 1e-9
        y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
        total = weights.sum((1, 2))
        at = [(weights * axis).sum((1, 2)) / total for axis in (x, y)]
        plane = cameras.to_plane(intrinsics.astype(np.float64), np.stack(at, -1)[:, None])
        positions.append(np.concatenate([plane, np.ones_like(plane[..., :1])], -1) * 2000)
    return np.concatenate(positions, 1).astype(np.float32), np.full((len(images), 2), 10.0)


@pytest.mark.parametrize("num_aug", [1, 2])
def test_the_estimator_returns_what_the_last_look_saw(num_aug):
    at_px = {0: (400.0, 300.0), 1: (440.0, 230.0)}
    image = np.zeros((480, 640, 3), np.uint8)
    y, x = np.mgrid[:480, :640]
    for channel, (u, v) in at_px.items():
        image[..., channel] = 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 50)
    skeleton = Selection((0, 1), ("nose", "neck"), ((0, 1),))
    facts = Facts(
        "spots", SIDE_PX, ("nose", "neck"), ((0, 1),), {"all": skeleton}, "all", (), None, {}
    )
    calls = []

    def crop_model(images, intrinsics):
        calls.append(len(images))
        return spots(images, intrinsics)

    opened = Bundle(None, "", facts._replace(looks=RULES), None, crop_model)
    people = Estimator(opened).estimate_poses(
        image, [(360, 190, 120, 200)], intrinsic_matrix=INTRINSICS, num_aug=num_aug
    )
    expected = [at_px[0], at_px[1]]
    np.testing.assert_allclose(people["poses2d"][0], expected, atol=1.5)
    assert calls[0] == 1 and sum(calls) >= 1 + num_aug


def test_an_image_is_made_smaller_once_for_all_looks(monkeypatch):
    made = []

    def levels(image, create=cropping.Levels):
        made.append(image.shape)
        return create(image)

    monkeypatch.setattr(cropping, "Levels", levels)
    image = np.zeros((480, 640, 3), np.uint8)
    skeleton = Selection((0, 1), ("nose", "neck"), ((0, 1),))
    rules = RULES._replace(doubt_mm=5.0)  # so that there are three looks
    facts = Facts(
        "spots", SIDE_PX, ("nose", "neck"), ((0, 1),), {"": skeleton}, "", (), None, {}, looks=rules
    )
    estimator = Estimator(Bundle(None, "", facts, None, spots))
    boxes = [np.zeros((0, 4)), [(360, 190, 120, 200), (60, 100, 100, 210)]]
    estimator.estimate_poses_batched([image[:300], image], boxes)
    assert made == [(480, 640, 3)]
