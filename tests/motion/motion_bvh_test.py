"""BVH files, read back with bvhio: positions, rest pose, symmetries, gaps, refusals."""

import warnings

import moving
import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its import of glm is about to be deprecated
    bvhio = pytest.importorskip("bvhio", reason="its glm has no build for Python 3.14")

from acae_jax.datasets.synthetic import motions
from acae_jax.motion import bvh, solve
from acae_jax.skeletons import catalogue

T_POSE = {
    "pelv": (0, 0, 0), "lhip": (10, -8, 0), "lkne": (10, -50, 0), "lank": (10, -90, 0),
    "ltoe": (10, -98, 15), "spin": (0, 25, -2), "neck": (0, 50, 0), "head": (0, 60, 3),
    "lsho": (18, 47, 0), "lelb": (45, 47, 0), "lwri": (70, 47, 0), "rhip": (-10, -8, 0),
    "rkne": (-10, -50, 0), "rank": (-10, -90, 0), "rtoe": (-10, -98, 15), "rsho": (-18, 47, 0),
    "relb": (-45, 47, 0), "rwri": (-70, 47, 0),
}  # fmt: skip
T_EDGES = (
    "pelv-lhip lhip-lkne lkne-lank lank-ltoe pelv-spin spin-neck neck-head neck-lsho lsho-lelb "
    "lelb-lwri pelv-rhip rhip-rkne rkne-rank rank-rtoe neck-rsho rsho-relb relb-rwri"
)


def t_pose(frames=1):
    names = list(T_POSE)
    pairs = [pair.split("-") for pair in T_EDGES.split()]
    edges = [(names.index(a), names.index(b)) for a, b in pairs]
    positions = np.array(list(T_POSE.values()), float) * 10 * moving.FROM_Y_UP
    return names, edges, np.tile(positions, (frames, 1, 1))


def read(path, names):
    """Positions (frames, J, 3) of named joints in cm, as bvhio poses them."""
    root = bvhio.readAsHierarchy(str(path))
    joints = {joint.Name: joint for joint, _, _ in root.layout()}
    positions = []
    for frame in range(len(root.Keyframes)):
        root.loadPose(frame)
        positions.append([list(joints[name].PositionWorld) for name in names])
    return np.array(positions)


def channels(path):
    """Channel names, in order, and their values (frames, channels)."""
    head, motion = path.read_text().split("MOTION\n")
    columns, joint = [], None
    for fields in map(str.split, head.splitlines()):
        if fields[0] in ("ROOT", "JOINT"):
            joint = fields[1]
        if fields[0] == "CHANNELS":
            columns += [(joint, channel) for channel in fields[2:]]
    return columns, np.array([row.split() for row in motion.splitlines()[2:]], float)


@pytest.mark.parametrize("name", ["h36m_17", "smpl_24", "coco_19", "mh_default", "umpm_15"])
def test_with_constant_bone_lengths_another_reader_gets_the_joints_back(tmp_path, name):
    shape, positions = moving.swinging(name)
    written = bvh.write(tmp_path / "a.bvh", *shape[1:], positions, 30.0)
    assert sorted(written.joint_names) == sorted(shape.joint_names)
    assert written.residual_mm.max() < 1e-6 and written.filled == 0 and not written.left_out
    again = read(tmp_path / "a.bvh", shape.joint_names)
    np.testing.assert_allclose(again * 10 * moving.FROM_Y_UP, positions, atol=0.02)


