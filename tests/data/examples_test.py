"""Records become examples whose labels lie where the image shows them."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.data import examples, labels
from acae_jax.data.crop_record import CropRecord
from acae_jax.estimation.model.network import as_float
from acae_jax.geometry import cameras
from acae_jax.images import colour, device_colour, masks
from acae_jax.skeletons.skeleton import Skeleton
from acae_jax.skeletons.union import merged_by_name, of

NAMES = ("nose", "rhip", "lhip", "neck", "lank", "rank")
# Pure hues, so that no blend with black or grey passes for another joint.
COLOURS = np.array([(1, 1, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1)], dtype=float)
UNION = of([Skeleton("other", NAMES[:4], ()), Skeleton("toy", NAMES, ())])
LABEL_NAMES = ("lank", "nose", "rank", "lhip", "rhip")
SIDE = 96
STILL = examples.Augmentation(
    shift=0.0, zoom=(1.0, 1.0), roll=0.0, flip_probability=0.0, background_probability=0.0,
    occlusion_probability=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0,
)  # fmt: skip


def scene() -> tuple[cameras.Camera, np.ndarray, np.ndarray]:
    """A camera somewhere in the world, and joints seen through it: in the world, and in px."""
    intrinsics = np.array([[420.0, 0, 100], [0, 400, 118], [0, 0, 1]])
    camera = cameras.create(intrinsics, position_mm=np.array([3000.0, -1500, 800]))
    camera = cameras.roll(cameras.turn_towards(camera, world_point_mm=np.zeros(3)), 0.4)
    joints_px = np.array([[110.3, 50], [86, 110.6], [122, 104], [104, 78], [128, 170], [80, 176.4]])
    depth_mm = np.array([3000, 3100, 2900, 3050, 3200, 2800])[:, None]
    joints_mm = cameras.camera_to_world(
        camera, cameras.image_to_camera(camera, joints_px) * depth_mm
    )
    return camera, joints_mm, joints_px


def draw_dots(joints_px: np.ndarray, shape: tuple[int, int] = (240, 200)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros((*shape, 3))
    for (u, v), rgb in zip(joints_px, COLOURS, strict=True):
        image += np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 2.5**2))[..., None] * rgb
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def toy_record(is_3d: bool = True, mask: bool = False, **changes) -> CropRecord:
    camera, joints_mm, joints_px = scene()
    image = draw_dots(joints_px)
    around = cv2.dilate((image.max(axis=-1) > 0).astype(np.uint8), np.ones((5, 5)))
    fields = {
        # PNG: chroma subsampling would mix the dots' colours.
        "image": cv2.imencode(".png", image[..., ::-1])[1].tobytes(),
        "intrinsics": camera.intrinsics.astype(np.float32),
        "rotation": camera.rotation.astype(np.float32),
        "position_mm": camera.position_mm.astype(np.float32),
        "joints_mm": (joints_mm if is_3d else np.zeros((0, 3))).astype(np.float32),
        "joints_px": (np.zeros((0, 2)) if is_3d else joints_px).astype(np.float32),
        "box": np.array([60, 30, 90, 165], np.float32),
        "mask_rle": masks.encode(around) if mask else np.zeros(0, np.uint32),
        "format": "toy" if is_3d else "toy_2d.json",
        "key": "toy/0",
    }
    return CropRecord(**{**fields, **changes})


@pytest.fixture(autouse=True)
def toy_label_set(monkeypatch):
    """Let the catalogue know a 2D label set with all toy joints."""
    skeletons, load = {"toy_2d.json": Skeleton("toy_2d", NAMES, ())}, labels.catalogue.load
    monkeypatch.setattr(labels.catalogue, "load", lambda name: skeletons.get(name) or load(name))
    labels._label_places.cache_clear()
    yield
    labels._label_places.cache_clear()


def make(record, seed=(0, 0, 0), augmentation=None, **options):
    defaults = {"union": UNION, "label_names": LABEL_NAMES, "side_px": SIDE}
    return examples.make(record, seed, augmentation=augmentation, **{**defaults, **options})


def find_dot(image: np.ndarray, rgb: np.ndarray) -> np.ndarray | None:
    """The centroid of what has a joint's colour; None if that is (partly) out of the image."""
    pixels = image.astype(float)
    length = np.linalg.norm(pixels, axis=-1)
    likeness = pixels @ (rgb / np.linalg.norm(rgb)) / np.maximum(length, 1)
    weight = np.where((likeness > 0.97) & (length > 12), length, 0)
    rows, columns = np.flatnonzero(weight.any(1)), np.flatnonzero(weight.any(0))
    if not len(rows) or min(rows[0], columns[0]) == 0 or max(rows[-1], columns[-1]) == SIDE - 1:
        return None
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def test_colours_may_be_left_to_the_device():
    record, augmentation = toy_record(mask=True), examples.Augmentation(occlusion_probability=1.0)
    erased = 0
    for slot in range(12):
        on_host = make(record, (0, 0, slot), augmentation)
        left = make(record, (0, 0, slot), augmentation, device_colour=True)
        erased += left["erased"].any()
        for name in on_host.keys() - {"image"}:
            np.testing.assert_array_equal(left[name], on_host[name])
        image, *how = (jnp.asarray(left[name][None]) for name in ("image", "colour", "erased"))
        done = 255 * np.asarray(device_colour.apply(as_float(image), *how))[0]
        np.testing.assert_allclose(done, on_host["image"], atol=0.52)
    assert 0 < erased < 12
    clean = make(record, device_colour=True)
    np.testing.assert_array_equal(clean["colour"], colour.UNCHANGED)
    np.testing.assert_array_equal(clean["image"], make(record)["image"])


