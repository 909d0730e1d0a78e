"""The packaged detector finds people where they are; it is compiled for few shapes of images."""

import itertools

import numpy as np
import pytest

from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.geometry import boxes as box_geometry
from acae_jax.images import decoding, resizing
from acae_jax.inference import detection


@pytest.fixture(scope="module")
def detect():
    return detection.load()


@pytest.fixture(scope="module")
def people():
    """Rendered persons, each with the true box: two views of four takes."""
    studio = studios.STUDIOS["embedded_test"]
    made = [
        scenes.make(studio, 5, takes.make(studio, 5, take), 24 * take + view)
        for take in range(4)
        for view in range(2)
    ]
    return [(decoding.decode(record.image), record.box) for record in made]


def overlap(found, box):
    """Of every box found with the one box."""
    return box_geometry.iou(found[:, :4], np.broadcast_to(box, (len(found), 4)))


def framed(image, height, width, top, left):
    """The image on a larger grey one."""
    canvas = np.full((height, width, 3), 127, np.uint8)
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas


def test_rendered_people_are_found_once_and_where_they_are(detect, people):
    images, boxes = zip(*people, strict=True)
    found = detect(images)
    assert all(one.dtype == np.float32 for one in found)
    best = [overlap(one[:1], box).max(initial=0) for one, box in zip(found, boxes, strict=True)]
    assert sum(iou > 0.7 for iou in best) >= 7, best
    assert np.median(best) > 0.85
    assert sum(len(one) for one in found) <= 9


def test_people_whose_height_lies_between_two_strides_are_seen_clearly(detect, people):
    """A third of the image high: 137 px of a view of 416, which alone gives half of them 0.5."""
    images = [framed(image, 288, 288, 72, 72) for image, _ in people]
    scores = [max(one[:, 4], default=0.0) for one in detect(images, 0.1)]
    assert sum(score > 0.55 for score in scores) >= 7, scores


@pytest.mark.parametrize(("height", "width"), [(900, 1200), (675, 1200), (1200, 900)])
def test_people_of_a_tenth_of_the_image_are_found(detect, people, height, width):
    """They are 96 px high, less than a tenth; two views find half of them."""
    images, boxes = zip(*people, strict=True)
    top, left = (height - 144) // 3, (width - 144) // 3
    found = detect([framed(image, height, width, top, left) for image in images])
    moved = [box + np.array([left, top, 0, 0], np.float32) for box in boxes]
    best = [overlap(one, box).max(initial=0) for one, box in zip(found, moved, strict=True)]
    assert sum(iou > 0.5 for iou in best) >= 7, best


def test_people_cut_by_the_lower_border_are_found(detect, people):
    """Heads with shoulders, halves of people and people without shins; two views find 23 of 48."""
    parts, boxes = [], []
    for image, (x, y, width, height) in people:
        for share, aspect in itertools.product((0.35, 0.5, 0.7), (1, 4 / 3)):
            top, bottom = round(y - 8), round(y + share * height)
            wide = round((bottom - top) * aspect)
            left = min(max(0, round(x + width / 2 - wide / 2)), image.shape[1] - wide)
            parts.append(np.ascontiguousarray(image[top:bottom, left : left + wide]))
            moved = np.array([x - left, y - top, width, height], np.float32)
            boxes.append(box_geometry.intersect(moved, box_geometry.of_image(wide, bottom - top)))
    found = detect(parts)
    best = [overlap(one, box).max(initial=0) for one, box in zip(found, boxes, strict=True)]
    assert sum(iou > 0.5 for iou in best) >= 31, best


@pytest.mark.parametrize("scale", [1.5, 4.0, 11.0])
def test_boxes_are_in_pixels_of_the_image_at_any_size(detect, people, scale):
    """The image's edges stay its edges, so boxes count from there when pixels change size."""
    image, _ = people[0]
    (plain,) = detect([image])
    (scaled,) = detect([resizing.resize(image, *(round(n * scale) for n in image.shape[:2]))])
    half = np.array([0.5, 0.5, 0, 0], np.float32)
    back = (scaled[:1, :4] + half) / np.float32(scale) - half
    assert overlap(back, plain[0, :4])[0] > 0.9


@pytest.mark.parametrize(("height", "width"), [(144, 400), (500, 144), (300, 301)])
def test_a_person_who_stands_elsewhere_is_found_there(detect, people, height, width):
    image, box = people[0]
    for top, left in ((0, 0), (height - image.shape[0], width - image.shape[1])):
        (found,) = detect([framed(image, height, width, top, left)])
        moved = box + np.array([left, top, 0, 0], np.float32)
        assert overlap(found[:1], moved)[0] > 0.7


