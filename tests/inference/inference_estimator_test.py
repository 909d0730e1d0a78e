"""The estimator around a network that is exact: it knows who is in a crop and where they are.

Its crops are told apart by the colour at their centre (the person) and their focal length (the
variant), so what is tested is all that lies between images and poses but the pixels, which
`inference_crops_test` looks at.
"""

from typing import NamedTuple

import numpy as np
import pytest

from acae_jax.geometry import cameras, rotations
from acae_jax.images import crops as virtual
from acae_jax.inference import views
from acae_jax.inference.bundle import Bundle, Facts, Selection
from acae_jax.inference.estimator import Estimator
from acae_jax.skeletons import skeleton

NAMES = ("pelv", "lhip", "rhip", "lkne", "rkne", "neck", "lsho", "rsho")
MIRROR = skeleton.mirror_map(NAMES)
EDGES = ((0, 1), (0, 2), (1, 3), (2, 4), (0, 5))
SIDE_PX = 48
LENS = (-0.25, 0.08, 0.002, -0.003, 0.01)


class World(NamedTuple):
    """People in mm, and for each of them the image they are in; the images and their cameras."""

    people_mm: np.ndarray
    image_of: tuple[int, ...]
    images: list[np.ndarray]
    cameras: list[cameras.Camera]
    boxes: list[np.ndarray]


def facts(**changes) -> Facts:
    legs = Selection((2, 1), ("right", "left"), ((0, 1),))
    plain = Facts("exact", SIDE_PX, NAMES, EDGES, {"legs": legs}, "legs", (), None, {})
    return plain._replace(**changes)


def rotation(rng) -> np.ndarray:
    return rotations.nearest_rotation(rng.normal(size=(3, 3)))


def world(camera_list, sizes, people_per_image, seed=0) -> World:
    """People some metres in front of each camera, drawn as squares in the middle of their boxes."""
    rng = np.random.default_rng(seed)
    people, image_of, images, boxes = [], [], [], []
    for which, (camera, (height, width)) in enumerate(zip(camera_list, sizes, strict=True)):
        image, of_image = np.zeros((height, width, 3), np.uint8), []
        for person in range(people_per_image[which]):
            number = len(people) + 1
            at_px = np.array([(person + 1) * width / (people_per_image[which] + 1), height * 0.45])
            middle = cameras.image_to_camera(camera, at_px) * 4000.0
            joints = middle + rng.normal(size=(len(NAMES), 3)) * 200
            people.append(cameras.camera_to_world(camera, joints))
            image_of.append(which)
            x, y = np.rint(at_px).astype(int)
            colour = [255 * (number >> bit & 1) for bit in range(3)]
            image[y - 9 : y + 10, x - 9 : x + 10] = colour
            of_image.append([x - 12, y - 20, 24, 40])
        images.append(image)
        boxes.append(np.array(of_image, np.float32).reshape(-1, 4))
    return World(np.array(people), tuple(image_of), images, list(camera_list), boxes)


def exact(world: World, num_aug: int, up=(0, -1, 0), **changes) -> Estimator:
    """An estimator whose network says where the person in the middle of a crop is."""
    number_of = {}
    for number, which in enumerate(world.image_of):
        number_of[number] = (which, number - world.image_of.index(which))

    def crop_model(images, intrinsics):
        assert images.dtype == np.uint8 and images.shape[1:] == (SIDE_PX, SIDE_PX, 3)
        found, spread = [], []
        for image, matrix in zip(images, intrinsics, strict=True):
            bits = image[SIDE_PX // 2, SIDE_PX // 2] > 127
            number = int(bits @ [1, 2, 4]) - 1
            assert number >= 0, "nobody is in the middle of this crop"
            which, box = number_of[number]
            seen_by = [
                virtual.camera(
                    world.cameras[which],
                    world.boxes[which][box].astype(float),
                    SIDE_PX,
                    variant.view,
                    np.array(up, float),
                )
                for variant in views.schedule(num_aug)
            ]
            focal = [abs(camera.intrinsics[0, 0] - matrix[0, 0]) for camera in seen_by]
            camera = seen_by[int(np.argmin(focal))]
            np.testing.assert_allclose(camera.intrinsics, matrix, rtol=1e-6)
            joints = cameras.world_to_camera(camera, world.people_mm[number])
            is_mirrored = np.linalg.det(camera.rotation) < 0
            spread.append(np.arange(8.0)[MIRROR] if is_mirrored else np.arange(8.0))
            found.append(joints[MIRROR] if is_mirrored else joints)
        return np.array(found, np.float32), np.array(spread, np.float32)

    return Estimator(
        Bundle(None, facts(**changes.pop("facts", {})), changes.pop("matrix", None), crop_model)
    )


def intrinsics(width, height, focal=600.0) -> np.ndarray:
    return np.array([[focal, 1.5, width / 2 - 3], [0, focal * 1.1, height / 2 + 5], [0, 0, 1]])


def extrinsics(camera: cameras.Camera) -> np.ndarray:
    translation = -camera.rotation @ camera.position_mm
    return np.concatenate([camera.rotation, translation[:, None]], axis=1)


def one_scene(lens=None, turned=True, people=3) -> World:
    rng = np.random.default_rng(5)
    camera = cameras.create(
        intrinsics(400, 300),
        rotation(rng) if turned else None,
        np.array([300.0, -900, 1500]) if turned else None,
        None if lens is None else np.array(lens),
    )
    return world([camera], [(300, 400)], [people])


@pytest.mark.parametrize("num_aug", [1, 2, 5])
@pytest.mark.parametrize("lens", [None, LENS])
@pytest.mark.parametrize("up", [(0, -1, 0), (0.3, 0.2, 0.9)])
def test_poses_are_those_of_the_world(num_aug, lens, up):
    """Whatever the camera, its lens, the variants and the direction upwards."""
    scene = one_scene(lens)
    (camera,) = scene.cameras
    found = exact(scene, num_aug, up).estimate_poses(
        scene.images[0],
        scene.boxes[0],
        intrinsic_matrix=camera.intrinsics,
        distortion_coeffs=lens,
        extrinsic_matrix=extrinsics(camera),
        world_up_vector=up,
        num_aug=num_aug,
    )
    np.testing.assert_allclose(found["poses3d"], scene.people_mm, atol=0.01)
    np.testing.assert_allclose(
        found["poses2d"], cameras.project(camera, scene.people_mm), atol=0.01
    )
    np.testing.assert_allclose(found["uncertainties"], np.tile(np.arange(8.0), (3, 1)))
    np.testing.assert_array_equal(found["boxes"][:, :4], scene.boxes[0])
    np.testing.assert_array_equal(found["boxes"][:, 4], 1)
    assert all(array.dtype == np.float32 for array in found.values())