VARIATIONS = {
    "clean": None,
    "nothing": STILL,
    "shift": STILL._replace(shift=0.1),
    "zoom": STILL._replace(zoom=(0.75, 1.25)),
    "roll": STILL._replace(roll=0.35),
    "full roll": STILL._replace(full_roll_probability=1.0),
    "flip": STILL._replace(flip_probability=1.0),
    "partial": STILL._replace(partial_probability=1.0),
    "background": STILL._replace(background_probability=1.0),
    "geometry": STILL._replace(
        shift=0.1, zoom=(0.75, 1.25), roll=0.35, flip_probability=0.5, background_probability=0.7
    ),
    "colour": STILL._replace(saturation=0.1, hue=0.1, flip_probability=0.5),
}


def find_dots(image: np.ndarray) -> tuple[dict[str, np.ndarray], bool]:
    """The dots in an image by the joint they were drawn for, and whether the image is mirrored."""
    dots = {name: find_dot(image, rgb) for name, rgb in zip(NAMES, COLOURS, strict=True)}
    dots = {name: dot for name, dot in dots.items() if dot is not None}
    drawn = np.array([scene()[2][NAMES.index(name)] for name in dots])
    affine = np.linalg.lstsq(np.c_[drawn, np.ones(len(drawn))], np.array(list(dots.values())))[0]
    return dots, bool(np.linalg.det(affine[:2]) < 0)


@pytest.mark.parametrize("is_3d", [True, False], ids=["3D", "2D"])
@pytest.mark.parametrize("name", VARIATIONS)
def test_every_joint_is_where_the_image_shows_it(name, is_3d):
    """Also left and right: in a mirrored image the left hip's label is at the right hip's dot."""
    record = toy_record(is_3d, mask=True)
    backgrounds = [np.full((64, 64, 3), 90, np.uint8)]
    checked, mirrored = 0, []
    for slot in range(12):
        example = make(record, (5, 3, slot), VARIATIONS[name], backgrounds=backgrounds)
        if is_3d:
            camera = cameras.create(example["intrinsics"])
            px = cameras.camera_to_image(camera, example["joints_mm"])
            labels = {UNION.joint_names[i].split("_")[0]: px[i] for i in UNION.members["toy"]}
            assert np.flatnonzero(example["valid"]).tolist() == sorted(UNION.members["toy"])
        else:
            labels = dict(zip(LABEL_NAMES, example["labels_px"], strict=True))
            assert example["labels_valid"].all() and not example["valid"].any()
        dots, is_mirrored = find_dots(example["image"])
        mirrored.append(is_mirrored)
        for drawn_for, dot in dots.items():
            joint = drawn_for
            if is_mirrored:
                joint = {"l": "r", "r": "l"}.get(joint[0], joint[0]) + joint[1:]
            if joint in labels:
                np.testing.assert_allclose(dot, labels[joint], atol=0.12, err_msg=f"{joint} {slot}")
                checked += 1
    assert checked >= 12 * (2 if name == "partial" else 4)
    chance = 0.0 if VARIATIONS[name] is None else VARIATIONS[name].flip_probability
    assert abs(np.mean(mirrored) - chance) <= (0.35 if 0 < chance < 1 else 0)


def test_joints_keep_their_metric_shape():
    """The crop camera moves the body rigidly, or mirrors it."""
    _, joints_mm, _ = scene()
    for slot in range(8):
        example = make(toy_record(), (0, 0, slot), VARIATIONS["geometry"])
        placed = example["joints_mm"][list(UNION.members["toy"])]
        if find_dots(example["image"])[1]:
            placed = placed[[0, 2, 1, 3, 5, 4]]
        distances = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (placed, joints_mm)]
        np.testing.assert_allclose(*distances, atol=1e-2)
        assert (placed[:, 2] > 2000).all()


