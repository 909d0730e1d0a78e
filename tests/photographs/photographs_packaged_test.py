"""The model in the box on a photograph: what everybody tries first."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import acae_jax
from acae_jax.bundles import bundle
from acae_jax.media import stills
from acae_jax.skeletons import skeleton

PHOTOGRAPH = Path(__file__).parent / "skier.jpg"
JOINTS = {  # px, by COCO's annotators
    "nose": (367, 81), "leye": (374, 73), "reye": (360, 75), "lear": (386, 78), "rear": (356, 81),
    "lsho": (399, 108), "rsho": (358, 129), "lelb": (433, 142), "relb": (341, 159),
    "lwri": (449, 165), "rwri": (309, 178), "lhip": (424, 203), "rhip": (393, 214),
    "lkne": (429, 294), "rkne": (367, 273), "lank": (466, 362), "rank": (396, 341),
}  # fmt: skip


@pytest.fixture(scope="module")
def estimator():
    return acae_jax.load()


@pytest.fixture(scope="module")
def people(estimator):
    return estimator.detect_poses(stills.read(PHOTOGRAPH))


def of(estimator, people, name, joints):
    """Positions in px and mm of some joints in one of the skeletons, of the first person."""
    indices = estimator.bundle.facts.skeletons[name].indices
    names = estimator.per_skeleton_joint_names[name]
    places = [indices[names.index(joint)] for joint in joints]
    return people["poses2d"][0, places], people["poses3d"][0, places]


def test_joints_are_where_people_see_them(estimator, people):
    assert len(people["boxes"]) == 1
    at_px, _ = of(estimator, people, "mediapipe_33", JOINTS)
    off_px = np.linalg.norm(at_px - np.array([*JOINTS.values()]), axis=-1)
    assert off_px.mean() < 8.5 and off_px.max() < 22


def test_the_person_has_the_size_of_one_and_stands_in_front(estimator, people):
    _, poses_mm = of(estimator, people, "mh_default", ("htop", "lank", "lkne", "lhip"))
    top, *leg = poses_mm
    shin_mm, thigh_mm = (np.linalg.norm(a - b) for a, b in itertools.pairwise(leg))
    assert 300 < shin_mm < 520 and 300 < thigh_mm < 520
    assert 1300 < leg[0][1] - top[1] < 1900  # y is down
    assert 2000 < top[2] < 8000


def test_all_skeletons_agree(estimator, people):
    wrists = []
    for name in estimator.per_skeleton_joint_names:
        if name and "lwri" in estimator.per_skeleton_joint_names[name]:
            wrists.append(of(estimator, people, name, ["lwri"])[1][0])
    assert len(wrists) >= 5
    assert np.ptp(wrists, axis=0).max() < 90


def test_a_mirrored_photograph_gives_the_mirrored_pose(estimator, people):
    image = stills.read(PHOTOGRAPH)
    mirrored = estimator.detect_poses(np.ascontiguousarray(image[:, ::-1]))
    mirror = skeleton.mirror_map(estimator.bundle.facts.joint_names)
    back = mirrored["poses2d"][0, mirror]
    back[:, 0] = image.shape[1] - 1 - back[:, 0]
    assert np.median(np.linalg.norm(back - people["poses2d"][0], axis=-1)) < 6


def test_the_model_of_the_embedded_people_is_still_there():
    embedded = acae_jax.load("embedded")
    assert embedded.bundle.folder == bundle.EMBEDDED
    assert embedded.bundle.facts.side_px == 96
