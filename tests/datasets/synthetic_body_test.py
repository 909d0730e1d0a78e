"""The embedded body: affine joints, skinning, symmetry, limits of sampled poses, asset size."""

import json
import re

import numpy as np
import pytest

from acae_jax.datasets.synthetic import actions, body, motions, poses

BODY = body.load()
REST = body.rest(BODY, body.Shape(sex=0.8, weight=0.6))
FLIP = np.array([-1, 1, 1], np.float32)


def mirrored_joints(format_name: str, joints: np.ndarray) -> np.ndarray:
    """The joints of the mirror image, in the format's own order."""
    names = list(BODY.formats[format_name].joint_names)
    swap = {"l": "r", "r": "l"}
    order = [names.index(swap.get(name[0], name[0]) + name[1:]) for name in names]
    return joints[order] * FLIP


def random_turns(rng: np.random.Generator, disturbance: float = 1.0) -> motions.Turns:
    turns = poses.action(rng.choice(list(actions.ACTIONS)).item())
    return poses._disturbed(turns, poses._disturbance(rng, disturbance))


@pytest.mark.parametrize("name", body.FORMATS)
def test_joints_are_affine_combinations_with_known_names(name):
    combinations = BODY.formats[name]
    sums = np.add.reduceat(combinations.weights, combinations.starts)
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert 17 <= len(combinations.joint_names) <= 45
    assert len(set(combinations.joint_names)) == len(combinations.joint_names)
    for joint in combinations.joint_names:
        if joint[0] in "lr":
            assert {"l": "r", "r": "l"}[joint[0]] + joint[1:] in combinations.joint_names
    path = body.ASSETS.parents[2] / "skeletons" / "data" / "embedded.json"
    skeleton = json.loads(path.read_text())["formats"][name]
    assert tuple(skeleton["joint_names"]) == combinations.joint_names
    assert all(0 <= i < len(combinations.joint_names) for edge in skeleton["edges"] for i in edge)


def test_unknown_format_is_named():
    with pytest.raises(ValueError, match="mh_default"):
        body.joints(BODY, "mh_defualt", REST.vertices_mm)


def test_identity_pose_is_the_rest_pose():
    posed = body.pose(BODY, REST, body.rest_pose(BODY))
    np.testing.assert_allclose(posed, REST.vertices_mm, atol=1e-2)
    assert abs(posed[: BODY.skin_count, 1].min()) < 1e-2


def test_turning_the_root_turns_everything_rigidly():
    rng = np.random.default_rng(0)
    pose = motions.to_pose(random_turns(rng))
    turn = motions.from_vector(rng.normal(size=3)).astype(np.float32)
    rotations = pose.rotations.copy()
    rotations[0] = turn @ rotations[0]
    shift = np.array([100, -50, 300], np.float32)
    moved = body.Pose(rotations, pose.translation_mm + shift)
    pivot = REST.heads_mm[0] + pose.translation_mm
    for name in body.FORMATS:
        before = body.joints(BODY, name, body.pose(BODY, REST, pose))
        after = body.joints(BODY, name, body.pose(BODY, REST, moved))
        np.testing.assert_allclose((before - pivot) @ turn.T + pivot + shift, after, atol=0.1)


@pytest.mark.parametrize("name", body.FORMATS)
def test_left_mirrors_right(name):
    joints = body.joints(BODY, name, REST.vertices_mm)
    np.testing.assert_allclose(mirrored_joints(name, joints), joints, atol=2)
    turns = random_turns(np.random.default_rng(1))
    posed = body.joints(BODY, name, body.pose(BODY, REST, motions.to_pose(turns)))
    mirror_pose = motions.to_pose(motions.mirror(turns))
    other = body.joints(BODY, name, body.pose(BODY, REST, mirror_pose))
    np.testing.assert_allclose(mirrored_joints(name, posed), other, atol=3)


def test_left_is_left_and_front_is_front():
    at = dict(
        zip(
            BODY.formats["coco_body"].joint_names,
            body.joints(BODY, "coco_body", REST.vertices_mm),
            strict=True,
        )
    )
    assert at["lsho"][0] > 100 > -100 > at["rsho"][0]
    assert at["nose"][2] > at["lear"][2] + 50
    assert at["nose"][1] > at["lsho"][1] > at["lhip"][1] > at["lkne"][1] > at["lank"][1] > 0


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("mh_default", 1e-3), ("game_engine", 0.15), ("mixamo", 0.15), ("cmu_mb", 0.2)],
)
def test_limbs_keep_their_length(name, tolerance):
    rng = np.random.default_rng(2)
    names = list(BODY.formats[name].joint_names)
    pairs = [("elb", "wri"), ("kne", "ank")]
    if name == "mh_default":  # its limb joints are the bone heads themselves
        pairs += [("sho", "elb"), ("hip", "kne")]
    rows = np.array([[names.index(s + a), names.index(s + b)] for a, b in pairs for s in "lr"])

    def lengths(vertices: np.ndarray) -> np.ndarray:
        joints = body.joints(BODY, name, vertices)
        return np.linalg.norm(joints[rows[:, 0]] - joints[rows[:, 1]], axis=1)

    expected = lengths(REST.vertices_mm)
    found = np.stack([lengths(body.pose(BODY, REST, poses.sample(rng))) for _ in range(100)])
    deviation = np.abs(found / expected - 1)
    assert np.percentile(deviation, 95) < tolerance