# -------------------------------------------------------------------------------------- randomness


def assert_equal(one: dict, other: dict, but: tuple[str, ...] = ()) -> None:
    for name in one.keys() - set(but):
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def assets() -> dict:
    rng = np.random.default_rng(0)
    return {
        "occluders": [rng.integers(0, 256, (60, 40, 4), dtype=np.uint8) for _ in range(3)],
        "backgrounds": [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(3)],
    }


def test_an_example_depends_on_seed_step_and_slot_only():
    record, options = toy_record(mask=True), {"augmentation": examples.Augmentation(), **assets()}
    first = make(record, (7, 8, 9), **options)
    make(record, (1, 1, 1), **options)
    assert_equal(first, make(record, (7, 8, 9), **options))
    for seed in ((8, 8, 9), (7, 9, 9), (7, 8, 10), (9, 8, 7)):
        other = make(record, seed, **options)
        assert not np.array_equal(first["image"], other["image"])
        assert not np.array_equal(first["intrinsics"], other["intrinsics"])


def test_switching_one_augmentation_off_does_not_change_the_others():
    record, whole = toy_record(mask=True), examples.Augmentation(background_probability=1.0)
    off = {
        "background": {"background_probability": 0.0},
        "occlusion": {"occlusion_probability": 0.0},
        "colour": {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0},
    }
    changed = dict.fromkeys(off, 0)
    for slot in range(20):
        full = make(record, (0, 0, slot), whole, **assets())
        for name, values in off.items():
            less = make(record, (0, 0, slot), whole._replace(**values), **assets())
            assert_equal(full, less, but=("image",))
            changed[name] += not np.array_equal(full["image"], less["image"])
        # Geometry off: what remains is applied to the clean crop exactly as it was.
        still = whole._replace(shift=0.0, zoom=(1.0, 1.0), roll=0.0, flip_probability=0.0)
        one = make(record, (0, 0, slot), still, **assets())
        two = make(record, (0, 0, slot), still._replace(partial_probability=1e-9), **assets())
        assert_equal(one, two)
        full_roll = whole._replace(flip_probability=0.0, full_roll_probability=1.0)
        focal = make(record, (0, 0, slot), full_roll)["intrinsics"]
        np.testing.assert_array_equal(focal, full["intrinsics"])
    assert changed["background"] == 20 and changed["colour"] == 20
    assert 4 <= changed["occlusion"] <= 16


def test_no_variation_is_the_clean_crop():
    record = toy_record(mask=True)
    assert_equal(make(record), make(record, (1, 2, 3), STILL, **assets()))


def test_a_dataset_may_have_its_own_background_probability():
    record, augmentation = toy_record(mask=True), STILL._replace(background_probability=0.7)
    plain = make(record)["image"]
    for chance, expected in ((0.0, 0.0), (0.2, 0.2), (None, 0.7), (1.0, 1.0)):
        options = {**assets(), "background_probability": chance}
        replaced = [
            not np.array_equal(make(record, (0, 0, i), augmentation, **options)["image"], plain)
            for i in range(100)
        ]
        assert abs(np.mean(replaced) - expected) <= (0.13 if 0 < expected < 1 else 0)
    without_mask = make(toy_record(), (0, 0, 0), augmentation, **{**options, **assets()})
    np.testing.assert_array_equal(without_mask["image"], plain)


# ------------------------------------------------------------------------------------------ labels


def test_shapes_and_dtypes():
    example = make(toy_record(), (0, 0, 0), examples.Augmentation(), dataset_index=3)
    found = {name: (value.dtype.name, value.shape) for name, value in example.items()}
    joints, labels = len(UNION.joint_names), len(LABEL_NAMES)
    assert found == {
        "image": ("uint8", (SIDE, SIDE, 3)),
        "intrinsics": ("float32", (3, 3)),
        "joints_mm": ("float32", (joints, 3)),
        "valid": ("bool", (joints,)),
        "labels_px": ("float32", (labels, 2)),
        "labels_valid": ("bool", (labels,)),
        "dataset": ("int32", ()),
    }
    assert example["dataset"] == 3 and all(np.isfinite(v).all() for v in example.values())


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_unlabelled_joints_are_zero_and_not_valid(flip):
    _, joints_mm, _ = scene()
    joints_mm[NAMES.index("lhip")] = np.nan
    joints_mm[NAMES.index("nose"), 1] = np.nan
    augmentation = STILL._replace(flip_probability=flip)
    record = toy_record(joints_mm=joints_mm.astype(np.float32))
    example = make(record, augmentation=augmentation)
    missing = {"nose_toy", "rhip_toy" if flip else "lhip_toy"}
    valid = {n for n, v in zip(UNION.joint_names, example["valid"], strict=True) if v}
    assert valid == {f"{name}_toy" for name in NAMES} - missing
    assert not example["joints_mm"][~example["valid"]].any()