def test_two_people_are_two_boxes_and_the_limit_keeps_the_better(detect, people):
    image = np.concatenate([people[0][0], people[2][0]], axis=1)
    (both,) = detect([image], 0.4, 0.6, -1)
    assert len(both) == 2
    assert both[0, 4] >= both[1, 4]
    second = people[2][1] + np.array([people[0][0].shape[1], 0, 0, 0], np.float32)
    for box in (people[0][1], second):
        assert overlap(both, box).max() > 0.7
    (one,) = detect([image], 0.4, 0.6, 1)
    np.testing.assert_array_equal(one, both[:1])
    (few,) = detect([image], float(both[:, 4].mean()), 0.6, -1)
    np.testing.assert_array_equal(few, both[:1])


def test_boxes_end_at_the_edges(detect, people):
    image, box = people[0]
    cut = image[round(box[1] + box[3] / 2) - 70 : round(box[1] + box[3] / 2) + 10]
    (found,) = detect([np.ascontiguousarray(cut)], 0.01, 0.6, -1)
    assert len(found) > 0
    ends = found[:, :2] + found[:, 2:4]
    assert (found[:, :2] >= -0.5).all()
    assert (ends <= np.array([cut.shape[1], cut.shape[0]]) - 0.5 + 1e-3).all()
    assert (found[:, 2:4] > 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 3000), (3000, 2), (17, 5), (3000, 4000)])
def test_grey_images_of_any_size_show_nobody(detect, shape):
    (found,) = detect([np.full((*shape, 3), 127, np.uint8)])
    assert found.shape == (0, 5)
    assert found.dtype == np.float32


def test_no_images_no_boxes(detect):
    assert detect([]) == []


def test_the_network_is_compiled_once_for_each_view_of_a_shape(detect):
    detection._people.clear_cache()
    rng = np.random.default_rng(0)
    for count in range(1, 4):
        sides = rng.integers(20, 200, count)
        images = [rng.integers(0, 256, (3 * side, 4 * side, 3), np.uint8) for side in sides]
        assert [len(one) for one in detect(images, 0.0, 0.5, count)] == [count] * count
        assert detection._people._cache_size() == 3
    detect([images[0].transpose(1, 0, 2)])
    assert detection._people._cache_size() == 6


@pytest.mark.parametrize(
    ("size", "large"),
    [((9, 16), (448, 768)), ((3, 4), (512, 672)), ((2, 3), (512, 672)), ((1, 1), (576, 576)),
     ((4, 3), (672, 512)), ((1920, 1080), (768, 448)), ((1, 999), (448, 768))],
)  # fmt: skip
def test_images_are_drawn_on_canvases_of_their_shape(size, large):
    assert detection._views(*size)[0] == large


def test_all_shapes_of_images_take_about_the_same_time():
    areas = np.array(detection.CANVASES).prod(axis=-1).sum(axis=-1)
    assert (abs(areas / areas.mean() - 1) < 0.06).all()


def test_a_box_is_the_mean_of_the_views_with_finer_views_counting_more():
    """Three views of one person; a box too bad to be hers, and one of somebody else."""
    one = np.array([10, 10, 40, 80, 0.8], np.float32)
    aside, worse, other = [4, 0, 0, 0, -0.4], [0, 0, 0, 0, -0.5], [200, 0, 0, 0, 0]
    people = one + np.array([[0] * 5, aside, worse, other], np.float32)
    fineness = np.array([100, 400, 100, 100], np.float32)
    mean = detection._agreed(one, people, fineness)
    np.testing.assert_allclose(mean, [10 + 4 * 160 / 240, 10, 40, 80, 0.8], rtol=1e-6)


def test_the_threshold_changes_no_box(detect, people):
    image = np.concatenate([people[0][0], people[2][0]], axis=1)
    many, few = (detect([image], threshold)[0] for threshold in (0.2, 0.6))
    np.testing.assert_array_equal(many[: len(few)], few)
    assert len(few) == 2


def test_large_boxes_are_left_to_the_smaller_views():
    """A canvas of twice the image's px; boxes of it of 150 and 250 px, one too far to the right."""
    cells = np.array(
        [[40, 40, 150, 20, 0.9], [40, 40, 20, 250, 0.8], [401, 9, 5, 5, 0.7]], np.float32
    )
    boxes = detection._in_image(cells, (320, 400), 160, 200, np.inf)
    np.testing.assert_allclose(
        boxes, [[19.5, 19.5, 75, 10, 0.9], [19.5, 19.5, 10, 125, 0.8]], atol=1e-4
    )
    np.testing.assert_array_equal(detection._in_image(cells, (320, 400), 160, 200, 0.5), boxes[:1])


