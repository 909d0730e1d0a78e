import hashlib
import json

import numpy as np
import pytest

from acae_jax.bundles import bundle
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons import union as unions

ALL = catalogue.names()


def test_it_holds_the_formats_datasets_and_exports():
    of_datasets = {part.format for d in catalogue.datasets() for part in catalogue.dataset_parts(d)}
    assert len(catalogue.datasets()) == 28
    assert len(of_datasets) == 19
    assert of_datasets == set(catalogue.formats()[:19])
    assert len(catalogue.exports()) == 23
    assert len(set(ALL)) == len(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_skeleton_is_valid(name):
    loaded = skeleton.validate(catalogue.load(name))
    assert loaded.name == name
    assert loaded.edges == skeleton.canonical_edges(loaded.edges)
    mirror = skeleton.mirror_map(loaded.joint_names)
    assert np.array_equal(mirror[mirror], np.arange(len(mirror)))


def by_first_letter(joint_names):
    """The mirror map of the catalogue's own spelling, and nothing else."""
    index = {name: i for i, name in enumerate(joint_names)}
    other = {"l": "r", "r": "l"}
    return [index[other.get(name[0], name[0]) + name[1:]] for name in joint_names]


def test_other_spellings_of_sides_change_nothing_in_the_catalogue():
    embedded = bundle.EMBEDDED
    formats = [catalogue.load(name) for name in catalogue.formats()]
    every = [
        *(catalogue.load(name).joint_names for name in ALL),
        *(catalogue.dataset_skeleton(name).joint_names for name in catalogue.datasets()),
        *(unions.mixture(name).joint_names for name in ("huge8", "medium3", "small5")),
        unions.exported().joint_names,
        unions.of(formats).joint_names,
        unions.merged_by_name(formats).joint_names,
        bundle.read(embedded).facts.joint_names,
    ]
    for joint_names in every:
        assert skeleton.mirror_map(joint_names).tolist() == by_first_letter(joint_names)
        sides = [name[0] if name[0] in "lr" else "" for name in joint_names]
        assert skeleton.sides(joint_names) == sides
        bases = [name.split("_")[0] for name in joint_names]
        assert [skeleton.base_name(name) for name in joint_names] == bases


@pytest.mark.parametrize("name", [n for n in catalogue.exports() if n.rpartition("_")[2].isdigit()])
def test_exports_have_as_many_joints_as_their_names_say(name):
    assert len(catalogue.load(name).joint_names) == int(name.rpartition("_")[2])


@pytest.mark.parametrize("dataset", catalogue.datasets())
def test_datasets_reorder_joints_of_their_formats(dataset):
    own = skeleton.validate(catalogue.dataset_skeleton(dataset))
    parts = catalogue.dataset_parts(dataset)
    assert [skeleton.base_name(n) for n in own.joint_names] == [
        n for part in parts for n in part.joint_names
    ]
    for part in parts:
        assert set(part.joint_names) <= set(catalogue.load(part.format).joint_names)


def named(one):
    return {frozenset((one.joint_names[a], one.joint_names[b])) for a, b in one.edges}


def test_reordered_joints_keep_their_edges():
    for dataset in ("fit3d", "spec", "tdhp_full"):
        whole = catalogue.load(catalogue.dataset_parts(dataset)[0].format)
        assert named(catalogue.dataset_skeleton(dataset)) == named(whole)


def test_edges_of_a_dataset_with_two_formats_stay_within_each():
    smpl, smplx = named(catalogue.load("smpl")), named(catalogue.load("smplx"))
    expected = smpl | {frozenset(f"{joint}_smplx" for joint in edge) for edge in smplx}
    assert named(catalogue.dataset_skeleton("agora")) == expected


def test_exports_may_have_edges_of_their_own():
    assert len(catalogue.load("mpi_inf_3dhp_17").edges) == 16
    assert frozenset(("neck", "lsho")) in named(catalogue.load("mpi_inf_3dhp_17"))
    assert frozenset(("head_smpl", "nose_coco")) in named(catalogue.load("smpl+head_30"))
    assert len(catalogue.load("smpl+head_30").edges) == 30


def test_joint_orders_known_from_the_datasets():
    orders = [
        catalogue.dataset_skeleton(d).joint_names for d in catalogue.mixture_datasets("huge8")
    ]
    # The published orders of all 28, joint by joint.
    assert hashlib.sha256(json.dumps(orders).encode()).hexdigest()[:16] == "46b14b05941fe6be"
    assert catalogue.dataset_skeleton("spec").joint_names[:3] == ("pelv", "lhip", "rhip")
    assert catalogue.dataset_skeleton("surreal").joint_names[-1] == "pelv"
    agora = catalogue.dataset_skeleton("agora").joint_names
    assert (len(agora), agora[0], agora[24]) == (66, "pelv", "pelv_smplx")
    assert catalogue.load("smpl_24").joint_names[3] == "spi1"
    assert len(catalogue.load("common_2d").joint_names) == 17


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: catalogue.load("smlp_24"), "did you mean 'smpl_24'"),
        (lambda: catalogue.dataset_skeleton("human36m"), "no dataset 'human36m'; did you mean"),
        (lambda: catalogue.mixture_datasets("huge9"), "no mixture 'huge9'; did you mean 'huge8'"),
        (lambda: catalogue.load("absent.json"), "no skeleton file at absent.json"),
    ],
)
def test_unknown_names_are_one_line_errors(ask, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        ask()
    assert "\n" not in str(caught.value)
