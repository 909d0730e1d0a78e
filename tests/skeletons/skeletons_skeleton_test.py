import json

import numpy as np
import pytest

from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons.skeleton import Skeleton

SMALL = Skeleton("small", ("pelv", "lhip", "rhip", "head"), ((0, 1), (0, 2), (0, 3)))
FILE = {
    "name": "mine",
    "joint_names": ["pelv", "lhip", "rhip"],
    "edges": [["rhip", "pelv"], ["pelv", "lhip"]],
}


def test_mirror_map_swaps_sides_within_a_format():
    names = ("pelv", "lhip", "rhip", "rhip_a", "lhip_a", "head_a")
    mirror = skeleton.mirror_map(names)
    assert mirror.dtype == np.int32
    assert mirror.tolist() == [0, 2, 1, 4, 3, 5]


@pytest.mark.parametrize(("alone", "missing"), [("lhip", "rhip"), ("rhip_a", "lhip_a")])
def test_a_missing_partner_is_named(alone, missing):
    for others in (("pelv",), ("pelv", "lkne", "rkne")):
        with pytest.raises(ValueError, match=f"skeleton 'mine': joint .* add '{missing}'"):
            skeleton.validate(Skeleton("mine", (*others, alone), ()))


SPELLINGS = (
    ("lhip", "rhip"),
    ("left_hip", "right_hip"),
    ("lefthip", "righthip"),
    ("LeftHip", "RightHip"),
    ("LEFT_HIP", "RIGHT_HIP"),
    ("Left Hip", "Right Hip"),
    ("mixamorig:LeftUpLeg", "mixamorig:RightUpLeg"),
    ("hip_left", "hip_right"),
    ("HipLeft", "HipRight"),
    ("LHip", "RHip"),
    ("L_Hip", "R_Hip"),
    ("L.Hip", "R.Hip"),
    ("l_hip", "r_hip"),
    ("hip_l", "hip_r"),
    ("hip.L", "hip.R"),
    ("hip-l", "hip-r"),
    ("hipL", "hipR"),
    ("lowerleg_l", "lowerleg_r"),
    ("ring_01_l", "ring_01_r"),
)


@pytest.mark.parametrize(("left", "right"), SPELLINGS)
def test_usual_spellings_of_sides_pair_up_with_and_without_a_format(left, right):
    names = ("pelvis", right, "upright", left, "neck")
    for joints in (names, [f"{name}_mine" for name in names], [f"{n}_h36m_17" for n in names]):
        assert skeleton.mirror_map(joints).tolist() == [0, 3, 2, 1, 4]
        assert skeleton.sides(joints) == ["", "r", "", "l", ""]
    own = Skeleton("mine", names, ())
    assert skeleton.validate(own) == own


def test_spellings_may_mix_and_nobody_has_two_partners():
    names = ("lhip", "rhip", "LHip", "RHip", "hip_l", "hip_r")
    assert skeleton.mirror_map(names).tolist() == [1, 0, 3, 2, 5, 4]
    for names in (("l_hip_l", "l_hip_r", "r_hip_r"), ("L_hip_l", "L_hip_r", "R_hip_r")):
        mirror = skeleton.mirror_map(names)
        assert mirror[mirror].tolist() == [0, 1, 2]


def test_what_only_looks_like_a_side_is_central():
    names = ("Lumbar", "Ribs", "spine_L5", "upright", "bright", "cleft", "LHip", "C7", "Root", "")
    assert skeleton.mirror_map(names).tolist() == list(range(len(names)))
    assert skeleton.sides(names) == [""] * len(names)


def test_names_without_their_sides():
    lefts = ("lhip", "left_hip", "LeftHip", "HipLeft", "hip_l", "Hip.L", "mixamorig:LeftLeg_mine")
    rights = ("rhip", "right_hip", "RightHip", "HipRight", "hip_r", "Hip.R")
    rests = ["hip", "_hip", "Hip", "Hip", "hip_", "Hip.", "mixamorig:Leg_mine"]
    names = [*lefts, *rights, "mixamorig:RightLeg_mine", "left_alone"]
    assert skeleton.without_sides(names) == [*rests, *rests, "left_alone"]


