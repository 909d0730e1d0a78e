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
def test_mirror_map_names_the_missing_partner(alone, missing):
    with pytest.raises(ValueError, match=f"add '{missing}'"):
        skeleton.mirror_map(("pelv", alone))


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
