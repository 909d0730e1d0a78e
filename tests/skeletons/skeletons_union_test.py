import hashlib
import json

import numpy as np
import pytest

from acae_jax.skeletons import catalogue, skeleton, union
from acae_jax.skeletons.skeleton import Skeleton

HUGE = union.mixture("huge8")
A = Skeleton("a", ("pelv", "lhip", "rhip"), ((0, 1), (0, 2)))
B = Skeleton("b", ("rhip", "lhip", "head", "pelv"), ((0, 3), (1, 3), (2, 3)))


def digest(value):
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def test_huge8_has_the_published_joints_and_edges():
    first = [name[0] for name in HUGE.joint_names]
    assert len(set(HUGE.joint_names)) == len(HUGE.joint_names) == 555
    assert (first.count("l"), first.count("r")) == (222, 222)
    assert len(HUGE.edges) == 446
    # The published lists, name by name and edge by edge, in their order.
    assert digest(HUGE.joint_names) == "1e33b92f7c685521"
    assert digest(HUGE.edges) == "4c1e0227afc200e8"


@pytest.mark.parametrize(
    ("name", "datasets", "joints", "edges"), [("medium3", 14, 277, 251), ("small5", 3, 77, 74)]
)
def test_smaller_mixtures(name, datasets, joints, edges):
    smaller = union.mixture(name)
    counts = len(smaller.members), len(smaller.joint_names), len(smaller.edges)
    assert counts == (datasets, joints, edges)
    assert set(smaller.joint_names) <= set(HUGE.joint_names)


@pytest.mark.parametrize("name", ["huge8", "medium3", "small5"])
def test_members_lead_to_the_datasets_own_joints(name):
    whole = union.mixture(name)
    assert tuple(whole.members) == catalogue.mixture_datasets(name)
    for dataset, indices in whole.members.items():
        parts = catalogue.dataset_parts(dataset)
        expected = [n + catalogue.suffix(part.format) for part in parts for n in part.joint_names]
        assert [whole.joint_names[i] for i in indices] == expected
    assert set().union(*whole.members.values()) == set(range(len(whole.joint_names)))


def test_mirroring_a_union_stays_within_formats():
    mirror = skeleton.mirror_map(HUGE.joint_names)
    names = np.array(HUGE.joint_names)
    assert (mirror == np.arange(555)).sum() == 111
    assert np.array_equal(mirror[mirror], np.arange(555))
    for name, other in zip(names, names[mirror], strict=True):
        assert name[1:] == other[1:]


def test_exports_index_the_union():
    whole = union.exported()
    assert whole.joint_names[:555] == HUGE.joint_names
    assert len(whole.joint_names) == 580
    for name in catalogue.exports():
        indices = union.export_indices(name)
        found = [skeleton.base_name(whole.joint_names[i]) for i in indices]
        assert found == [n for part in catalogue.export_parts(name) for n in part.joint_names]
        assert len(found) == len(catalogue.load(name).joint_names) == len(set(indices.tolist()))
        if name == "kinectv2_25":
            assert sorted(indices.tolist()) == list(range(555, 580))
        else:
            assert indices.max() < 555
    assert union.export_indices("smpl_24").tolist() == [23, *range(23)]
    assert union.export_indices("smpl+head_30")[-6:].tolist() == [76, 89, 90, 91, 92, 105]
    with pytest.raises(ValueError, match="no export 'smpl24'; did you mean 'smpl_24'"):
        union.export_indices("smpl24")


def test_of_keeps_every_joint():
    both = union.of([A, B])
    assert both.joint_names == (
        *("pelv_a", "lhip_a", "rhip_a"),
        *("rhip_b", "lhip_b", "head_b", "pelv_b"),
    )
    assert both.edges == ((0, 1), (0, 2), (3, 6), (4, 6), (5, 6))
    assert both.members == {"a": (0, 1, 2), "b": (3, 4, 5, 6)}


def test_merged_by_name_shares_joints_of_equal_name():
    merged = union.merged_by_name([A, B])
    assert merged.joint_names == ("pelv", "lhip", "rhip", "head")
    assert merged.edges == ((0, 1), (0, 2), (0, 3))
    assert merged.members == {"a": (0, 1, 2), "b": (2, 1, 3, 0)}


