"""The estimator around a network that is exact: it knows who is in a crop and where they are.

Its crops are told apart by the colour at their centre (the person) and their focal length (the
variant), so what is tested is all that lies between images and poses but the pixels, which
`inference_crops_test` looks at.
"""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

import acae_jax
from acae_jax.bundles.bundle import Bundle, Facts, Selection
from acae_jax.bundles.uncertainty import Calibration
from acae_jax.geometry import cameras, rotations
from acae_jax.images import crops as virtual
from acae_jax.inference import arguments, batches, variants
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
                for variant in variants.schedule(num_aug)
            ]
            focal = [abs(camera.intrinsics[0, 0] - matrix[0, 0]) for camera in seen_by]
            camera = seen_by[int(np.argmin(focal))]
            np.testing.assert_allclose(camera.intrinsics, matrix, rtol=1e-6)
            joints = cameras.world_to_camera(camera, world.people_mm[number])
            is_mirrored = np.linalg.det(camera.rotation) < 0
            spread.append(np.arange(8.0)[MIRROR] if is_mirrored else np.arange(8.0))
            found.append(joints[MIRROR] if is_mirrored else joints)
        return np.array(found, np.float32), np.array(spread, np.float32)

    return Estimator(Bundle(Path(), "", facts(**changes), None, crop_model))


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


def estimate(estimator, scene, **arguments):
    """All images of a scene, with everything said of their cameras."""
    return estimator.estimate_poses_batched(
        scene.images,
        scene.boxes,
        intrinsic_matrix=[camera.intrinsics for camera in scene.cameras],
        extrinsic_matrix=[extrinsics(camera) for camera in scene.cameras],
        distortion_coeffs=[camera.distortion for camera in scene.cameras],
        **arguments,
    )


def several_scenes() -> World:
    """Images of different sizes and cameras with 3, 0, 1 and 2 people."""
    rng = np.random.default_rng(1)
    sizes = [(300, 400), (100, 120), (500, 240), (250, 330)]
    lenses = [np.zeros(5), np.zeros(5), np.array(LENS), np.array(LENS) / 2]
    made = [
        cameras.create(intrinsics(w, h), rotation(rng), rng.normal(size=3) * 1000, lens)
        for (h, w), lens in zip(sizes, lenses, strict=True)
    ]
    return world(made, sizes, [3, 0, 1, 2])


