"""Key poses of everyday actions and the limits of human joints, as data.

Angles are degrees of swing and twist, (x, twist, z), as in motions.to_swing_twist. With x, a
hanging limb swings backwards and a trunk bends forwards: knees bend at +x, hips, shoulders and
elbows at -x. With z, a hanging limb swings to the left and a trunk leans to the right. Twist turns
the front of the bone to the left. Joints that an action does not name hang relaxed.
"""

import re

import numpy as np
from jaxtyping import Float

from acae_jax.datasets.synthetic.motions import JOINTS

# Limits of the left joints and the trunk; the right ones are mirrored.
_LIMITS = {
    "chest": ((-25, 75), (-40, 40), (-38, 38)),
    "neck": ((-45, 50), (-75, 75), (-38, 38)),
    "lhip": ((-135, 30), (-45, 60), (-25, 75)),
    "lkne": ((0, 150), (-5, 5), (-5, 5)),
    "lank": ((-45, 45), (-35, 35), (-25, 25)),
    "lsho": ((-170, 65), (-95, 95), (-45, 170)),
    "lelb": ((-145, 0), (-5, 5), (-5, 5)),
    "lwri": ((-20, 20), (-45, 45), (-55, 55)),
}

# A line for each action: its name, then joint x,twist,z … A joint without a side means both sides,
# mirrored.
_ACTIONS = """
stand: sho -2,0,6 elb -12,0,0
stand_straddle: hip 0,8,14 sho 0,0,12 elb -10,0,0
t_pose: sho 0,0,88
arms_up: sho -20,20,160 elb -15,0,0
arms_forward: sho -88,0,4 elb -8,0,0
hands_on_hips: sho 22,-62,42 elb -98,0,0 hip 0,6,8
arms_crossed: lsho -38,-72,-6 lelb -98,0,0 rsho -30,70,6 relb -104,0,0
hands_behind_head: sho -30,95,95 elb -138,0,0
hands_behind_back: sho 32,-70,12 elb -62,0,0
wave: lsho -10,85,95 lelb -75,0,0 rsho 0,0,-6 relb -14,0,0 neck 0,15,0
point: lsho -85,0,18 lelb -6,0,0 rsho 0,0,-6 relb -14,0,0 neck 0,12,0
phone: lsho -32,-5,24 lelb -136,0,0 neck 6,0,-8
text_message: sho -28,-34,4 elb -88,0,0 neck 32,0,0
drink: lsho -48,-30,14 lelb -128,0,0 neck -10,0,0
think: lsho -42,-38,0 lelb -128,0,0 rsho -22,66,4 relb -82,0,0 neck 10,0,0
carry_box: sho -22,-12,6 elb -80,0,0 chest -4,0,0
carry_bag: lsho 0,0,10 lelb -2,0,0 chest 0,0,-5
reach_up: lsho -165,0,10 lelb -8,0,0 neck -25,10,0 chest -6,0,-6 ank 22,0,0
reach_side: lsho -10,0,105 lelb -10,0,0 chest 0,14,-14 hip 0,8,10
pick_up: root 34,0,0 hip -72,6,8 kne 38,0,0 chest 42,0,0 sho -70,0,4 elb -12,0,0 neck -10,0,0
    ank -12,0,0
bend_forward: root 46,0,0 hip -56,0,4 kne 6,0,0 chest 48,0,0 sho -88,0,4 elb -6,0,0
tie_shoe: root 24,0,0 lhip -112,0,8 lkne 92,0,0 lank -10,0,0 rhip -20,0,-4 rkne 112,0,0
    rank 30,0,0 chest 55,0,0 sho -70,-10,0 elb -20,0,0
side_bend: chest 0,0,-32 lsho -10,0,150 lelb -25,0,0 hip 0,6,12
twist_trunk: chest 0,36,0 neck 0,35,0 sho -20,0,40 elb -60,0,0
squat: root 14,0,0 hip -118,20,20 kne 124,0,0 ank -32,0,0 chest 24,0,0 sho -78,0,6 elb -14,0,0
half_squat: root 18,0,0 hip -66,10,14 kne 76,0,0 ank -26,0,0 chest 14,0,0 sho -62,-10,4 elb -32,0,0
lunge: lhip -82,0,4 lkne 84,0,0 rhip 22,0,0 rkne 34,0,0 rank 10,0,0 sho 4,0,14 elb -30,0,0
kneel: hip -6,4,6 kne 98,0,0 ank 42,0,0 sho 0,0,8 elb -16,0,0
half_kneel: lhip -84,4,6 lkne 86,0,0 rhip 4,0,-4 rkne 96,0,0 rank 26,0,0 sho -24,-6,6 elb -48,0,0
sit_on_heels: hip -78,6,8 kne 146,0,0 ank 44,0,0 sho -26,-20,6 elb -46,0,0
sit: hip -84,4,8 kne 84,0,0 sho -24,-18,8 elb -56,0,0 chest 6,0,0
sit_desk: hip -88,4,6 kne 88,0,0 sho -38,-14,8 elb -72,0,0 chest 12,0,0 neck 12,0,0
sit_lean_back: hip -68,4,10 kne 72,0,0 sho 18,-10,18 elb -22,0,0 chest -4,0,0
sit_legs_crossed: lhip -92,18,-8 lkne 66,0,0 rhip -82,0,-6 rkne 80,0,0 sho -26,-30,6 elb -66,0,0
sit_elbows_on_knees: root 12,0,0 hip -98,8,14 kne 90,0,0 chest 44,0,0 sho -36,-30,4 elb -76,0,0
    neck -12,0,0
sit_floor: hip -88,4,8 kne 12,0,0 chest 18,0,0 sho 26,0,14 elb -6,0,0
sit_cross_legged: hip -92,60,52 kne 138,0,0 ank 20,0,0 chest 24,0,0 sho -24,-24,14 elb -52,0,0
sit_hug_knees: hip -112,0,6 kne 112,0,0 chest 38,0,0 sho -62,-26,6 elb -46,0,0
lie_back: root -90,0,0 sho 0,0,14 elb -10,0,0 hip 0,8,8
lie_back_knees_up: root -90,0,0 hip -52,0,4 kne 92,0,0 sho 0,0,24 elb -14,0,0
lie_front: root 90,0,0 sho -140,0,30 elb -60,0,0 ank 40,0,0 neck 0,50,0
lie_side: root 0,0,90 hip -42,0,2 kne 62,0,0 rsho -95,0,0 relb -80,0,0 lsho -40,0,6 lelb -50,0,0
all_fours: root 82,0,0 hip -82,0,4 kne 86,0,0 ank 36,0,0 sho -86,0,8 elb -6,0,0 neck -30,0,0
push_up: root 76,0,0 sho -80,0,14 elb -8,0,0 hip 2,0,4 ank -30,0,0 neck -18,0,0
plank: root 84,0,0 sho -86,0,4 elb -90,0,0 ank -30,0,0 neck -14,0,0
stairs_up: lhip -62,0,2 lkne 72,0,0 lank -8,0,0 rhip 2,0,0 rkne 8,0,0 rank 8,0,0 chest 12,0,0
    lsho 20,0,6 rsho -24,0,-6 elb -28,0,0
stairs_down: lhip -18,0,2 lkne 8,0,0 lank 20,0,0 rhip -14,0,0 rkne 46,0,0 rank -14,0,0
    rsho 12,0,-8 lsho -16,0,8 elb -22,0,0
step_over: lhip -84,6,16 lkne 82,0,0 rhip 2,0,-4 sho -14,0,26 elb -34,0,0
one_leg: lhip -88,0,4 lkne 104,0,0 sho 0,0,62 elb -12,0,0
high_kick: lhip -108,0,8 lkne 12,0,0 rhip 4,0,-4 rkne 8,0,0 chest -6,0,0 lsho 14,0,30
    rsho -48,0,-14 elb -44,0,0
throw: rsho 6,-80,-92 relb -86,0,0 lsho -66,0,24 lelb -18,0,0 chest -6,-28,0 lhip -24,0,6
    rhip 16,0,-4 rkne 18,0,0
bowl: root 18,0,0 rsho 44,0,-8 lsho -20,0,40 chest 40,0,0 lhip -62,0,4 lkne 66,0,0 lank -20,0,0
    rhip 16,0,-8 rkne 26,0,0
box: chest 8,-18,0 lsho -52,-16,14 lelb -108,0,0 rsho -40,22,-12 relb -126,0,0 hip -18,10,10
    kne 28,0,0 ank -10,0,0
cycle: root 18,0,0 hip -78,0,2 kne 92,0,0 lhip -52,0,2 lkne 44,0,0 chest 38,0,0 sho -72,0,8
    elb -22,0,0 neck -24,0,0
ski: root 22,0,0 hip -54,0,8 kne 68,0,0 ank -28,0,0 chest 26,0,0 sho -28,-20,18 elb -76,0,0
    neck -14,0,0
vacuum: chest 24,10,0 rsho -46,0,-4 relb -40,0,0 lhip -24,0,6 lkne 22,0,0 rhip 10,0,-4
    lsho -20,-20,10 lelb -60,0,0
shade_eyes: lsho -58,-26,40 lelb -128,0,0 neck -6,10,0
clap: sho -54,-34,4 elb -62,0,0
pray: sho -40,-52,8 elb -112,0,0
shrug: sho -8,58,22 elb -92,0,0
photograph: sho -58,-26,10 elb -104,0,0
look_up: neck -38,0,0 chest -12,0,0 sho 0,0,8
look_down: neck 42,0,0 chest 12,0,0 sho -6,0,6
"""


