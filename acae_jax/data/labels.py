"""The labels of a stored crop → the joints of the union and the 2D labels of an example.

In mirrored crops, left and right labels are swapped.
"""

import functools

import numpy as np
from jaxtyping import Int

from acae_jax.data import crop_record
from acae_jax.data.crop_record import CropRecord
from acae_jax.geometry import cameras
from acae_jax.images import decoding
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons import union as unions


def place_joints(
    record: CropRecord, union: unions.JointUnion, crop: cameras.Camera, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the union's joints in the crop camera's space and which are valid; 0 elsewhere."""
    joints_mm = np.zeros((len(union.joint_names), 3), np.float32)
    valid = np.zeros(len(union.joint_names), bool)
    if not len(record.joints_mm):
        return joints_mm, valid
    members = members_of(record.format, len(record.joints_mm), union)
    labelled = np.isfinite(record.joints_mm).all(axis=-1) & (members >= 0)
    members = members[labelled]
    points_mm = record.joints_mm[labelled].astype(np.float64)
    joints_mm[members] = cameras.world_to_camera(crop, points_mm)
    valid[members] = True
    if flip:
        mirror = _mirror(union.joint_names)
        joints_mm, valid = joints_mm[mirror], valid[mirror]
    return joints_mm, valid


def members_of(
    format_name: str, joint_count: int, union: unions.JointUnion
) -> Int[np.ndarray, " j"]:
    """Return the union's index of each joint of a record, -1 for formats outside of the union.

    A record may hold several formats side by side, in any order. Raises ValueError if none of them
    is in the union, or if the number of joints does not fit.
    """
    members: list[int] = []
    for name in crop_record.formats(format_name):
        indices = union.members.get(name)
        members += (-1,) * _joint_count(name) if indices is None else indices
    if all(index < 0 for index in members):
        raise ValueError(
            f"record's skeleton format {format_name!r} is not in the union of "
            f"{', '.join(union.members)}; add it to the config's formats or leave the dataset out"
        )
    if len(members) != joint_count:
        raise ValueError(
            f"record has {joint_count} joints but its format {format_name!r} has "
            f"{len(members)}; build the dataset again with this skeleton"
        )
    return np.array(members)


def _joint_count(format_name: str) -> int:
    """The number of joints of a format outside of the union; 0 if the catalogue lacks it."""
    if format_name in catalogue.formats():
        return len(catalogue.load(format_name).joint_names)
    return 0


def place_labels_2d(
    record: CropRecord,
    label_names: tuple[str, ...],
    stored: cameras.Camera,
    crop: cameras.Camera,
    flip: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the 2D labels in pixels of the crop, in the order of label_names, and which are valid.

    Labels outside of the stored image are not valid, because no annotator can have seen them.
    Labels that only the crop cuts off are valid; the loss decides how to treat them.
    """
    labels_px = np.zeros((len(label_names), 2), np.float32)
    valid = np.zeros(len(label_names), bool)
    if not len(record.joints_px):
        return labels_px, valid
    label_format = crop_record.format_of_px(record)
    places = _label_places(label_format, label_names)
    if len(places) != len(record.joints_px):
        raise ValueError(
            f"record has {len(record.joints_px)} 2D labels but its format {label_format!r} has "
            f"{len(places)}; build the dataset again with this label set"
        )
    height, width = decoding.size(record.image)
    end_px = np.array([width, height], np.float32) - 0.5
    # False for joints without a label, which are NaN.
    inside = ((record.joints_px >= -0.5) & (record.joints_px <= end_px)).all(axis=-1)
    inside &= places >= 0
    points_px = record.joints_px[inside].astype(np.float64)
    labels_px[places[inside]] = cameras.reproject(stored, crop, points_px)
    valid[places[inside]] = True
    if flip:
        mirror = _mirror(label_names)
        labels_px, valid = labels_px[mirror], valid[mirror]
    return labels_px, valid


@functools.lru_cache(maxsize=16)
def _mirror(joint_names: tuple[str, ...]) -> np.ndarray:
    return skeleton.mirror_map(joint_names)


@functools.lru_cache(maxsize=64)
def _label_places(label_format: str, label_names: tuple[str, ...]) -> np.ndarray:
    """Return the index in label_names of each joint of a 2D label set, -1 for joints not in it.

    Recipes use only a selection of the joints (common_2d), because the sets disagree about torso
    and head. Labels of a user's own skeleton are called after it, as its joints are in a union.
    """
    ending = f"_{label_format}"
    own = [index for index, name in enumerate(label_names) if name.endswith(ending)]
    if own:
        return np.array(own)
    joint_names = catalogue.load(label_format).joint_names
    places = [label_names.index(name) if name in label_names else -1 for name in joint_names]
    if max(places) < 0:
        raise ValueError(
            f"label_names has none of the joints of the 2D label set {label_format!r}; "
            f"choose from {', '.join(joint_names)}"
        )
    return np.array(places)
