"""The same body named in many vocabularies: the same parts and sides, whoever named it."""

import pytest

from acae_jax.skeletons import body_parts, catalogue, skeleton
from acae_jax.skeletons.body_parts import BodyPart

# One line for each part: pelvis, hip, knee, ankle, shoulder, elbow, wrist.
BODIES = {
    "catalogue": "pelv {l}hip {l}kne {l}ank {l}sho {l}elb {l}wri",
    "MeTRAbs, with formats": "pelv_h36m {l}hip_h36m {l}kne_h36m {l}ank_h36m {l}sho_h36m "
    "{l}elb_h36m {l}wri_h36m",
    "COCO": "pelvis {left}_hip {left}_knee {left}_ankle {left}_shoulder {left}_elbow {left}_wrist",
    "user's own": "pelvis_me_17 {left}_hip_me_17 {left}_knee_me_17 {left}_ankle_me_17 "
    "{left}_shoulder_me_17 {left}_elbow_me_17 {left}_wrist_me_17",
    "OpenPose": "MidHip {L}Hip {L}Knee {L}Ankle {L}Shoulder {L}Elbow {L}Wrist",
    "SMPL": "Pelvis {L}_Hip {L}_Knee {L}_Ankle {L}_Shoulder {L}_Elbow {L}_Wrist",
    "Human3.6M": "Hip {L}Hip {L}Knee {L}Foot {L}Shoulder {L}Elbow {L}Wrist",
    "Mixamo": "Hips {Left}UpLeg {Left}Leg {Left}Foot {Left}Arm {Left}ForeArm {Left}Hand",
    "Mixamo's files": "mixamorig:Hips mixamorig:{Left}UpLeg mixamorig:{Left}Leg "
    "mixamorig:{Left}Foot mixamorig:{Left}Arm mixamorig:{Left}ForeArm mixamorig:{Left}Hand",
    "Mixamo in three.js": "mixamorigHips mixamorig{Left}UpLeg mixamorig{Left}Leg "
    "mixamorig{Left}Foot mixamorig{Left}Arm mixamorig{Left}ForeArm mixamorig{Left}Hand",
    "Blender": "hips thigh.{L} shin.{L} foot.{L} upper_arm.{L} forearm.{L} hand.{L}",
    "Unreal": "pelvis thigh_{l} calf_{l} foot_{l} upperarm_{l} lowerarm_{l} hand_{l}",
    "Unity": "Hips {Left}UpperLeg {Left}LowerLeg {Left}Foot {Left}UpperArm {Left}LowerArm "
    "{Left}Hand",
    "Biped": "Bip01 Pelvis|Bip01 {L} Thigh|Bip01 {L} Calf|Bip01 {L} Foot|Bip01 {L} UpperArm|"
    "Bip01 {L} Forearm|Bip01 {L} Hand",
}
PARTS = ("pelvis", "hip", "knee", "ankle", "shoulder", "elbow", "wrist")
SPELLED = {
    "l": {"l": "l", "L": "L", "left": "left", "Left": "Left"},
    "r": {"l": "r", "L": "R", "left": "right", "Left": "Right"},
}


def body(vocabulary):
    """The names of a body's joints, and what they mean."""
    text = BODIES[vocabulary]
    words = text.split("|") if "|" in text else text.split()
    meaning = {words[0]: BodyPart("pelvis", "")}
    for word, part in zip(words[1:], PARTS[1:], strict=True):
        for side, spelled in SPELLED.items():
            meaning[word.format(**spelled)] = BodyPart(part, side)
    return meaning


@pytest.mark.parametrize("vocabulary", BODIES)
def test_each_vocabulary_names_the_same_body(vocabulary):
    meaning = body(vocabulary)
    names = ["neck", *meaning]
    assert body_parts.of(names) == [BodyPart("neck", ""), *meaning.values()]
    assert body_parts.pelvis(names) == 1
    assert body_parts.pelvis(names[::-1]) == len(names) - 2


def parts(*names):
    """The parts of names, where all but the first two letters stand for both sides."""
    both = [name.replace("#", side) for name in names for side in ("left", "right")]
    return [part.name for part in body_parts.of(both)][::2]


def test_a_rigs_shoulder_is_a_collarbone_and_elsewhere_a_shoulder():
    rig = ("#Shoulder", "#Arm", "#ForeArm", "#Hand")
    assert parts(*rig) == ["collarbone", "shoulder", "elbow", "wrist"]
    assert parts("#_shoulder", "#_elbow", "#_wrist") == ["shoulder", "elbow", "wrist"]
    assert parts("#_collar", "#_shoulder", "#_elbow") == ["collarbone", "shoulder", "elbow"]


def test_hands_and_feet_are_themselves_beside_wrists_and_ankles():
    assert parts("#_wrist", "#_hand", "#_ankle", "#_foot") == ["wrist", "hand", "ankle", "foot"]
    assert parts("#_elbow", "#_hand", "#_knee", "#_foot") == ["elbow", "wrist", "knee", "ankle"]
    # The catalogue's names have one meaning, also in a part of a skeleton.
    sides = [f"{side}{part}" for part in ("han", "foo") for side in "lr"]
    assert [part.name for part in body_parts.of(sides)][::2] == ["hand", "foot"]


def test_words_for_bones_are_no_joints_beside_joints():
    names = ("#_thigh", "#_knee_outer", "#_upper_arm", "#_elbow")
    assert parts(*names) == ["thigh", "knee_outer", "upper_arm", "elbow"]
    markers = catalogue.load("markers").joint_names
    assert not {"hip", "knee", "shoulder", "elbow"} & {p.name for p in body_parts.of(markers)}


def test_what_follows_a_name_is_a_format_or_another_part():
    names = ("#_foot_index", "#_eye_inner", "#_eye", "#_ankle")
    assert parts(*names) == ["toe", "eye_inner", "eye", "ankle"]
    assert parts("#ToeBase", "#Toe_End", "#BigToe") == ["toe", "toe_end", "big toe"]


def test_the_best_name_for_the_pelvis_wins():
    assert body_parts.pelvis(["mhip", "lhip", "rhip", "pelv"]) == 3
    assert body_parts.pelvis(["lhip", "rhip", "pelvis.L", "pelvis.R", "root"]) is None
    assert body_parts.pelvis([]) is None


@pytest.mark.parametrize("name", catalogue.names())
def test_the_catalogues_sides_and_hips_are_as_they_are_spelled(name):
    names = catalogue.load(name).joint_names
    joints = body_parts.of(names)
    assert [joint.side for joint in joints] == skeleton.sides(names)
    for word, part in (("hip", "hip"), ("kne", "knee"), ("sho", "shoulder"), ("wri", "wrist")):
        spelled = [skeleton.base_name(one) in (f"l{word}", f"r{word}") for one in names]
        assert [joint.name == part for joint in joints] == spelled
