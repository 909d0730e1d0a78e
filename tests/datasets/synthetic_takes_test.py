"""Who does what in which dataset: the 100 mm rule, separation of training and test, sizes."""

import itertools

import numpy as np
import pytest

from acae_jax.datasets.synthetic import actions, body, motions, studios, takes

TRAINING = [s for s in studios.STUDIOS.values() if s.format != studios.EVERY]
TEST = studios.STUDIOS["embedded_test"]


def test_the_rule_itself():
    pose = np.zeros((4, 3))
    near, far = pose.copy(), pose.copy()
    near[2] = [60, 60, 0]
    far[2] = [80, 60, 0]
    assert takes.moved(pose, None)
    assert not takes.moved(near, pose)
    assert takes.moved(far, pose)


@pytest.mark.parametrize("name", ["embedded_mixamo", "embedded_markers", "embedded_test"])
@pytest.mark.parametrize("index", range(3))
def test_kept_frames_are_no_near_repeats(name, index):
    studio = studios.STUDIOS[name]
    take = takes.make(studio, 1, index)
    assert len(take.vertices_mm) == takes.FRAMES
    joints = [takes.labels(body.load(), studio.format, v) for v in take.vertices_mm]
    for last, now in itertools.pairwise(joints):
        assert np.linalg.norm(now - last, axis=1).max() >= takes.NEAR_REPEAT_MM


def test_nobody_sinks_into_the_floor():
    skin = body.load().skin_count
    for index in range(4):
        for vertices in takes.make(studios.STUDIOS["embedded_mh_default"], 2, index).vertices_mm:
            assert vertices[:skin, 1].min() > -1e-2


def test_a_take_is_a_function_of_its_arguments():
    studio = studios.STUDIOS["embedded_coco_body"]
    first, again, other = (takes.make(studio, s, 4) for s in (7, 7, 8))
    np.testing.assert_array_equal(first.vertices_mm, again.vertices_mm)
    assert first.key == again.key
    assert not np.array_equal(first.vertices_mm[0], other.vertices_mm[0])


def test_training_never_sees_the_test_motions():
    for studio in TRAINING:
        assert not set(studio.motions) & set(TEST.motions)
        assert set(studio.motions) <= set(motions.load()) | set(actions.ACTIONS)
        assert "_test" not in studio.name
    assert set(TEST.motions) == set(studios.TEST_MOTIONS)
    # Every clip and key pose is used somewhere.
    used = {name for studio in studios.STUDIOS.values() for name in studio.motions}
    assert used == set(motions.load()) | set(actions.ACTIONS)


def test_training_never_sees_the_test_people_or_rooms():
    def people(studio):
        return {takes._subject(studio, 0, k)[0] for k in range(studio.subjects)}

    tested = people(TEST)
    assert len(tested) == TEST.subjects
    for studio in TRAINING:
        assert not people(studio) & tested
    streams = [
        studios.stream(0, studio, purpose, 0).random()
        for studio in studios.STUDIOS.values()
        for purpose in ("take", "subject", "room", "picture", "session")
    ]
    assert len(set(streams)) == len(streams)


def test_every_format_has_its_dataset_and_each_labels_its_own():
    assert [s.format for s in TRAINING if not s.labels_2d] == list(body.FORMATS)
    assert [s.format for s in TRAINING if s.labels_2d] == ["coco_body"]
    assert len({(s.rig, s.noise_mm, s.wardrobe) for s in studios.STUDIOS.values()}) == 8
    vertices = takes.make(TEST, 0, 0).vertices_mm[0]
    together = takes.labels(body.load(), studios.EVERY, vertices)
    apart = [body.joints(body.load(), name, vertices) for name in body.FORMATS]
    np.testing.assert_array_equal(together, np.concatenate(apart))


def test_sizes():
    assert studios.count(TEST, "tiny") == 24
    with pytest.raises(ValueError, match="choose one of tiny, quick, full"):
        studios.count(TEST, "huge")