@pytest.mark.parametrize("num_aug", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_many_images_are_each_as_if_alone(num_aug, batch_size):
    scene = several_scenes()
    estimator = exact(scene, num_aug)
    found = estimate(estimator, scene, num_aug=num_aug, internal_batch_size=batch_size)
    np.testing.assert_allclose(
        np.concatenate(found["poses3d"]), scene.people_mm, atol=0.02, rtol=1e-6
    )
    assert [poses.shape for poses in found["poses3d"]] == [(n, 8, 3) for n in (3, 0, 1, 2)]
    for which, camera in enumerate(scene.cameras):
        alone = estimator.estimate_poses(
            scene.images[which],
            scene.boxes[which],
            intrinsic_matrix=camera.intrinsics,
            extrinsic_matrix=extrinsics(camera),
            distortion_coeffs=camera.distortion,
            num_aug=num_aug,
        )
        for key, value in alone.items():
            np.testing.assert_array_equal(value, found[key][which])


def test_a_shared_camera_and_an_array_of_images():
    one = one_scene()
    (camera,) = one.cameras
    estimator = exact(one, 1)
    found = estimator.estimate_poses_batched(
        np.stack([one.images[0]] * 2),
        [one.boxes[0][::-1], one.boxes[0]],
        intrinsic_matrix=camera.intrinsics,
        extrinsic_matrix=np.concatenate([extrinsics(camera), [[0, 0, 0, 1]]])[None],
    )
    np.testing.assert_allclose(found["poses3d"][0], one.people_mm[::-1], atol=0.01)
    np.testing.assert_allclose(found["poses3d"][1], one.people_mm, atol=0.01)


def test_variants_apart_and_a_chosen_skeleton():
    one = one_scene(LENS)
    arguments = {"num_aug": 4, "average_aug": False, "skeleton": "legs"}
    found = estimate(exact(one, 4), one, **arguments)
    expected = np.repeat(one.people_mm[:, None, [2, 1]], 4, axis=1)
    np.testing.assert_allclose(found["poses3d"][0], expected, atol=0.02)
    px = cameras.project(one.cameras[0], expected)
    np.testing.assert_allclose(found["poses2d"][0], px, atol=0.02)
    np.testing.assert_allclose(found["uncertainties"][0], np.tile([2.0, 1.0], (3, 4, 1)))


def test_without_a_camera_the_longer_side_spans_the_field_of_view():
    guessed = cameras.create(cameras.field_of_view(np.deg2rad(70), 400, 300).astype(np.float64))
    scene = world([guessed], [(300, 400)], [2])
    found = exact(scene, 1).estimate_poses(
        scene.images[0], scene.boxes[0].tolist(), default_fov_degrees=70
    )
    np.testing.assert_allclose(found["poses3d"], scene.people_mm, atol=0.01)


def test_nobody():
    one = one_scene(people=0)
    for boxes in (np.zeros((0, 4)), np.zeros((0, 5), np.float32), []):
        found = exact(one, 3).estimate_poses(one.images[0], boxes, num_aug=3)
        shapes = {key: value.shape for key, value in found.items()}
        assert shapes == {
            "boxes": (0, 5),
            "poses3d": (0, 8, 3),
            "poses2d": (0, 8, 2),
            "uncertainties": (0, 8),
        }
    apart = exact(one, 3).estimate_poses(
        one.images[0], [], num_aug=3, average_aug=False, skeleton="legs"
    )
    assert apart["poses3d"].shape == (0, 3, 2, 3)
    detecting = Estimator(exact(one, 1).bundle, lambda images, *_: [np.zeros((0, 5))] * len(images))
    assert detecting.detect_poses(one.images[0])["poses3d"].shape == (0, 8, 3)
    assert detecting.detect_poses_batched([])["poses3d"] == []


def test_uncertainties_are_calibrated_and_combined():
    """A matrix makes joints of the network's; their errors add up by the weights' sizes."""
    one = one_scene()
    matrix = np.zeros((8, 8), np.float32)
    matrix[np.arange(8), np.arange(8)] = 1
    matrix[0, :3] = [0.5, 0.75, -0.25]
    estimator = exact(one, 1)
    curve = Calibration((0.0, 10.0), (5.0, 25.0), (1.0,) * 7 + (2.0,))
    bundle = estimator.bundle
    bundle = bundle._replace(matrix=matrix, facts=bundle.facts._replace(uncertainty=curve))
    found = estimate(Estimator(bundle), one)
    expected = matrix.astype(float) @ one.people_mm
    np.testing.assert_allclose(found["poses3d"][0], expected, atol=0.01)
    errors = 5 + 2 * np.arange(8.0)
    errors[7] *= 2
    errors[0] = 0.5 * errors[0] + 0.75 * errors[1] + 0.25 * errors[2]
    np.testing.assert_allclose(found["uncertainties"][0], np.tile(errors, (3, 1)), rtol=1e-6)


def detecting(scene, boxes_of_image, asked=None, **changes):
    """An estimator whose detector gives these boxes."""

    def detector(images, threshold, nms_iou_threshold, max_detections):
        if asked is not None:
            asked.append((len(images), threshold, nms_iou_threshold, max_detections))
        return boxes_of_image

    bundle = exact(scene, 1, **changes).bundle
    return Estimator(bundle, detector)


def test_detected_people_are_sorted_out_by_plausibility():
    one = one_scene(turned=False)
    boxes = np.concatenate([one.boxes[0], np.array([[0.3], [0.8], [0.5]])], axis=1)
    boxes = np.concatenate([boxes, [[*one.boxes[0][0], 0.9]]])  # the first person again
    twice = one._replace(boxes=[boxes[:, :4].astype(np.float32)], image_of=(0, 0, 0))
    asked = []
    estimator = detecting(twice, [boxes], asked)
    camera = {"intrinsic_matrix": one.cameras[0].intrinsics}
    thresholds = {
        "detector_threshold": 0.1,
        "detector_nms_iou_threshold": 0.5,
        "max_detections": 7,
    }
    found = estimator.detect_poses(one.images[0], **camera, **thresholds)
    assert asked == [(1, 0.1, 0.5, 7)]
    np.testing.assert_allclose(found["boxes"], boxes[[3, 1, 2]].astype(np.float32))
    np.testing.assert_allclose(found["poses3d"], one.people_mm[[0, 1, 2]], atol=0.01)
    plain = estimator.detect_poses(one.images[0], suppress_implausible_poses=False, **camera)
    np.testing.assert_allclose(plain["boxes"], boxes.astype(np.float32))
    given = estimator.estimate_poses(one.images[0], boxes, **camera)
    np.testing.assert_allclose(given["poses3d"], one.people_mm[[0, 1, 2, 0]], atol=0.01)
    bones = {"bones_mm": (1e4,) * len(EDGES)}
    none = detecting(twice, [boxes], **bones).detect_poses(one.images[0], **camera)
    assert none["poses3d"].shape == (0, 8, 3)


def test_names_of_joints_and_edges():
    estimator = exact(one_scene(), 1)
    assert estimator.per_skeleton_joint_names == {"": NAMES, "legs": ("right", "left")}
    assert estimator.per_skeleton_joint_edges == {"": EDGES, "legs": ((0, 1),)}
    assert estimator.per_skeleton_edges == estimator.per_skeleton_joint_edges


# ---------------------------------------------------------------------------- compiled few times


def compilations(events):
    return sum("backend_compile" in event for event in events)


@pytest.mark.parametrize(
    ("backend", "used"),
    [(batches.CPU, {1, 4}), (batches.ACCELERATOR, {1, 4, 16})],
)
def test_nothing_is_compiled_as_people_come_and_go(backend, used, monkeypatch):
    """50 images with 0…12 people: after one call of each batch size the count stays."""
    monkeypatch.setattr(batches, "CPU", backend)

    @jax.jit
    def network(images, intrinsics):
        level = images.mean((1, 2, 3))[:, None, None] * jax.numpy.ones((1, 8, 3))
        return level + intrinsics[:, :1], level[..., 0]

    events, sizes = [], set()

    def crop_model(images, intrinsics):
        sizes.add(len(images))
        return network(images, intrinsics)

    estimator = Estimator(Bundle(Path(), "", facts(), None, crop_model))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (60 + i, 80, 3), dtype=np.uint8) for i in range(50)]
    people = [i % 13 for i in range(50)]
    for size in (1, 4, 16):
        network(np.zeros((size, SIDE_PX, SIDE_PX, 3), np.uint8), np.zeros((size, 3, 3), np.float32))
    listener = lambda event, *_, **__: events.append(event)  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        for image, count in zip(images, people, strict=True):
            boxes = np.array([[5.0 + i, 10, 20, 30] for i in range(count)]).reshape(-1, 4)
            found = estimator.estimate_poses(image, boxes)
            assert found["poses3d"].shape == (count, 8, 3)
        assert compilations(events) == 0 and network._cache_size() == 3 and sizes == used
        network(np.zeros((2, SIDE_PX, SIDE_PX, 3), np.uint8), np.zeros((2, 3, 3), np.float32))
        assert compilations(events) > 0  # so this would have been seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)