def _both(name: str, angles: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    x, twist, z = angles
    if name in JOINTS:
        return {name: angles}
    return {f"l{name}": angles, f"r{name}": (x, -twist, -z)}


def _read(text: str) -> dict[str, Float[np.ndarray, "15 3"]]:
    actions = {}
    for line in text.strip().replace("\n    ", " ").splitlines():
        name, parts = line.split(": ")
        pose = _both("sho", (0.0, 0.0, 5.0)) | _both("elb", (-12.0, 0.0, 0.0))
        for joint, values in re.findall(r"(\w+) (\S+)", parts):
            pose |= _both(joint, tuple(float(v) for v in values.split(",")))
        rows = [pose.get(joint, (0.0, 0.0, 0.0)) for joint in JOINTS]
        actions[name] = np.radians(np.array(rows, np.float64))
    return actions


def _limits() -> Float[np.ndarray, "15 3 2"]:
    result = np.tile([-np.inf, np.inf], (len(JOINTS), 3, 1))  # the root may turn anywhere
    for joint, ranges in _LIMITS.items():
        left = np.radians(np.array(ranges, np.float64))
        result[JOINTS.index(joint)] = left
        if joint.startswith("l"):
            right = np.stack([left[0], -left[1, ::-1], -left[2, ::-1]])
            result[JOINTS.index("r" + joint[1:])] = right
    return result


ACTIONS = _read(_ACTIONS)
LIMITS = _limits()