@pytest.mark.parametrize(
    ("alone", "message"),
    [
        ("left_hip", "'left_hip' is left but 'right_hip' is missing; add 'right_hip', or"),
        ("RightHip", "'RightHip' is right but 'LeftHip' is missing; add 'LeftHip', or"),
        ("HipLeft", "add 'HipRight', or rename 'HipLeft' without 'Left'"),
        ("HIP_RIGHT", "add 'HIP_LEFT', or rename 'HIP_RIGHT' without 'RIGHT'"),
        ("root", "'root' is right by its first letter but 'loot' is missing; add 'loot', or"),
    ],
)
def test_clearly_sided_joints_without_a_partner_are_refused_in_their_spelling(alone, message):
    with pytest.raises(ValueError, match=message):
        skeleton.validate(Skeleton("mine", ("pelvis", "LHip", alone), ()))


def test_a_first_letter_says_no_side_where_others_have_theirs_elsewhere():
    names = ("root", "left_hip", "right_hip", "ribs")
    own = Skeleton("mine", names, ())
    assert skeleton.validate(own) == own
    # Also beside the joints of a model, which have theirs there.
    together = ("lhip_h36m", "rhip_h36m", *(f"{name}_mine" for name in names))
    assert skeleton.mirror_map(together).tolist() == [1, 0, 2, 4, 3, 5]


def test_a_skeleton_that_says_a_side_would_make_its_joints_sided():
    with pytest.raises(ValueError, match="'hand_left': a skeleton's name must not say left"):
        skeleton.validate(Skeleton("hand_left", ("wrist", "thumb"), ()))


def test_select_keeps_the_order_of_the_names():
    assert skeleton.select(SMALL, ["head", "lhip"]).tolist() == [3, 1]
    assert skeleton.select(SMALL, []).shape == (0,)


def test_select_suggests_near_misses():
    with pytest.raises(ValueError, match="no joint 'lknee'; did you mean 'lkne'"):
        skeleton.select(catalogue.load("h36m"), ["pelv", "lknee"])
    with pytest.raises(ValueError, match="it is one of: pelv, lhip, rhip, head"):
        skeleton.select(SMALL, ["xyz"])


def test_base_name():
    names = ["lhip", "lhip_h36m", "lhip_mh_default"]
    assert [skeleton.base_name(name) for name in names] == ["lhip"] * 3
    names = ["left_hip", "left_hip_mine", "hip_l", "hip_l_mine", "hip_large", "LHip_mine", "r_x_y"]
    expected = ["left_hip", "left_hip", "hip_l", "hip_l", "hip", "LHip", "r_x"]
    assert [skeleton.base_name(name) for name in names] == expected


@pytest.mark.parametrize("name", ["smpl", "h36m_17", "smpl+head_30", "common_2d"])
def test_files_round_trip(tmp_path, name):
    original = catalogue.load(name)
    path = tmp_path / "own.json"
    skeleton.write(path, original)
    assert skeleton.read(path) == original
    assert catalogue.load(str(path)) == original


def test_read_orders_edges(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(FILE))
    assert skeleton.read(path) == Skeleton("mine", ("pelv", "lhip", "rhip"), ((0, 1), (0, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint_names": ["pelv", "lhip", "rhip", "pelv"]}, "joint 'pelv' is there twice; rename"),
        ({"joint_names": ["pelv", "lhip", "rhip", "rkne"]}, "add 'lkne', or rename 'rkne'"),
        ({"edges": [["pelv", "lhipp"]]}, "no joint 'lhipp'; did you mean 'lhip'"),
        ({"edges": [["pelv", "pelv"]]}, "must join two different joints"),
        ({"edges": [["pelv", "lhip", "rhip"]]}, "edges must be a list of pairs"),
        ({"edges": [[0, 1]]}, "edges must be a list of pairs of joint names"),
        ({"joint_names": "pelv"}, "joint_names must be a list of texts"),
        ({"joint_names": [], "edges": []}, "at least one joint"),
        ({"name": ""}, "name must be a text"),
        ({"colour": "red"}, "the keys name, joint_names and edges"),
    ],
)
def test_read_says_in_one_line_what_to_mend(tmp_path, change, message):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**FILE, **change}))
    with pytest.raises(ValueError, match=message) as caught:
        skeleton.read(path)
    assert "mine.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_names_a_missing_or_damaged_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no skeleton file at .*absent.json"):
        skeleton.read(tmp_path / "absent.json")
    (tmp_path / "cut.json").write_text('{"name": ')
    with pytest.raises(ValueError, match=r"cut.json is not JSON"):
        skeleton.read(tmp_path / "cut.json")