# ---------------------------------------------------------------------------------- wrong arguments

IMAGE = np.zeros((40, 50, 3), np.uint8)
BOX = [[10, 10, 20, 20]]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE.astype(np.float32), "image is float32 .*; give uint8 RGB .*255 \\* image"),
        (IMAGE[..., 0], "image is uint8 \\(40, 50\\); .*for grey"),
        (IMAGE[..., :1], "for grey"),
        (np.zeros((40, 50, 4), np.uint8), "for RGBA, image"),
        (IMAGE[None], "use the batched form"),
        (IMAGE.astype(np.uint16), "for 16 bits"),
        (IMAGE[:0], "at least one pixel"),
        ("photo.jpg", "'photo.jpg' is a path; read the image"),
        (Path("photo.jpg"), "'photo.jpg' is a path; read the image"),
    ],
)
def test_what_is_no_rgb_image_is_refused_with_what_to_do(image, message):
    with pytest.raises(ValueError, match=message):
        exact(one_scene(), 1).estimate_poses(image, BOX)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([10, 10, 20, 20], "boxes of an image have shape \\(4,\\); give \\(n, 4\\)"),
        ([[10, 10, 20]], "have shape \\(1, 3\\)"),
        ([[1, 1, 2, 2], [10, 10, 0, 20]], "box 1, .*no extent; give x, y, width, height"),
        ([[10, np.nan, 2, 20]], "box 0, .*no extent"),
        ([["a", "b"]], "boxes must be arrays"),
    ],
)
def test_what_is_no_box_is_refused(boxes, message):
    with pytest.raises(ValueError, match=message):
        exact(one_scene(), 1).estimate_poses(IMAGE, boxes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"skeleton": "lugs"}, "no skeleton 'lugs' in this model; did you mean 'legs'"),
        ({"num_aug": 0}, "num_aug is 0"),
        ({"internal_batch_size": 0}, "internal_batch_size is 0"),
        ({"antialias_factor": 0}, "antialias_factor is 0"),
        ({"antialias_factor": 2.0}, "antialias_factor is 2.0; give a whole number"),
        ({"num_aug": 2.0}, "num_aug is 2.0; give a whole number"),
        ({"num_aug": "5"}, "num_aug is '5'; give a whole number"),
        ({"internal_batch_size": None}, "internal_batch_size is None; give a whole number"),
        ({"skeleton": None}, "skeleton is None; give a name, or '' for all joints"),
        ({"default_fov_degrees": None}, "default_fov_degrees must be finite"),
        ({"default_fov_degrees": [50, 60]}, "default_fov_degrees is .*; give one number"),
        ({"default_fov_degrees": 180}, "default_fov_degrees is 180; give"),
        ({"world_up_vector": (0, 0, 0)}, "world_up_vector must be a direction"),
        ({"intrinsic_matrix": intrinsics(50, 40).T}, "intrinsic_matrix is .*; give"),
        ({"intrinsic_matrix": np.ones((2, 3, 3))}, "shape \\(2, 3, 3\\); give one for all"),
        ({"distortion_coeffs": [0.1] * 14}, "14 coefficients; give 4, 5, 8 or 12"),
        ({"extrinsic_matrix": np.eye(3)}, "has shape \\(3, 3\\); give \\(3, 4\\)"),
        ({"extrinsic_matrix": 2 * np.eye(4)[:3]}, "no rotation"),
        ({"extrinsic_matrix": np.diag([-1.0, 1, 1, 1])}, "no rotation"),
        ({"extrinsic_matrix": np.eye(4) + np.eye(4, k=-3)}, "may be transposed"),
        ({"intrinsic_matrix": "mine"}, "intrinsic_matrix must be an array of numbers"),
        ({"intrinsic_matrix": intrinsics(50, 40) * np.nan}, "must be finite"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        exact(one_scene(), 1).estimate_poses(IMAGE, BOX, **arguments)
    assert "\n" not in str(caught.value)


def test_lists_must_match():
    estimator = exact(one_scene(), 1)
    with pytest.raises(ValueError, match="boxes are for 1 images but there are 2"):
        estimator.estimate_poses_batched([IMAGE, IMAGE], [BOX])
    with pytest.raises(ValueError, match="for a single image use detect_poses"):
        estimator.estimate_poses_batched(IMAGE, [BOX])
    for nothing in (None, 3, iter([IMAGE])):
        with pytest.raises(ValueError, match="images must be a list"):
            arguments.check_images(nothing)
        with pytest.raises(ValueError, match="boxes must be a list with one"):
            arguments.check_boxes(nothing, 1)
    with pytest.raises(ValueError, match="outside of the 50 × 40 image"):
        estimator.estimate_poses(IMAGE, [[60, 50, 5, 5]], distortion_coeffs=LENS)


@pytest.mark.parametrize("num_aug", [1, 3])
def test_numpys_numbers_are_numbers(num_aug):
    one = one_scene()
    plain = {"num_aug": num_aug, "internal_batch_size": 2, "antialias_factor": 2}
    expected = estimate(exact(one, num_aug), one, **plain)
    as_arrays = {name: np.int64(value) for name, value in plain.items()}
    found = estimate(exact(one, num_aug), one, **as_arrays, default_fov_degrees=np.float32(55))
    np.testing.assert_array_equal(found["poses3d"][0], expected["poses3d"][0])
    asked, one = [], one_scene(turned=False)
    detecting(one, one.boxes, asked).detect_poses(
        one.images[0],
        max_detections=np.int32(2),
        detector_threshold=np.float32(0.5),
        intrinsic_matrix=one.cameras[0].intrinsics,
    )
    assert asked == [(1, 0.5, 0.6, 2)] and all(type(n) in (int, float) for n in asked[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_detections": None}, "max_detections is None; give a whole number"),
        ({"max_detections": 2.5}, "max_detections is 2.5; give a whole number"),
        ({"detector_threshold": "high"}, "detector_threshold must be an array of numbers"),
        ({"detector_threshold": None}, "detector_threshold must be finite"),
        ({"detector_nms_iou_threshold": [0.5, 0.6]}, "detector_nms_iou_threshold is .*; give one"),
    ],
)
def test_wrong_arguments_of_detection_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        detecting(one_scene(), [BOX]).detect_poses(IMAGE, **arguments)
    assert "\n" not in str(caught.value)


def test_misspelt_arguments_are_named_with_what_was_called():
    estimator = detecting(one_scene(), [BOX])
    for name, given in (
        ("estimate_poses", (IMAGE, BOX)),
        ("estimate_poses_batched", ([IMAGE], [BOX])),
        ("detect_poses", (IMAGE,)),
        ("detect_poses_batched", ([IMAGE],)),
    ):
        message = rf"^{name}\(\) has no argument 'num_augs'; did you mean 'num_aug'"
        with pytest.raises(TypeError, match=message):
            getattr(estimator, name)(*given, num_augs=2)
    with pytest.raises(TypeError, match=r"estimate_poses\(\) has no argument 'max_detections'"):
        estimator.estimate_poses(IMAGE, BOX, max_detections=2)


def test_import_is_cheap_and_load_says_what_is_no_bundle(tmp_path):
    code = "import sys, acae_jax; sys.exit('jax' in sys.modules or 'cv2' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(FileNotFoundError, match=r"holds no bundle\.json"):
        acae_jax.load(tmp_path)


def test_a_detected_person_whom_the_lens_does_not_reach_is_left_out_and_a_given_one_refused():
    scene = one_scene(people=2)
    hidden = np.array([[-900.0, -900, 30, 60]], np.float32)
    estimator, image = detecting(scene, [np.concatenate([hidden, scene.boxes[0]])]), scene.images
    options = {"intrinsic_matrix": scene.cameras[0].intrinsics, "suppress_implausible_poses": False}
    with pytest.warns(UserWarning, match="left out a person whose box lies outside"):
        people = estimator.detect_poses(image[0], **options)
    assert len(people["boxes"]) == len(people["poses3d"]) == len(scene.boxes[0])
    with pytest.raises(ValueError, match=r"box .* lies outside"):
        estimator.estimate_poses(image[0], hidden)


@pytest.mark.parametrize(
    "camera, message",
    [
        ({"intrinsic_matrix": [[600, 0, 2000], [0, 600, 500], [0, 0, 1]]}, "principal point"),
        ({"extrinsic_matrix": [[1, 0, 0, 0.3], [0, 1, 0, -1], [0, 0, 1, 4]]}, "metres"),
    ],
)
def test_cameras_that_are_probably_wrong_are_warned_of(camera, message):
    image = np.zeros((480, 640, 3), np.uint8)
    with pytest.warns(UserWarning, match=message):
        arguments.create([image], **{**CAMERA, **camera})


@pytest.mark.parametrize(
    "camera",
    [
        {"intrinsic_matrix": [[600, 0, 639], [0, 600, 0], [0, 0, 1]]},
        {"extrinsic_matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1e-9]]},
        {"extrinsic_matrix": [[1, 0, 0, -65], [0, 1, 0, 0], [0, 0, 1, 0]]},  # of a stereo pair
    ],
)
def test_cameras_that_may_be_right_are_not_warned_of(camera):
    image = np.zeros((480, 640, 3), np.uint8)
    arguments.create([image], **{**CAMERA, **camera})


CAMERA = {
    "intrinsic_matrix": None,
    "distortion_coeffs": None,
    "extrinsic_matrix": None,
    "default_fov_degrees": 55,
}
