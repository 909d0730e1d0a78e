"""The pictures show what the records say: rasteriser, crops, masks, joints."""

import cv2
import numpy as np
import pytest

from acae_jax.data import crop_record, schema
from acae_jax.datasets import record_pictures
from acae_jax.datasets.synthetic import body, render, scenes, studios, takes
from acae_jax.geometry import cameras
from acae_jax.images import decoding, masks, props

SIDE_PX = scenes.side_px(scenes.PERSON_PX)


def _sphere(radius: float, rows: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Vertices around the origin and outward counter-clockwise faces."""
    polar = np.linspace(0, np.pi, rows)[:, None]
    around = np.linspace(0, 2 * np.pi, rows, endpoint=False)[None]
    grid = [
        np.sin(polar) * np.cos(around),
        np.sin(polar) * np.sin(around),
        np.cos(polar) + 0 * around,
    ]
    a = np.arange(rows - 1)[:, None] * rows + np.arange(rows)[None]
    b = np.arange(rows - 1)[:, None] * rows + (np.arange(rows)[None] + 1) % rows
    quads = np.stack([a, a + rows, b + rows, b], axis=-1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return radius * np.stack(grid, axis=-1).reshape(-1, 3), faces


def _seen(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An orthographic view along +z with y down, so that a right-handed mesh is seen unmirrored."""
    return points[:, :2] + 32, points[:, 2] + 500


def test_a_sphere_is_a_disc_without_seams_and_shows_its_front():
    vertices, faces = _sphere(25.0)
    pixels, depth = _seen(vertices)
    visible = render.rasterise(pixels, depth, faces, 64)
    shown = np.zeros(64 * 64, bool)
    shown[visible.pixels] = True
    y, x = np.divmod(np.arange(64 * 64), 64)
    radius = np.hypot(x - 32, y - 32)
    assert shown[radius < 24].all()
    assert not shown[radius > 25.01].any()
    position = render.interpolate(visible, vertices, faces)
    np.testing.assert_allclose(position[:, 0] + 32, visible.pixels % 64, atol=1e-2)
    np.testing.assert_allclose(position[:, 1] + 32, visible.pixels // 64, atol=1e-2)
    assert (position[radius[visible.pixels] < 24, 2] < 0).all()
    normals = render.vertex_normals(vertices, faces)
    inner = np.abs(vertices[:, 2]) < 24
    np.testing.assert_allclose(normals[inner], vertices[inner] / 25, atol=0.05)


def test_the_nearer_of_two_triangles_wins():
    corners = np.array([[0, 0], [0, 40], [40, 0.0]])
    pixels = np.concatenate([corners, corners])
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    for near, depths in ((0, [900, 1000]), (1, [1000, 900])):
        visible = render.rasterise(pixels, np.repeat(np.array(depths, float), 3), faces, 48)
        assert set(visible.faces) == {near}
    assert not len(render.rasterise(pixels, np.full(6, 9.0), faces[:, ::-1], 48).pixels)
    assert not len(render.rasterise(pixels, np.full(6, -9.0), faces, 48).pixels)


@pytest.fixture(scope="module", params=sorted(studios.STUDIOS))
def made(request):
    studio = studios.STUDIOS[request.param]
    take = takes.make(studio, 5, 2)
    return studio, take, [scenes.make(studio, 5, take, 24 + k) for k in range(3)]


def test_records_have_the_schema(made):
    studio, _, found = made
    for record in found:
        schema.check(crop_record.SCHEMA, record)
        assert decoding.decode(record.image).shape == (SIDE_PX, SIDE_PX, 3)
        names, _ = record_pictures.skeleton(record.format)
        assert len(names) == len(record_pictures.joints_px(record))
        assert (record.format == scenes.LABELS_2D) == studio.labels_2d
        # 2D datasets tell no depth.
        assert (len(record.joints_mm) == 0) == studio.labels_2d
    assert len({record.key for record in found}) == 3


def test_joints_lie_on_the_person(made):
    studio, take, found = made
    # Labels are noisy, and markers on the crown of the head or behind the heel touch the outline.
    slack = 3 * studio.noise_mm / 10 + 4
    assets = body.load()
    for k, record in enumerate(found):
        x, y, w, h = record.box
        points = record_pictures.joints_px(record)
        points = points[np.isfinite(points).all(axis=1)]
        assert (points > [x - slack, y - slack]).all()
        assert (points < [x + w + slack, y + h + slack]).all()
        centre = (SIDE_PX - 1) / 2
        np.testing.assert_allclose([x + w / 2, y + h / 2], centre, atol=1e-3)
        np.testing.assert_allclose(max(w, h) * scenes.MARGIN, SIDE_PX, rtol=1e-4)
        if not studio.labels_2d:
            vertices = take.vertices_mm[(24 + k) % takes.FRAMES]
            labels = takes.labels(assets, studio.format, vertices)
            error = np.abs(record.joints_mm - labels).max()
            assert error <= 6 * studio.noise_mm + 1e-3
            assert (error > 0.1 * studio.noise_mm) == (studio.noise_mm > 0)


def test_the_mask_is_the_rendered_person(made):
    studio, take, found = made
    for k, record in enumerate(found):
        mask = masks.decode(record.mask_rle, SIDE_PX, SIDE_PX)
        x, y, w, h = record.box
        rows, columns = np.nonzero(mask)
        assert len(rows) > 0.04 * w * h
        # Loose clothes stand off the body that the box is of.
        assert columns.min() > x - 6 and columns.max() < x + w + 6
        assert rows.min() > y - 6 and rows.max() < y + h + 6
        if studio.labels_2d:
            continue
        camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        vertices = take.vertices_mm[(24 + k) % takes.FRAMES]
        dim = render.Light(*(np.ones(3, np.float32) / 2,) * 4)
        _, coverage = scenes._person(dim, camera, SIDE_PX, take, vertices)
        everything = render.silhouette(coverage)
        assert not (mask.astype(bool) & ~everything).any()  # less what stands in front
        if not studio.occlusion:
            np.testing.assert_array_equal(mask, everything)


def test_larger_people_are_the_same_people():
    studio = studios.STUDIOS["embedded_game_engine"]  # without grain
    take = takes.make(studio, 5, 2)
    small, large = (scenes.make(studio, 5, take, 24, size) for size in (96, 192))
    np.testing.assert_array_equal(large.joints_mm, small.joints_mm)
    points_px, larger_px = record_pictures.joints_px(small), record_pictures.joints_px(large)
    np.testing.assert_allclose(larger_px, 2 * points_px + 0.5, atol=1e-2)
    shrunk = cv2.resize(decoding.decode(large.image), (144, 144), interpolation=cv2.INTER_AREA)
    alike = np.corrcoef(shrunk.ravel(), decoding.decode(small.image).ravel())[0, 1]
    assert alike > 0.95  # 0.88 if one were moved by 3 px


def test_the_crop_camera_agrees_with_the_distorted_camera():
    studio = studios.STUDIOS["embedded_cmu_mb"]
    camera = scenes.room(studio, 0, 0).cameras[3]
    assert np.abs(camera.distortion).max() > 0
    points = np.random.default_rng(0).uniform([-400, 0, -300], [700, 1700, 300], (50, 3))
    points = points.astype(np.float32)
    crop, box = scenes.crop(camera, points, SIDE_PX)
    np.testing.assert_array_equal(crop.position_mm, camera.position_mm)
    assert not crop.distortion.any()
    direct = cameras.project(crop, points)
    through = cameras.reproject(camera, crop, cameras.project(camera, points))
    np.testing.assert_allclose(direct, through, atol=0.05)
    # Upright: the world's up is the crop's up.
    assert abs(crop.rotation[0, 1]) < 1e-6 and crop.rotation[1, 1] < 0
    # The box follows the points up to what distortion and turning do to a rectangle.
    assert (direct.min(axis=0) > box[:2] - 6).all()
    assert (direct.max(axis=0) < box[:2] + box[2:] + 6).all()


def test_props_are_deterministic_and_of_the_asked_kind():
    first, again = props.backgrounds(3, 2, 64), props.backgrounds(3, 3, 64)
    for a, b in zip(first, again, strict=False):
        assert a.shape == (64, 64, 3) and a.dtype == np.uint8
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(again[0], again[2])
    things = props.occluders(3, 20)
    np.testing.assert_array_equal(things[1], props.occluders(3, 2)[1])
    for thing in things:
        opaque = thing[..., 3] > 127
        assert 0.02 < opaque.mean() <= 1
        assert max(thing.shape[:2]) <= 200


def test_srgb_round_trip():
    grey = np.linspace(0, 1, 256, dtype=np.float32)
    assert np.abs(render.encode_srgb(grey**2.2).astype(int) - np.arange(256)).max() <= 1
    assert render.encode_srgb(np.array([-1.0, 2.0])).tolist() == [0, 255]
