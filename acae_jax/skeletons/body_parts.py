"""What part of the body a joint is, by its name in any of the usual vocabularies.

Known are the catalogue's names (which MeTRAbs uses, too), those of COCO, MediaPipe, OpenPose,
Human3.6M and SMPL, and those of rigs: Mixamo, Blender, Unreal, Unity, Biped. What else needs to
know asks here. `skeleton` knows how sides are spelled.

Rigs call a joint after the bone that begins in it: Mixamo's ``LeftArm`` is a shoulder, and
``LeftShoulder`` a collarbone. Elsewhere ``left_shoulder`` is a shoulder. So the words of BONES are
understood from the other joints of the same skeleton.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from acae_jax.skeletons import skeleton

# Central joints at the bottom of the spine, the best first.
PELVIS = ("pelv", "pelvis", "hips", "hip", "spinebase", "mhip", "midhip", "hipcenter", "centerhip")
# Each part with its names, in small letters and digits only.
NAMES = {
    "ankle": ("ank", "ankle"),
    "big toe": ("bigtoe",),
    "collarbone": ("cla", "clavicle", "collar", "collarbone"),
    "ear": ("ear",),
    "elbow": ("elb", "elbow"),
    "eye": ("eye",),
    "finger": ("fin", "finger"),
    "foot": ("foo",),
    "hand": ("han",),
    "head": ("head",),
    "head top": ("htop", "headtop", "headtopend", "topofhead", "headend"),
    "heel": ("hee", "heel"),
    "hip": ("hip", "hipjoint"),
    "knee": ("kne", "knee"),
    "neck": ("neck", "necknose"),
    "nose": ("nose",),
    "shoulder": ("sho",),
    "shoulder blade": ("sca", "scapula"),
    "spine": ("spin", "spine"),
    "thorax": ("thor", "thorax"),
    "thumb": ("thu", "thumb"),
    "toe": ("toe", "toes", "toebase", "ball", "footindex", "foottip"),
    "wrist": ("wri", "wrist"),
    # Joints in the middle of a bone, by which MakeHuman's rigs twist it.
    "mid upper arm": ("upa",),
    "mid forearm": ("for",),
    "mid thigh": ("thi",),
    "mid shin": ("shi",),
}
PART_OF = {name: part for part, names in NAMES.items() for name in names}
UPPER_ARM = ("arm", "upperarm", "uparm", "humerus")
# Each joint with the bones that begin in it, and with beginnings of joints' names: where another
# joint is called so, these words are not joints' names (markers lie on the thigh beside a knee).
BONES = {
    "shoulder": (UPPER_ARM, ("elb",)),
    "elbow": (("forearm", "lowerarm", "radius"), ("elb",)),
    "wrist": (("hand",), ("wri",)),
    "hip": (("upleg", "upperleg", "thigh", "femur"), ("hip", "kne")),
    "knee": (("leg", "lowerleg", "lowleg", "shin", "calf", "tibia"), ("hip", "kne")),
    "ankle": (("foot",), ("ank",)),
}
RIG = re.compile(r"^(?:.*:|mixamorig\d*_?|bip\d+[ _]?)", re.IGNORECASE)
# What follows the last _ is mostly a format or a number, but these words say which part it is.
NO_FORMAT = {
    *("arm", "base", "center", "end", "index", "inner", "joint", "leg", "middle", "outer"),
    *("pinky", "ring", "tip", "toe", "top", "twist"),
}


class BodyPart(NamedTuple):
    """What a joint is: ``left_knee`` is ("knee", "l"); the side is empty for central joints."""

    name: str
    side: str


def of(joint_names: Sequence[str]) -> list[BodyPart]:
    """The part of the body and the side of each joint of one skeleton.

    Names that are not known are parts of their own, in small letters and less side and format.
    """
    sides = skeleton.sides(joint_names)
    spellings = [list(_spellings(name)) for name in skeleton.without_sides(joint_names)]
    sided = {words[-1] for words, side in zip(spellings, sides, strict=True) if side}
    known = {**PART_OF, **_bones(sided)}
    parts = []
    for words, side in zip(spellings, sides, strict=True):
        table = known if side else {**PART_OF, **dict.fromkeys(PELVIS, "pelvis")}
        part = next((table[_letters(word)] for word in words if _letters(word) in table), None)
        parts.append(BodyPart(part or words[-1].strip("_.- ").lower(), side))
    return parts


def pelvis(joint_names: Sequence[str]) -> int | None:
    """Index of the joint at the bottom of the spine; None if no name says that it is one."""
    ranks = {}
    for index, (name, part) in enumerate(zip(joint_names, of(joint_names), strict=True)):
        if part == BodyPart("pelvis", ""):
            words = (_letters(word) for word in _spellings(name))
            ranks[index] = min(PELVIS.index(word) for word in words if word in PELVIS)
    return min(ranks, key=lambda index: ranks[index], default=None)


def _bones(sided: set[str]) -> dict[str, str]:
    """What the words for bones and their ends mean beside these names of left and right joints."""
    names = {_letters(name) for name in sided}
    parts = {"shoulder": "shoulder", "hand": "hand", "foot": "foot"}
    for joint, (bones, beginnings) in BONES.items():
        if not any(name.startswith(beginnings) for name in names):
            parts.update(dict.fromkeys(bones, joint))
    if names & set(UPPER_ARM) and UPPER_ARM[0] in parts:
        parts["shoulder"] = "collarbone"
    return parts


def _spellings(name: str) -> Iterator[str]:
    """The name less the rig's, and then without what may be its format, part by part."""
    name = RIG.sub("", name)
    yield name
    while "_" in name.strip("_"):
        name, _, last = name.rpartition("_")
        if last.lower() in NO_FORMAT:
            return
        yield name


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