def test_every_skeleton_offered_to_users_keeps_its_joints(tmp_path):
    for name in catalogue.exports():
        shape, positions = moving.swinging(name, frames=3)
        there = ~np.isnan(positions[0, :, 0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of joints left out
            written = bvh.write(
                tmp_path / "a.bvh", *shape[1:], positions, 25.0,
                root=shape.joint_names[there.argmax()],
            )  # fmt: skip
        assert len(written.joint_names) == there.sum(), name
        if sum(there[a] for a, _ in shape.edges) == there.sum() - 1:  # without a cycle
            assert written.residual_mm.max() < 1e-6, name


def test_a_walk_is_read_back_as_far_from_the_input_as_was_reported(tmp_path):
    shape, positions = moving.clip("mixamo", "walk")
    written = bvh.write(tmp_path / "walk.bvh", *shape[1:], positions, 30.0)
    again = read(tmp_path / "walk.bvh", written.joint_names) * 10 * moving.FROM_Y_UP
    order = [shape.joint_names.index(name) for name in written.joint_names]
    residual = np.linalg.norm(again - positions[:, order], axis=-1).mean(0)
    np.testing.assert_allclose(residual, written.residual_mm, atol=0.02)
    assert 0.1 < written.residual_mm.mean() < 3
    columns, values = channels(tmp_path / "walk.bvh")
    assert np.abs(np.diff(values[:, 3:], axis=0)).max() < 30
    assert columns[:6] == [
        ("pelv", c) for c in ("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation",
                              "Yrotation")
    ]  # fmt: skip


def test_lengths_are_medians_so_one_bad_frame_changes_only_itself(tmp_path):
    shape, positions = moving.swinging("h36m_17")
    bad = positions.copy()
    bad[5, shape.joint_names.index("lank")] += 900
    written = bvh.write(tmp_path / "a.bvh", *shape[1:], bad, 30.0)
    again = read(tmp_path / "a.bvh", shape.joint_names) * 10 * moving.FROM_Y_UP
    others = np.arange(20) != 5
    np.testing.assert_allclose(again[others], positions[others], atol=0.02)
    assert written.residual_mm[written.joint_names.index("lank")] > 10


def test_a_t_pose_has_zero_rotations_and_is_the_rest_pose(tmp_path):
    names, edges, positions = t_pose()
    bvh.write(tmp_path / "t.bvh", names, edges, positions, 30.0)
    _, values = channels(tmp_path / "t.bvh")
    np.testing.assert_array_equal(values, 0)
    np.testing.assert_allclose(read(tmp_path / "t.bvh", names)[0], list(T_POSE.values()), atol=1e-4)


def test_the_rest_pose_of_a_walk_is_a_t_pose(tmp_path):
    shape, positions = moving.clip("game_engine", "walk")
    bvh.write(tmp_path / "a.bvh", *shape[1:], positions, 30.0)
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    root.loadRestPose()
    rest = {joint.Name: np.array(list(joint.PositionWorld)) for joint, _, _ in root.layout()}
    for side, sign in (("l", 1), ("r", -1)):
        arm, leg = rest[f"{side}wri"] - rest[f"{side}sho"], rest[f"{side}ank"] - rest[f"{side}hip"]
        np.testing.assert_allclose(arm / np.linalg.norm(arm), [sign, 0, 0], atol=1e-4)
        np.testing.assert_allclose(leg / np.linalg.norm(leg), [0, -1, 0], atol=1e-4)
        foot = rest[f"{side}foo"] - rest[f"{side}ank"]
        assert foot[2] > 5 and rest[f"{side}hip"][0] * sign > 5
    assert rest["head"][1] > 40


VOCABULARIES = {
    "COCO": "pelvis {left}_hip {left}_knee {left}_ankle {left}_shoulder {left}_elbow {left}_wrist",
    "H36M": "Hip {L}Hip {L}Knee {L}Foot {L}Shoulder {L}Elbow {L}Wrist",
    "Mixamo": "mixamorig:Hips mixamorig:{Left}UpLeg mixamorig:{Left}Leg mixamorig:{Left}Foot "
    "mixamorig:{Left}Arm mixamorig:{Left}ForeArm mixamorig:{Left}Hand",
    "Blender": "hips thigh.{L} shin.{L} foot.{L} upper_arm.{L} forearm.{L} hand.{L}",
}


def spelled(names, vocabulary):
    """The T-pose's names as another vocabulary has them, where it has them."""
    words = VOCABULARIES[vocabulary].split()
    words = dict(zip(("pelv", "hip", "kne", "ank", "sho", "elb", "wri"), words, strict=True))
    left = {"left": "left", "Left": "Left", "L": "L"}
    right = {"left": "right", "Left": "Right", "L": "R"}
    sides = {"l": left, "r": right}
    return [
        words[name[1:]].format(**sides[name[0]]) if name[1:] in words else words.get(name, name)
        for name in names
    ]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_names_of_other_vocabularies_give_the_same_motion(tmp_path, vocabulary):
    names, edges, positions = t_pose(4)
    turns = moving.smooth_turns(np.random.default_rng(3), 4)
    positions = np.einsum("fij,fkj->fki", turns, positions)
    other = spelled(names, vocabulary)
    bvh.write(tmp_path / "a.bvh", names, edges, positions, 30.0)
    bvh.write(tmp_path / "b.bvh", other, edges, positions, 30.0)
    values = [channels(tmp_path / name)[1] for name in ("a.bvh", "b.bvh")]
    np.testing.assert_array_equal(*values)
    offsets = [
        [line for line in (tmp_path / name).read_text().splitlines() if "OFFSET" in line]
        for name in ("a.bvh", "b.bvh")
    ]
    assert offsets[0] == offsets[1]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_a_turned_person_with_lowered_arms_rests_in_a_t_pose(tmp_path, vocabulary):
    names, edges, positions = t_pose(3)
    place = {name: index for index, name in enumerate(names)}
    for side in "lr":  # arms hang down
        for joint in ("elb", "wri"):
            positions[:, place[side + joint]] = positions[:, place[f"{side}sho"]]
            positions[:, place[side + joint], 1] += 270.0 if joint == "elb" else 520.0
    angle = np.radians(70)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    bvh.write(tmp_path / "a.bvh", spelled(names, vocabulary), edges, positions @ turn.T, 30.0)
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    root.loadRestPose()
    at = {joint.Name: np.array(list(joint.PositionWorld)) for joint, _, _ in root.layout()}
    rest = dict(zip(names, (at[name] for name in spelled(names, vocabulary)), strict=True))
    for side, sign in (("l", 1), ("r", -1)):
        np.testing.assert_allclose(
            rest[f"{side}wri"] - rest[f"{side}sho"], [52 * sign, 0, 0], atol=1e-3
        )
        np.testing.assert_allclose(rest[f"{side}ank"] - rest[f"{side}hip"], [0, -82, 0], atol=1e-3)
    np.testing.assert_allclose(rest["lhip"] - rest["rhip"], [20, 0, 0], atol=1e-3)


def test_turning_the_whole_body_changes_only_the_roots_channels(tmp_path):
    for case, (shape, positions) in enumerate(
        (moving.swinging("smpl_24"), moving.clip("cmu_mb", "dance_a", 6))
    ):
        turn, shift = moving.random_rotation(case), [300.0, -50.0, 800.0]
        bvh.write(tmp_path / "a.bvh", *shape[1:], positions, 30.0)
        bvh.write(tmp_path / "b.bvh", *shape[1:], positions @ turn.T + shift, 30.0)
        (columns, one), (other_columns, other) = (channels(tmp_path / f"{n}.bvh") for n in "ab")
        assert columns == other_columns
        apart = np.abs((one - other + 180) % 360 - 180)
        np.testing.assert_allclose(apart[:, 6:], 0, atol=1e-4)
        assert apart[:, 3:6].max() > 5
        assert head(tmp_path / "a.bvh") == head(tmp_path / "b.bvh")


def head(path):
    """The hierarchy, offsets rounded to a micrometre and signs of zeros left out."""
    fields = path.read_text().split("MOTION")[0].split()
    return [str(round(float(f), 4) + 0.0) if f.lstrip("-")[:1].isdigit() else f for f in fields]


def test_scaling_the_motion_scales_lengths_and_leaves_angles(tmp_path):
    shape, positions = moving.swinging("h36m_17")
    bvh.write(tmp_path / "a.bvh", *shape[1:], positions, 30.0)
    bvh.write(tmp_path / "b.bvh", *shape[1:], positions * 2, 30.0, unit_mm=20.0)
    assert (tmp_path / "a.bvh").read_text() == (tmp_path / "b.bvh").read_text()


@pytest.mark.parametrize("source", ["swinging", "clip"])
def test_a_mirrored_motion_gives_the_mirrored_file(tmp_path, source):
    if source == "clip":
        shape, positions = moving.clip("mixamo", "cartwheel", 25)
    else:
        shape, positions = moving.swinging("smpl_24")
    bvh.write(tmp_path / "a.bvh", *shape[1:], positions, 30.0)
    bvh.write(tmp_path / "b.bvh", *shape[1:], moving.mirrored(shape, positions), 30.0)
    (columns, one), (other_columns, other) = (channels(tmp_path / f"{n}.bvh") for n in "ab")
    signs = {"Xposition": -1, "Zrotation": -1, "Yrotation": -1}

    def across(joint):
        return "_".join({"l": "r", "r": "l"}.get(n[0], n[0]) + n[1:] for n in joint.split("_"))

    for index, (joint, channel) in enumerate(columns):
        partner = other_columns.index((across(joint), channel))
        difference = one[:, index] - signs.get(channel, 1) * other[:, partner]
        if "rotation" in channel:
            difference = (difference + 180) % 360 - 180
        np.testing.assert_allclose(difference, 0, atol=1e-4)


@pytest.mark.parametrize(
    ("axis", "channel"),
    [((0, 1, 0), "Yrotation"), ((1, 0, 0), "Xrotation"), ((0, 0, 1), "Zrotation")],
    ids=["spin", "somersault", "cartwheel"],
)
def test_angles_go_on_past_half_turns(tmp_path, axis, channel):
    names, edges, positions = t_pose(60)
    angles = np.arange(60) * 0.4  # radians: almost four turns
    turns = motions.from_vector(angles[:, None] * np.array(axis) * moving.FROM_Y_UP)
    spun = np.einsum("fij,fkj->fki", turns, positions)
    bvh.write(tmp_path / "a.bvh", names, edges, spun, 30.0)
    columns, values = channels(tmp_path / "a.bvh")
    index = columns.index(("pelv", channel))
    np.testing.assert_allclose(values[:, index], np.degrees(angles), atol=1e-4)
    np.testing.assert_allclose(np.delete(values, index, 1), 0, atol=1e-4)


def test_angles_give_every_rotation_back_at_gimbal_lock_too():
    rng = np.random.default_rng(0)
    turns = motions.from_vector(rng.normal(size=(50, 4, 3)) * 2)
    quarter = motions.from_vector(np.array([np.pi / 2, 0, 0]))
    z, y = (motions.from_vector(rng.normal(size=(17, 4, 1)) * axis) for axis in np.eye(3)[[2, 1]])
    turns[::3] = np.round(z @ quarter @ y, 9)  # or rounding errors would tell z from y
    angles = bvh._continuous_angles(turns)
    axes = np.eye(3)[[2, 0, 1]]
    z, x, y = (motions.from_vector(angles[..., i, None] * axis) for i, axis in enumerate(axes))
    np.testing.assert_allclose(z @ x @ y, turns, atol=1e-6)


def test_a_chest_that_has_only_shoulders_follows_the_spine(tmp_path):
    # Shoulders on one line do not say how the chest is turned about it, and noise must not.
    names, edges, positions = t_pose(40)
    noise = np.random.default_rng(0).normal(size=positions.shape) * 10
    parts = [name for name in names if name not in ("head", "spin")]
    kept = [names.index(name) for name in parts]
    edges = [(names.index(a), names.index(b)) for a, b in [("pelv", "neck")]] + edges
    edges = [(kept.index(a), kept.index(b)) for a, b in edges if {a, b} <= set(kept)]
    bvh.write(tmp_path / "a.bvh", parts, edges, (positions + noise)[:, kept], 30.0)
    columns, values = channels(tmp_path / "a.bvh")
    neck = [index for index, (joint, _) in enumerate(columns) if joint == "neck"]
    assert np.abs(values[:, neck]).max() < 15


def test_the_shortest_arc_is_exact_at_all_angles():
    rng = np.random.default_rng(1)
    start = solve._unit(rng.normal(size=(300, 3)))
    end = solve._unit(rng.normal(size=(300, 3)))
    end[:100] = -start[:100] + rng.normal(size=(100, 3)) * 10.0 ** -rng.uniform(0, 12, (100, 1))
    end = solve._unit(end)
    end[0], end[1], end[2] = -start[0], start[1], 0
    arc = solve._shortest_arc(start, end)
    reached = (arc @ start[..., None])[..., 0]
    np.testing.assert_allclose(reached[:2], end[:2], atol=1e-7)
    np.testing.assert_allclose(reached[3:], end[3:], atol=1e-7)
    np.testing.assert_allclose(arc[2], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(arc @ arc.mT, np.tile(np.eye(3), (300, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(arc), 1)
    angle = np.arccos(np.clip((start * end).sum(-1), -1, 1))
    turned = np.arccos(np.clip((np.trace(arc, axis1=1, axis2=2) - 1) / 2, -1, 1))
    np.testing.assert_allclose(turned[3:], angle[3:], atol=1e-5)


def test_gaps_are_filled_linearly_and_ends_are_held(tmp_path):
    names, edges, positions = t_pose(5)
    positions = positions + np.arange(5)[:, None, None] * np.array([100.0, 0, 0])
    gaps = positions.copy()
    gaps[1:3] = np.nan
    gaps[4, names.index("rwri"), 1] = np.nan  # one coordinate is enough
    written = bvh.write(tmp_path / "a.bvh", names, edges, gaps, 30.0)
    assert written.filled == 2 * len(names) + 1
    again = read(tmp_path / "a.bvh", names) * 10 * moving.FROM_Y_UP
    np.testing.assert_allclose(again[:4], positions[:4], atol=0.02)
    kept = [i for i, name in enumerate(names) if name != "rwri"]
    np.testing.assert_allclose(again[4, kept], positions[4, kept], atol=0.02)
    assert written.residual_mm.max() < 1e-6


def test_what_the_root_does_not_reach_is_left_out_and_named(tmp_path):
    shape, positions = moving.clip("markers", "walk", 3)
    with pytest.warns(UserWarning, match="4 joints .* root 'umbilicus'.*: lfronthead, rfronthead"):
        written = bvh.write(tmp_path / "a.bvh", *shape[1:], positions, 30.0)
    assert set(written.left_out) == {"lfronthead", "rfronthead", "lbackhead", "rbackhead"}
    assert len(written.joint_names) == 37


def test_a_joint_that_is_never_there_ends_its_limb(tmp_path):
    names, edges, positions = t_pose(3)
    positions[:, names.index("lkne")] = np.nan
    with pytest.warns(UserWarning, match="3 joints .*: lkne, lank, ltoe"):
        written = bvh.write(tmp_path / "a.bvh", names, edges, positions, 30.0)
    assert len(written.joint_names) == len(names) - 3


def test_the_root_may_be_chosen(tmp_path):
    names, edges, positions = t_pose(2)
    written = bvh.write(tmp_path / "a.bvh", names, edges, positions, 30.0, root="neck")
    assert written.joint_names[0] == "neck"
    again = read(tmp_path / "a.bvh", names) * 10 * moving.FROM_Y_UP
    np.testing.assert_allclose(again, positions, atol=0.02)


def test_the_worlds_up_direction_is_heeded(tmp_path):
    shape, positions = moving.swinging("h36m_17")
    z_up = positions[..., [0, 2, 1]] * [1, 1, -1]
    y_up = positions * moving.FROM_Y_UP
    bvh.write(tmp_path / "a.bvh", *shape[1:], positions, 30.0)
    bvh.write(tmp_path / "b.bvh", *shape[1:], z_up, 30.0, up=(0.0, 0.0, 1.0))
    bvh.write(tmp_path / "c.bvh", *shape[1:], y_up, 30.0, up=(0.0, 2.0, 0.0))
    bvh.write(tmp_path / "d.bvh", *shape[1:], y_up, 30.0, up=None)
    texts = {(tmp_path / f"{n}.bvh").read_text() for n in "abcd"}
    assert len(texts) == 1


def test_joints_in_one_place_are_no_obstacle(tmp_path):
    names, edges, positions = t_pose(4)
    positions[:, names.index("head")] = positions[:, names.index("neck")]
    positions[2, names.index("lwri")] = positions[2, names.index("lelb")]
    written = bvh.write(tmp_path / "a.bvh", names, edges, positions, 30.0)
    again = read(tmp_path / "a.bvh", names) * 10 * moving.FROM_Y_UP
    keep = np.arange(4) != 2
    np.testing.assert_allclose(again[keep], positions[keep], atol=0.02)
    assert np.isfinite(written.residual_mm).all()


def test_the_same_input_gives_the_same_bytes_and_a_failure_leaves_the_old_file(
    tmp_path, monkeypatch
):
    names, edges, positions = t_pose(2)
    bvh.write(tmp_path / "a.bvh", names, edges, positions, 29.97)
    bvh.write(tmp_path / "b.bvh", names, edges, positions.astype(np.float32), 29.97)
    first = (tmp_path / "a.bvh").read_bytes()
    assert first == (tmp_path / "b.bvh").read_bytes()
    assert b"Frames: 2\nFrame Time: 0.033366700\n" in first and b"\r" not in first

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fails)
    with pytest.raises(OSError, match="disk full"):
        bvh.write(tmp_path / "a.bvh", names, edges, positions * 2, 30.0)
    assert (tmp_path / "a.bvh").read_bytes() == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bvh", "b.bvh"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": []}, "no edges"),
        ({"edges": [(0, 99)]}, r"edge \(0, 99\) must join"),
        ({"edges": [(1, 1)]}, r"edge \(1, 1\) must join"),
        ({"root": "hat"}, "no joint 'hat'"),
        ({"edges": [(1, 2)], "root": "pelv"}, "no edge reaches the root 'pelv'"),
        ({"joint_names": ["a", "b"]}, r"2 joint names need \(frames, 2, 3\)"),
        ({"joint_names": ["a b"] * 18}, "'a_b' is empty or there twice"),
        ({"positions_mm": np.full((2, 18, 3), np.nan)}, "no position at all"),
        ({"positions_mm": np.full((2, 18, 3), np.inf)}, "infinite"),
        ({"positions_mm": np.zeros((0, 18, 3))}, "no position at all"),
        ({"fps": 0.0}, "fps is 0.0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"up": (0.0, 0.0, 0.0)}, "up is"),
        ({"up": (1.0, 0.0)}, "up is"),
        ({"unit_mm": 0.0}, "unit_mm is 0.0"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path, change, message):
    names, edges, positions = t_pose(2)
    given = {"joint_names": names, "edges": edges, "positions_mm": positions, "fps": 30.0} | change
    with pytest.raises(ValueError, match=message) as error:
        bvh.write(tmp_path / "a.bvh", **given)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
