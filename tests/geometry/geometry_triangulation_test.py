"""Triangulation: planted points, noise, missing views, and what cannot be told."""

import numpy as np
import pytest

from acae_jax.geometry import cameras, triangulation


def rig(count, seed=0, distortion=None):
    """Cameras around the origin at 4 m, all looking at it."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 0.3, count)
    places = np.stack(
        [4000 * np.cos(angles), rng.uniform(-500, 500, count), 4000 * np.sin(angles)], 1
    )
    intrinsics = np.broadcast_to(
        np.array([[900.0, 2, 480], [0, 880, 360], [0, 0, 1]]), (count, 3, 3)
    )
    lens = None if distortion is None else np.broadcast_to(distortion, (count, len(distortion)))
    eye = np.broadcast_to(np.eye(3), (count, 3, 3))
    return cameras.turn_towards(
        cameras.create(intrinsics, eye, places, lens),
        world_point_mm=np.zeros((count, 3)),
        up=np.tile([0.0, -1.0, 0.0], (count, 1)),
    )


def seen_by(views, points):
    return cameras.project(views, np.broadcast_to(points, (len(views.position_mm), *points.shape)))


def points(seed=1, count=12):
    return np.random.default_rng(seed).uniform(-800, 800, (count, 3))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_planted_points_are_found_through_a_lens(count):
    views = rig(count, distortion=np.array([-0.2, 0.08, 0.001, -0.002, 0.0]))
    found = triangulation.triangulate(views, seen_by(views, points()))
    np.testing.assert_allclose(found, points(), atol=1e-3)


def test_a_point_needs_two_views_and_the_others_do_not_mind():
    views = rig(3)
    seen = seen_by(views, points())
    seen[:2, 0] = np.nan  # one view left
    seen[1, 1] = np.nan  # two left
    seen[:, 2] = np.nan
    found = triangulation.triangulate(views, seen)
    assert np.isnan(found[[0, 2]]).all()
    np.testing.assert_allclose(found[[1, *range(3, 12)]], points()[[1, *range(3, 12)]], atol=1e-3)


def test_views_from_one_place_tell_no_depth():
    view = rig(1)
    twice = cameras.Camera(*(np.concatenate([part, part]) for part in view))
    assert np.isnan(triangulation.triangulate(twice, seen_by(twice, points()))).all()


def test_noise_is_averaged_in_the_image_and_no_point_is_nearer():
    """The distance in the image is at its minimum, which the linear solution is not."""
    views = rig(4)
    rng = np.random.default_rng(2)
    # Near one of the cameras, where depths differ most.
    true = points() + 0.6 * views.position_mm[0]
    seen = seen_by(views, true)
    seen = seen + rng.normal(size=seen.shape) * 3
    found = triangulation.triangulate(views, seen)
    assert np.linalg.norm(found - true, axis=1).mean() < 15

    def squares(candidates):
        return ((seen_by(views, candidates) - seen) ** 2).sum((0, 2))

    best = squares(found)
    for _ in range(50):
        assert (squares(found + rng.normal(size=found.shape)) > best).all()