def test_formats_differ_by_centimetres():
    at = {
        name: dict(
            zip(
                BODY.formats[name].joint_names,
                body.joints(BODY, name, REST.vertices_mm),
                strict=True,
            )
        )
        for name in body.FORMATS[:5]
    }
    for joint, least in {"lhip": 20, "lsho": 12, "lkne": 8, "lank": 8}.items():
        points = [joints[joint] for joints in at.values()]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i]]
        assert np.median(apart) > least


@pytest.mark.parametrize("trial", range(3))
def test_sampled_poses_stay_inside_the_limits(trial):
    rng = np.random.default_rng(trial)
    for _ in range(50):
        turns = random_turns(rng, disturbance=2.0)
        angles = motions.to_swing_twist(turns.rotations.astype(np.float64))[1:]
        assert (angles >= actions.LIMITS[1:, :, 0] - 1e-3).all()
        assert (angles <= actions.LIMITS[1:, :, 1] + 1e-3).all()
        pose = poses.sample(rng, pitch_spread=0.3)
        assert np.isfinite(pose.translation_mm).all()
        eye = pose.rotations @ pose.rotations.transpose(0, 2, 1)
        np.testing.assert_allclose(eye, np.broadcast_to(np.eye(3), eye.shape), atol=1e-4)


def test_limits_are_mirror_images():
    rng = np.random.default_rng(5)
    angles = motions.from_swing_twist(rng.normal(size=(15, 3)))
    turns = motions.Turns(angles.astype(np.float32), np.zeros(3, np.float32))
    first = motions.mirror(poses.clamp(turns)).rotations
    np.testing.assert_allclose(first, poses.clamp(motions.mirror(turns)).rotations, atol=1e-4)


def test_knees_and_elbows_bend_the_human_way():
    rng = np.random.default_rng(3)
    names = list(BODY.formats["mh_default"].joint_names)
    for _ in range(50):
        pose = poses.sample(rng)
        joints = body.joints(BODY, "mh_default", body.pose(BODY, REST, pose))
        hip, knee, ankle, toe = (joints[names.index(n)] for n in ("lhip", "lkne", "lank", "ltoe"))
        ahead = toe - ankle  # the shin never swings to the side of the toes
        bend = np.cross(knee - hip, ankle - knee)
        left = np.cross(ankle - knee, ahead)
        straight = np.linalg.norm(bend) < 0.35 * np.linalg.norm(knee - hip) * np.linalg.norm(
            ankle - knee
        )
        assert straight or bend @ left < 0


@pytest.mark.parametrize(
    "vector", [[0.0, 0, 0], [1e-9, 0, 0], [0.3, -2, 1], [np.pi, 0, 0], [0, 2.2, 2.2]]
)
def test_rotation_vectors_return(vector):
    rotation = motions.from_vector(np.array(vector))
    np.testing.assert_allclose(
        motions.from_vector(motions.to_vector(rotation)), rotation, atol=1e-9
    )
    angles = motions.to_swing_twist(rotation)
    np.testing.assert_allclose(motions.from_swing_twist(angles), rotation, atol=1e-6)


def test_clips_are_finite_rotations():
    clips = motions.load()
    assert {"walk", "run", "kick", "punch", "cartwheel"} <= set(clips)
    for clip in clips.values():
        assert len(clip.rotations) == len(clip.position_mm) > 20
        assert np.isfinite(clip.position_mm).all()
        np.testing.assert_allclose(np.linalg.det(clip.rotations), 1, atol=1e-4)


def test_a_sequence_moves_steadily():
    for name in ("walk", "squat"):
        motion = poses.sequence(np.random.default_rng(4), name, 30)
        joints = np.stack([body.joints(BODY, "mixamo", body.pose(BODY, REST, p)) for p in motion])
        steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(1)
        assert 1 < steps.max() < 250


def test_same_seed_same_pose_and_choices_are_kept():
    first, second = (
        poses.sample(np.random.default_rng(7), clips=["walk"], actions=[]) for _ in range(2)
    )
    np.testing.assert_array_equal(first.rotations, second.rotations)
    with pytest.raises(ValueError, match="allow at least one"):
        poses.sample(np.random.default_rng(7), clips=[], actions=[])
    with pytest.raises(ValueError, match="stand"):
        poses.action("sitt")


def test_people_are_of_human_size():
    rng = np.random.default_rng(8)
    heights = []
    for _ in range(60):
        shaped = body.rest(BODY, body.sample_shape(rng)).vertices_mm[: BODY.skin_count]
        heights.append(np.ptp(shaped[:, 1]))
    assert 1250 < min(heights) < 1600 < max(heights) < 2100
    assert 80 < np.std(heights) < 160


def test_assets_are_small_and_licensed():
    files = list(body.ASSETS.iterdir())
    assert sum(file.stat().st_size for file in files) <= 4e6
    assert "CC0 1.0" in (body.ASSETS / "LICENSE.CC0.txt").read_text()
    assert re.search(
        "MIT License.*Xue Bin Peng", (body.ASSETS / "LICENSE.MIT.txt").read_text(), re.DOTALL
    )
