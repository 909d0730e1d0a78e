"""Cameras come back from what they saw: planted ones to less than 0.1 px."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from acae_jax.datasets.steps import placed
from acae_jax.geometry import cameras

RANDOM = np.random.default_rng(0)
MIDDLE_MM = np.array([3e6, -2e6, 4e4])  # a world of kilometres
BODY_MM = MIDDLE_MM + RANDOM.normal(scale=[250, 250, 500], size=(25, 3))
ELSEWHERE_MM = MIDDLE_MM + RANDOM.normal(scale=[250, 250, 500], size=(200, 3))


def planted(intrinsics, distortion=None, seed=0):
    """A camera 3 to 6 m away that looks at the body, anyhow turned."""
    random = np.random.default_rng(seed)
    away = random.normal(size=3)
    position = MIDDLE_MM + random.uniform(3000, 6000) * away / np.linalg.norm(away)
    camera = cameras.create(intrinsics, position_mm=position, distortion=distortion)
    camera = cameras.turn_towards(camera, world_point_mm=MIDDLE_MM, up=random.normal(size=3))
    return cameras.roll(camera, random.uniform(-3, 3))


def check(found, camera, limit_px=0.1):
    """The two see other points at the same pixels, though they are kilometres from the origin."""
    difference = cameras.project(found, ELSEWHERE_MM) - cameras.project(camera, ELSEWHERE_MM)
    assert np.abs(difference).max() < limit_px
    assert np.linalg.det(found.rotation) == pytest.approx(1)


K = np.array([[700.0, 0, 320], [0, 700, 240], [0, 0, 1]])
LENS = np.array([-0.25, 0.1, 0.002, -0.001, 0.01, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("lens", [None, LENS], ids=["pinhole", "lens"])
@pytest.mark.parametrize("seed", range(6))
def test_a_camera_of_known_intrinsics(lens, seed):
    camera = planted(K, lens, seed)
    points_px = cameras.project(camera, BODY_MM)
    points_px[3], points_px[7, 0] = np.nan, np.nan
    body = BODY_MM.copy()
    body[9, 2] = np.nan
    found = placed.camera_at(body, points_px, K, lens)
    check(found, camera, 1e-3)
    np.testing.assert_allclose(found.position_mm, camera.position_mm, atol=0.1)


def test_fourteen_joints_with_labels_of_half_a_pixel():
    camera = planted(K)
    points_px = cameras.project(camera, BODY_MM[:14]) + RANDOM.normal(scale=0.5, size=(14, 2))
    check(placed.camera_at(BODY_MM[:14], points_px, K), camera, 2.0)


def test_the_squared_distances_are_least():
    """A step of Newton's method from the found place and orientation leads nowhere."""
    camera = planted(K, seed=1)
    points_px = cameras.project(camera, BODY_MM) + RANDOM.normal(scale=2, size=(25, 2))
    found = placed.camera_at(BODY_MM, points_px, K)

    def error_px(step):
        turn = Rotation.from_rotvec(step[3:]).as_matrix()
        position_mm = found.position_mm + step[:3]
        moved = found._replace(position_mm=position_mm, rotation=turn @ found.rotation)
        return (cameras.project(moved, BODY_MM) - points_px).ravel()

    small = np.diag([0.1, 0.1, 0.1, 1e-5, 1e-5, 1e-5])
    change = np.array([(error_px(step) - error_px(-step)) / 2 for step in small])
    steps = np.linalg.lstsq(change.T, error_px(np.zeros(6)))[0] * small.sum(0)
    assert np.abs(steps[:3]).max() < 0.01 and np.abs(steps[3:]).max() < 1e-5


@pytest.mark.parametrize("degrees", [27, 40, 60, 85, 110])
@pytest.mark.parametrize("seed", range(3))
def test_a_camera_of_unknown_focal_length(degrees, seed):
    k = cameras.field_of_view(math.radians(degrees), 1280, 800).astype(float)
    k[:2, 2] = 640, 400
    camera = planted(k, seed=seed)
    points_px = cameras.project(camera, BODY_MM)
    points_px[3] = np.nan
    found = placed.camera_of_unknown_focal_length(BODY_MM, points_px, 1280, 800, (640.0, 400.0))
    assert found.intrinsics[0, 0] == pytest.approx(k[0, 0], rel=1e-4)
    assert found.intrinsics[:2, 2].tolist() == [640, 400]
    check(found, camera)


def test_intrinsics_of_a_camera_that_sees_its_own_space():
    k = np.array([[1490.0, 0, 1031.5], [0, 1505, 1055.25], [0, 0, 1]])
    points = RANDOM.normal(scale=800, size=(60, 3)) + np.array([0, 0, 4000])
    points_px = cameras.project(cameras.create(k), points)
    points_px[5] = np.nan
    np.testing.assert_allclose(placed.intrinsics(points, points_px), k, atol=1e-6)


def test_what_cannot_be_solved_is_one_line():
    camera = planted(K)
    points_px = cameras.project(camera, BODY_MM)
    with pytest.raises(ValueError, match=r"^5 points have a place and a pixel; at least 6 are"):
        placed.camera_at(BODY_MM[:5], points_px[:5], K)
    line = MIDDLE_MM + np.linspace(-900, 900, 20)[:, None] * [0.1, 0.2, 1]
    with pytest.raises(ValueError, match=r"^the points lie on one line"):
        placed.camera_at(line, cameras.project(camera, line), K)
    flat = RANDOM.normal(scale=500, size=(20, 3)) * [1, 0, 1] + [0, 0, 4000]
    with pytest.raises(ValueError, match=r"^the points lie on one row or column"):
        placed.intrinsics(flat, cameras.project(cameras.create(K), flat))
    around = RANDOM.normal(scale=1000, size=(20, 3))
    for solve in (
        lambda *points: placed.camera_at(*points, K),
        lambda *points: placed.camera_of_unknown_focal_length(*points, 640, 480, (320.0, 240.0)),
    ):
        with pytest.raises(ValueError, match=r"^no camera has all points in front"):
            solve(around, cameras.project(cameras.create(K), around))
