"""Who has more than six of the twelve joints of arms and legs."""

import numpy as np

from acae_jax.datasets.steps import limbs
from acae_jax.skeletons import catalogue

SETS = ("mpii_2d", "coco_2d", "jrdb_2d", "posetrack_2d")


def test_seven_joints_of_limbs_are_enough_whatever_else_is_labelled():
    for name in SETS:
        names = catalogue.load(name).joint_names
        others = [j for j, joint in enumerate(names) if joint not in limbs.JOINTS]
        limb = [names.index(joint) for joint in limbs.JOINTS]
        for count in (6, 7):
            labels_px = np.full((len(names), 2), np.nan)
            labels_px[[*others, *limb[:count]]] = 5.0
            assert limbs.are_labelled(names, labels_px) == (count > 6)
        labels_px[limb[0], 1] = np.nan
        assert not limbs.are_labelled(names, labels_px)
