"""BVH is read as other programs read it."""

import re
import warnings

import numpy as np
import pytest

from acae_jax.datasets.readers import bvh
from acae_jax.motion import bvh as writer

TEXT = """HIERARCHY
ROOT Hips
{
  OFFSET 5 90 -3
  CHANNELS 6 Xposition Yposition Zposition Yrotation Xrotation Zrotation
  JOINT Left Leg
  {
    OFFSET 10 -8 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    JOINT Foot
    {
      OFFSET 0 -40 1
      CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation
      End Site
      {
        OFFSET 0 -5 15
      }
    }
  }
  JOINT Fixed
  {
    OFFSET 0 20 0
  }
}
MOTION
Frames: 3
Frame Time: 0.0083333
5 90 -3 0 0 0 0 0 0 0 -40 1 0 0 0
6 91 -4 30 20 -10 70 15 -25 1 -41 2 5 -60 45
7 92 -5 -170 80 95 -120 30 200 0 -40 1 0 0 90
"""


def about(axis, degrees):
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[[one, one, other, other], [one, other, one, other]] = c, -s, s, c
    return turn


def test_a_hierarchy_with_all_kinds_of_channels(tmp_path):
    path = tmp_path / "a.bvh"
    path.write_text(TEXT)
    motion = bvh.read(path)
    assert motion.names == ("Hips", "Left Leg", "Foot", "Foot_end", "Fixed")
    assert motion.rate_hz == pytest.approx(120, rel=1e-4)
    rest = [[5, 90, -3], [15, 82, -3], [15, 42, -2], [15, 37, 13], [5, 110, -3]]
    np.testing.assert_allclose(motion.positions[0], rest, atol=1e-9)
    root = about(1, 30) @ about(0, 20) @ about(2, -10)
    leg = root @ about(2, 70) @ about(1, 15) @ about(0, -25)
    foot = leg @ about(0, 5) @ about(1, -60) @ about(2, 45)
    at = np.array([6.0, 91, -4])
    expected = [at, at + root @ [10, -8, 0]]
    expected.append(expected[1] + leg @ [1, -41, 2])
    expected += [expected[2] + foot @ [0, -5, 15], at + root @ [0, 20, 0]]
    np.testing.assert_allclose(motion.positions[1], expected, atol=1e-9)


def test_another_reader_has_the_same_joints(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import of glm is about to be deprecated
        bvhio = pytest.importorskip("bvhio", reason="its glm has no build for Python 3.14")
    path = tmp_path / "a.bvh"
    text = re.sub(r"  JOINT Fixed\n.*?\n  }\n", "", TEXT, flags=re.DOTALL)
    path.write_text(text.replace("Left Leg", "LeftLeg"))
    root = bvhio.readAsHierarchy(str(path))
    joints = {joint.Name: joint for joint, _, _ in root.layout()}
    motion = bvh.read(path)
    for frame in range(3):
        root.loadPose(frame)
        for place, name in enumerate(motion.names[:3]):
            theirs = list(joints[name].PositionWorld)
            np.testing.assert_allclose(motion.positions[frame, place], theirs, atol=1e-3)


def test_what_is_written_is_read_back(tmp_path):
    names = ("pelv", "lhip", "lkne", "rhip", "rkne", "neck")
    rest_mm = [[0, 900, 0], [100, 880, 0], [110, 450, 20], [-100, 880, 0], [-95, 460, 5]]
    rest_mm = np.array([*rest_mm, [0, 1450, 10]], float)
    poses_mm = np.stack([rest_mm, rest_mm + np.array([50, 10, 300])])
    edges = [(0, 1), (1, 2), (0, 3), (3, 4), (0, 5)]
    writer.write(tmp_path / "a.bvh", names, edges, poses_mm, 25.0, up=None)
    motion = bvh.read(tmp_path / "a.bvh")
    found_mm = 10 * motion.positions[:, [motion.names.index(name) for name in names]]
    np.testing.assert_allclose(found_mm, poses_mm, atol=0.01)
    assert motion.rate_hz == pytest.approx(25)


FAULTS = {
    "no hierarchy": (("HIERARCHY", "H"), "does not begin with HIERARCHY"),
    "no motion": (("MOTION", "M"), "has no part MOTION"),
    "bracket": (("  }\n}\nMOTION", "  }\nMOTION"), "its hierarchy is cut short"),
    "brackets": (("  }\n}\nMOTION", "  }\n}\n}\nMOTION"), "closes a bracket too many"),
    "kind": (("JOINT Foot", "BONE Foot"), "has 'BONE' where a joint belongs"),
    "offset": (("OFFSET 0 -5 15", "OFFSET 0 -5"), "has '}' where a number belongs"),
    "words": (("  }\n}\nMOTION", "  }\n}\nSite\nMOTION"), "has 'Site' where a joint belongs"),
    "no offset": (("OFFSET 0 -5 15", "0 -5 15"), "joint 'Foot_end' has no OFFSET"),
    "channel": (("3 Zrotation", "3 Wrotation"), "'Left Leg' has unknown channels Wrotation"),
    "count": (("CHANNELS 3", "CHANNELS three"), "has 'three' where a number belongs"),
    "twice": (("JOINT Foot", "JOINT Left Leg"), "joint 'Left Leg' is there twice"),
    "frames": (("Frames: 3", "Frames: 4"), "has 45 numbers, not 60: 15 in each of 4 frames"),
    "time": (("0.0083333", "0"), "its Frame Time is 0"),
    "number": (("-170 80 95", "-170 8O 95"), "holds something other than numbers"),
    "finite": (("-170 80 95", "-170 nan 95"), "numbers that are not finite"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_one_line(tmp_path, name):
    (old, new), message = FAULTS[name]
    assert old in TEXT
    path = tmp_path / "a.bvh"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as raised:
        bvh.read(path)
    assert f"{path} is no readable BVH: " in str(raised.value) and "\n" not in str(raised.value)