def test_images_in_one_call_do_not_change_each_other(detect, people):
    images = [image for image, _ in people[:3]]
    together = detect([images[0], np.zeros((50, 90, 3), np.uint8), images[1], images[2][:, ::-1]])
    for one, image in ((together[0], images[0]), (together[2], images[1])):
        np.testing.assert_allclose(one, detect([image])[0], atol=1e-3)
    np.testing.assert_array_equal(
        together[3], detect([np.ascontiguousarray(images[2][:, ::-1])])[0]
    )


def test_batches_for_accelerators_give_the_same_boxes(detect, people, monkeypatch):
    images = [image for image, _ in people] + [np.zeros((50, 90, 3), np.uint8), people[0][0]]
    apart = detect(images)
    monkeypatch.setattr(detection.jax, "default_backend", lambda: "gpu")
    for one, other in zip(apart, detect(images), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-2)


@pytest.mark.parametrize("limit", [0.0, 0.3, 0.7, 1.0])
def test_suppression_keeps_the_best_of_what_overlaps(limit):
    rng = np.random.default_rng(1)
    boxes = rng.uniform([0, 0, 10, 10], [60, 60, 60, 60], (200, 4)).astype(np.float32)
    kept = detection.suppress(boxes, limit)
    assert kept[0] == 0
    assert (np.diff(kept) > 0).all()
    for index in range(len(boxes)):
        better = boxes[kept[kept < index]]
        hidden = (overlap(better, boxes[index]) > limit).any()
        assert hidden == (index not in kept)


def test_bad_input_is_refused_in_one_line(detect):
    grey = np.zeros((40, 30), np.uint8)
    for image in (grey, np.zeros((40, 30, 4), np.uint8), np.zeros((40, 30, 3)), grey[:0, :, None]):
        with pytest.raises(ValueError, match=r"takes RGB, uint8 \(h, w, 3\)"):
            detect([image])
    with pytest.raises(ValueError, match=r"threshold is 35.0: choose it from 0 to 1"):
        detect([], 35.0)
    with pytest.raises(ValueError, match=r"nms_iou_threshold is nan"):
        detect([], 0.5, float("nan"))


def test_mirror_images_are_looked_at_too():
    """A detector that sees red in the left half only; boxes come back in the image's own pixels."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 5:15, 0] = 200  # of [4.5, 14.5]
    image[5:35, 45:52, 0] = 250  # of [44.5, 51.5]

    def detector(images, threshold, overlap, most):
        assert (threshold, overlap) == (0.3, 0.5)
        boxes = []
        for one in images:
            rows, columns = np.nonzero(one[:, :30, 0])
            if not len(rows):
                boxes.append(np.zeros((0, 5), np.float32))
                continue
            left, top = columns.min() - 0.5, rows.min() - 0.5
            size = (columns.max() + 0.5 - left, rows.max() + 0.5 - top)
            boxes.append(np.array([[left, top, *size, one.max() / 255]], np.float32))
        return boxes

    blank = np.zeros((20, 30, 3), np.uint8)
    people, nobody = detection.with_mirror_images(detector, [image, blank], 0.3, 0.5, -1)
    expected = [[44.5, 4.5, 7, 30, 250 / 255], [4.5, 9.5, 10, 20, 250 / 255]]
    np.testing.assert_allclose(people[np.argsort(-people[:, 0])], expected, atol=1e-5)
    assert nobody.shape == (0, 5)
    one, _ = detection.with_mirror_images(detector, [image, blank], 0.3, 0.5, 1)
    assert one.shape == (1, 5)


def test_who_is_seen_in_both_images_is_there_once():
    image = np.zeros((40, 60, 3), np.uint8)
    image[0, 0] = 255  # tells the image from its mirror image

    def detector(images, threshold, overlap, most):
        plain = np.array([[10, 5, 20, 30, 0.7], [40, 5, 10, 20, 0.6]], np.float32)
        turned = np.array([[60 - 1 - 11 - 20, 5, 20, 30, 0.9]], np.float32)
        return [plain if one[0, 0, 0] else turned for one in images]

    (people,) = detection.with_mirror_images(detector, [image], 0.3, 0.5, -1)
    np.testing.assert_allclose(people, [[11, 5, 20, 30, 0.9], [40, 5, 10, 20, 0.6]])
