"""Frames become records; what is broken is counted, what is wrong stops the build."""

from functools import partial

import miniature
import numpy as np
import pytest

from acae_jax.datasets import frames_to_records, release
from acae_jax.datasets.frames_to_records import Tally
from acae_jax.datasets.official import h36m
from acae_jax.datasets.release import Frame, Person
from acae_jax.datasets.steps import person_boxes
from acae_jax.geometry import cameras
from acae_jax.images import decoding, masks

GIVEN = h36m.RELEASE._replace(boxes=person_boxes.given, finds_masks=False)
CAMERA = miniature.ring(1)[0]
PEOPLE_MM = miniature.people_mm(25, 4, people=2)


def person(mm, number=0, **changes) -> Person:
    seen_px = frames_to_records.projected_px(CAMERA, mm)
    return Person(f"p{number}", mm, seen_px, miniature.box(CAMERA, mm, 1.1))._replace(**changes)


def frame(index=0, image=None, people=None, camera=CAMERA) -> Frame:
    joints_mm = PEOPLE_MM[index]
    people = [person(mm, n) for n, mm in enumerate(joints_mm)] if people is None else people
    image = miniature.picture(CAMERA, joints_mm) if image is None else image
    return Frame(image, camera, tuple(people), "clip", index, "left", release.Z_UP)


def records(frames, facts=GIVEN):
    tally = Tally(facts)
    made = list(frames_to_records.records(facts, frames, miniature.networks(), tally))
    return made, tally


def test_records_have_everything(tmp_path):
    made, tally = records([frame(0), frame(1)])
    assert [r.key for r in made] == [f"h36m/clip/left/{f:06d}/p{p}" for f in (0, 1) for p in (0, 1)]
    for record, mm in zip(made, PEOPLE_MM[:2].reshape(4, 25, 3), strict=True):
        miniature.assert_joints(record.joints_mm, mm)
        miniature.assert_marked(record)
        np.testing.assert_allclose(record.position_mm, CAMERA.position_mm, atol=1e-3)
        # The box of the crop holds the joints, with a tenth of room.
        camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        seen_px = cameras.project(camera, record.joints_mm)
        left_top, size = record.box[:2], record.box[2:]
        assert (seen_px > left_top).all() and (seen_px < left_top + size).all()
        assert not len(record.mask_rle) and not len(record.joints_px)
    assert tally.error_px() < 1e-6
    assert tally.summary()["records"] == 4 and tally.summary()["labels_2d"] == 100


def test_a_broken_image_costs_its_frame_and_is_named():
    def broken():
        raise ValueError("cut short")

    made, tally = records([frame(0), frame(1, image=broken), frame(2)])
    assert [r.frame for r in made] == [0, 0, 2, 2]
    assert tally.broken == ["h36m/clip/left/000001: cut short"]
    assert tally.left_out == {"broken": 1} and tally.frames == 3


def test_a_video_that_ends_early_keeps_what_it_has():
    def frames():
        yield frame(0)
        raise OSError("the disk is gone")

    made, tally = records(frames())
    assert len(made) == 2
    assert tally.broken == ["after h36m/clip/left/000000: the disk is gone"]


def test_a_broken_label_costs_its_person():
    wrong = person(PEOPLE_MM[0, 0], box=np.array([400.0, 10, 20, 20]))
    nan = person(PEOPLE_MM[0, 0], 1, box=np.full(4, np.nan))
    good = person(PEOPLE_MM[0, 1], 2)
    made, tally = records([frame(0, people=[wrong, nan, good])])
    assert [r.person for r in made] == ["p2"] and tally.left_out == {"no box": 2}


@pytest.mark.parametrize("fault", ["mirrored", "shifted", "metres", "swapped"])
def test_labels_that_do_not_fit_stop_the_build(fault):
    joints_mm, camera = PEOPLE_MM[:, 0].copy(), CAMERA
    labels = [person(mm).joints_px for mm in joints_mm]
    if fault == "mirrored":  # the image was, the camera was not
        labels = [[miniature.SIZE[0] - 1, 0] + px * [-1, 1] for px in labels]
    elif fault == "shifted":
        camera = CAMERA._replace(position_mm=CAMERA.position_mm + np.array([200.0, 0, 0]))
    elif fault == "metres":
        joints_mm /= 1000
    else:  # another order of the joints
        joints_mm = joints_mm[:, ::-1]
    people = [[Person("a", m, px)] for m, px in zip(joints_mm, labels, strict=True)]
    frames = [frame(i, people=p, camera=camera) for i, p in enumerate(people)]
    with pytest.raises(ValueError, match=r"3D labels miss the release's 2D labels by .* px"):
        records(frames)


def test_two_records_of_one_key_stop_the_build():
    with pytest.raises(ValueError, match="two records have the key 'h36m/clip/left/000000/p0'"):
        records([frame(0), frame(0)])


def test_boxes_of_the_detector_and_masks_of_the_network():
    facts = GIVEN._replace(
        boxes=partial(person_boxes.detected, factor=1.25, least_iou=0.1), finds_masks=True
    )
    people = [person(PEOPLE_MM[0, 0], is_kept=False), person(PEOPLE_MM[0, 1], 1)]
    made, tally = records([frame(0, people=people)], facts)
    assert [r.person for r in made] == ["p1"] and tally.masks == 1
    mask = masks.decode(made[0].mask_rle, *decoding.size(made[0].image))
    width, height = made[0].box[2:]
    assert abs(mask.sum() - width * height) < 0.05 * width * height


def test_given_masks_are_warped_with_the_image():
    one_mm = PEOPLE_MM[0, 0]
    shown = miniature.mask(CAMERA, one_mm)
    picture = miniature.picture(CAMERA, [one_mm])
    made, _ = records([frame(0, picture, [person(one_mm, mask=lambda: shown)])])
    image = decoding.decode(made[0].image).astype(int)
    mask = masks.decode(made[0].mask_rle, *image.shape[:2]).astype(bool)
    coloured = (
        (np.abs(image - miniature.COLOURS[0]).max(axis=-1) < 60)
        | (image[..., 1] - image[..., 0] > 100)  # the mark
    )
    assert (mask & coloured).sum() / (mask | coloured).sum() > 0.93


def test_2d_datasets_without_a_camera():
    facts = GIVEN._replace(format="coco_2d")
    joints_px = np.full((17, 2), np.nan)
    joints_px[0] = person(PEOPLE_MM[0, 0]).joints_px[0]
    one = Person("p", np.zeros((0, 3)), joints_px, miniature.box(CAMERA, PEOPLE_MM[0, 0]))
    (record,), tally = records([frame(0, people=[one], camera=None)], facts)
    (mark, *_) = sorted(
        miniature.marks_px(decoding.decode(record.image)),
        key=lambda px: np.linalg.norm(px - record.joints_px[0]),
    )
    np.testing.assert_allclose(mark, record.joints_px[0], atol=0.7)
    assert np.isnan(record.joints_px[1:]).all() and record.joints_mm.shape == (0, 3)
    assert tally.error_px() is None


def test_joints_behind_the_camera_are_not_seen():
    behind = CAMERA.position_mm - 1000 * CAMERA.rotation[2]
    points_mm = np.stack([PEOPLE_MM[0, 0, 0], behind, np.full(3, np.nan)])
    seen_px = frames_to_records.projected_px(CAMERA, points_mm)
    assert np.isfinite(seen_px[0]).all() and np.isnan(seen_px[1:]).all()