def test_labels_beyond_the_stored_image_are_not_valid():
    _, _, joints_px = scene()
    joints_px[NAMES.index("lank")] = (120, 239.6)  # the image ends at 239.5
    joints_px[NAMES.index("rank")] = (120, 239.4)
    joints_px[NAMES.index("nose")] = np.nan
    example = make(toy_record(is_3d=False, joints_px=joints_px.astype(np.float32)))
    assert dict(zip(LABEL_NAMES, example["labels_valid"], strict=True)) == {
        "lank": False, "nose": False, "rank": True, "lhip": True, "rhip": True,
    }  # fmt: skip
    assert not example["labels_px"][~example["labels_valid"]].any()


def test_fully_labelled_records_fill_the_whole_union():
    everything = of([Skeleton(name, NAMES, ()) for name in "ab"])
    joints_mm = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32) * 100
    record = toy_record(format="a+b", joints_mm=joints_mm)
    example = make(record, union=everything)
    assert example["valid"].all()
    relative = example["joints_mm"] - example["joints_mm"][:1]
    # In another order of formats each joint keeps its place: it is found by its format's name.
    turned = toy_record(format="b+a", joints_mm=np.concatenate([joints_mm[6:], joints_mm[:6]]))
    np.testing.assert_array_equal(make(turned, union=everything)["joints_mm"], example["joints_mm"])
    reversed_union = of([Skeleton(name, NAMES, ()) for name in "ba"])
    of_reversed = make(record, union=reversed_union)["joints_mm"]
    for name in "ab":
        np.testing.assert_array_equal(
            of_reversed[list(reversed_union.members[name])],
            example["joints_mm"][list(everything.members[name])],
        )
    np.testing.assert_allclose(
        np.linalg.norm(relative, axis=-1),
        np.linalg.norm(joints_mm - joints_mm[:1], axis=-1),
        atol=1e-2,
    )


def test_formats_that_the_union_has_not_are_left_out():
    """A test set that is labelled in every format serves models of a few of them."""
    joints_mm = np.random.default_rng(0).normal(size=(17 + 6, 3)).astype(np.float32) * 100
    record = toy_record(format="ikea+toy", joints_mm=joints_mm)  # ikea has 17 joints
    plain = toy_record(joints_mm=joints_mm[17:])
    assert_equal(make(record), make(plain))
    with pytest.raises(ValueError, match=r"'ikea' is not in the union"):
        make(toy_record(format="ikea", joints_mm=joints_mm[:17]))
    with pytest.raises(ValueError, match=r"has 22 joints but its format 'ikea\+toy' has 23"):
        make(record._replace(joints_mm=joints_mm[1:]))


def test_a_union_merged_by_name_shares_joints():
    merged = merged_by_name([Skeleton("other", NAMES[:4], ()), Skeleton("toy", NAMES, ())])
    apart, together = make(toy_record()), make(toy_record(), union=merged)
    assert together["valid"].all() and together["joints_mm"].shape == (len(NAMES), 3)
    wanted = apart["joints_mm"][list(UNION.members["toy"])]
    np.testing.assert_array_equal(together["joints_mm"][list(merged.members["toy"])], wanted)


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": b"\xff\xd8\xff\xe0 nonsense"}, "header"),
        ({"image": toy_record().image[:400]}, "decoded"),
        ({"format": "unheard of"}, "not in the union of other, toy"),
        ({"joints_mm": np.zeros((3, 3), np.float32)}, "has 3 joints but its format 'toy' has 6"),
        ({"box": np.zeros(4, np.float32)}, "has no extent"),
    ],
)
def test_records_that_cannot_be_used_are_value_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        make(toy_record(**changes))


def test_unusable_labels_and_masks_are_value_errors():
    with pytest.raises(ValueError, match=r"has 2 2D labels but its format .* has 6"):
        make(toy_record(is_3d=False, joints_px=np.zeros((2, 2), np.float32)))
    with pytest.raises(ValueError, match="has none of the joints"):
        make(toy_record(is_3d=False), label_names=("lknee", "rknee"))
    wrong_mask = toy_record(mask_rle=np.array([9], np.uint32))
    with pytest.raises(ValueError, match="mask runs cover 9 px"):
        swap = STILL._replace(background_probability=1.0)
        make(wrong_mask, augmentation=swap, **assets())


def test_2d_labels_of_a_users_own_skeleton_are_found_by_its_name():
    names = ("nose", "b_mine", "a_mine", "a_other")
    assert labels._label_places("mine", names).tolist() == [1, 2]
    with pytest.raises(ValueError, match="no skeleton 'yours' in the catalogue"):
        labels._label_places("yours", names)