def test_joints_are_matched_by_name_whatever_their_order():
    theirs = union.of([A, B])
    ours = union.of([B, A])
    places = union.places(theirs.joint_names, ours.joint_names)
    assert [theirs.joint_names[place] for place in places] == list(ours.joint_names)
    assert union.places(theirs.joint_names, ours.joint_names[:2]) == places[:2]
    with pytest.raises(ValueError, match="no joint pelv_a, lhip_a, rhip_a among pelv, lhip, rhip"):
        union.places(A.joint_names, theirs.joint_names[:3])


def test_members_keep_what_they_call_their_joints():
    assert union.of([A, B]).member_joints == {"a": A.joint_names, "b": B.joint_names}
    for dataset, joints in HUGE.member_joints.items():
        assert joints == catalogue.dataset_skeleton(dataset).joint_names


def test_merged_joints_have_no_edge_to_themselves():
    both = Skeleton("both", ("pelv", "pelv_x", "head"), ((0, 1), (1, 2)))
    merged = union.merged_by_name([both])
    assert merged == union.JointUnion(
        ("pelv", "head"), ((0, 1),), {"both": (0, 0, 1)}, {"both": ("pelv", "pelv_x", "head")}
    )


def test_merged_datasets_have_one_joint_for_each_base_name():
    chosen = [catalogue.dataset_skeleton(d) for d in catalogue.datasets()]
    merged = union.merged_by_name(chosen)
    assert set(merged.joint_names) == {skeleton.base_name(n) for n in HUGE.joint_names}
    assert np.array_equal(
        skeleton.mirror_map(merged.joint_names)[merged.members["surreal"][0]],
        merged.members["surreal"][1],
    )


@pytest.mark.parametrize("build", [union.of, union.merged_by_name])
def test_a_skeleton_twice_is_an_error(build):
    with pytest.raises(ValueError, match="'a' is in the union twice"):
        build([A, B, A])


def test_label_groups_average_the_joints_that_begin_with_the_label():
    names = ("lhip", "lhipb_bmhad", "rhip", "nose_coco", "lhip_h36m")
    weights = union.label_groups(names, ("nose", "lhip", "lear"))
    third = np.float32(1 / 3)
    expected = [[0, 0, 0, 1, 0], [third, third, 0, 0, third], [0, 0, 0, 0, 0]]
    assert weights.dtype == np.float32
    assert np.array_equal(weights, np.array(expected, np.float32))


def test_labels_of_other_vocabularies_supervise_the_same_parts():
    joints = ("lhip_a", "rhip_a", "lhip_b", "rhip_b", "LeftHip_c", "RightHip_c", "nose_a")
    weights = union.label_groups(joints, ["left_hip", "right_hip", "nose", "left_ear", "right_ear"])
    third = np.float32(1) / 3
    left = [third, 0, third, 0, third, 0, 0]
    expected = [left, [0, *left[:-1]], [0] * 6 + [1], [0] * 7, [0] * 7]
    np.testing.assert_array_equal(weights, np.array(expected, np.float32))


def test_label_groups_commute_with_mirroring():
    labels = catalogue.load("common_2d").joint_names
    weights = union.label_groups(HUGE.joint_names, labels)
    assert np.allclose(weights.sum(axis=1), 1)
    mirrored = weights[skeleton.mirror_map(labels)][:, skeleton.mirror_map(HUGE.joint_names)]
    assert np.array_equal(weights, mirrored)


def test_label_groups_may_be_empty():
    assert union.label_groups(("pelv",), ()).shape == (0, 1)


def test_a_skeleton_stands_beside_a_mixture():
    mixture, own = union.mixture("small5"), Skeleton("mine", ("a", "b"), ((0, 1),))
    both = union.beside(mixture, union.of([own]))
    assert both.joint_names == (*mixture.joint_names, "a_mine", "b_mine")
    assert both.members == {**mixture.members, "mine": (77, 78)}
    assert both.edges == (*mixture.edges, (77, 78))
    assert both.member_joints["mine"] == ("a", "b")
    with pytest.raises(ValueError, match="skeleton 'h36m' is in the union twice"):
        union.beside(mixture, union.of([own._replace(name="h36m")]))
