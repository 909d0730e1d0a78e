"""What may be wrong with files of one's own labels is one line with the place and the fix."""

import json

import numpy as np
import pytest

from acae_jax.datasets.own.label_files import arrays, lists, tables

CSV = {
    "no moment": ("joint,x,y,z\n", "line 1 must name either a column 'frame' or 'image'"),
    "semicolons": ("frame;joint;x;y;z\n", "either a column 'frame' or 'image', separated by comm"),
    "twice": ("frame,joint,x,x\n", "line 1 names the column 'x' twice"),
    "column": ("frame,joint,x,y,z,score\n", "line 1: unknown column 'score'"),
    "no z": ("frame,joint,x,y\n", r"line 1 lacks the column 'z' of x, y, z \(places in the image"),
    "no values": ("frame,joint\n", r"must name columns x, y, z \(3D\) or u, v \(px\)"),
    "wide": ("frame,pelv_x,pelv_y,pelv_z,lhip\n", "line 1: unknown column 'lhip'; columns are"),
    "wide no y": ("frame,pelv_x,pelv_z\n", "line 1 lacks the column 'pelv_y' of pelv_x, pelv_y"),
    "cells": ("frame,joint,u,v\n0,pelv,1\n", "line 2 has 3 cells, not 4"),
    "frame": ("frame,joint,u,v\n\n-1,pelv,1,2\n", "line 3: frame '-1' is no whole number from 0"),
    "image": ("image,joint,u,v\n,pelv,1,2\n", "line 2: the cell of 'image' is empty"),
    "number": ("frame,joint,u,v\n0,pelv,1,a\n", "line 2, joint 'pelv': '1, a' must be 2 numbers"),
    "half": ("frame,pelv_u,pelv_v\n0,1,\n", "line 2, joint 'pelv': '1, ' must be 2 numbers, or al"),
    "infinite": ("frame,pelv_u,pelv_v\n0,1,inf\n", "line 2, joint 'pelv': '1, inf' must be"),
    "joint": ("frame,joint,u,v\n0,pelv,1,2\n0,pelv,1,2\n", "line 3: joint 'pelv' is there twice"),
    "person": ("frame,pelv_u,pelv_v\n0,1,2\n0,1,2\n", "frame 0 has a person twice; give people"),
    "quotes": ('frame,pelv_u,pelv_v\n0,"1"2,2\n', "it is no CSV in UTF-8"),
}


@pytest.mark.parametrize("name", CSV)
def test_faults_of_tables(tmp_path, name):
    content, message = CSV[name]
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        tables.read(path)
    assert "\n" not in str(raised.value)


COCO = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "keypoints": ["a"]}]}
PERSON = {"id": 5, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2]}
JSON = {
    "object": ({"a": 1}, "must be a list of people in frames, or COCO's object"),
    "key": ([{"frame": 0, "joint_mm": {}}], r"\[0\] has an unknown key 'joint_mm'; did you mean"),
    "no moment": ([{"joints_mm": {}}], r"\[0\] must have either 'frame', .* or 'image'"),
    "moment": ([{"frame": "3"}], r"\[0\] must have either 'frame', a whole number from 0"),
    "moments": ([{"frame": 0}, {"image": "a"}], "some of its people have 'frame' and some have 'i"),
    "person": ([{"frame": 0, "person": 3}], r"\[0\].person must be a text"),
    "units": ([{"frame": 0, "joints_mm": {}, "joints_m": {}}], "has joints_m and joints_mm; cho"),
    "point": ([{"frame": 0, "joints_px": {"a": [1]}}], r"\[0\].joints_px.a must be 2 finite num"),
    "points": ([{"frame": 0, "joints_px": [1]}], r"\[0\].joints_px must be an object of joint"),
    "box": ([{"frame": 0, "box": [1, 2]}], r"\[0\].box must be 4 finite numbers"),
    "twice": ([{"image": "a"}, {"image": "a"}], "image a has a person twice"),
    "keypoints": (
        {**COCO, "annotations": [{**PERSON, "keypoints": [1, 2]}]},
        r"annotations\[0\].keypoints must be 3 finite numbers",
    ),
    "image": (
        {**COCO, "annotations": [{**PERSON, "image_id": 9}]},
        r"annotations\[0\].image_id is 9, which no image has",
    ),
    "category": ({**COCO, "annotations": [{**PERSON, "category_id": 2}]}, "lacks or misuses 2"),
    "sets": ({**COCO, "categories": [], "annotations": []}, "has 0 sets of keypoints, not one"),
}


@pytest.mark.parametrize("name", JSON)
def test_faults_of_json(tmp_path, name):
    content, message = JSON[name]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as raised:
        lists.read(path)
    assert "\n" not in str(raised.value)


POSES = np.zeros((4, 6, 3))
NPZ = {
    "name": ({"joints": POSES}, "unknown array 'joints'; did you mean"),
    "nothing": ({"frames": np.arange(4)}, "must have one of joints_mm, joints_cm, joints_m, or jo"),
    "two units": ({"joints_mm": POSES, "joints_m": POSES}, "must have one of joints_mm"),
    "shape": ({"joints_mm": POSES[0]}, r"joints_mm has shape \(6, 3\); give \(frames, joints, 3\)"),
    "type": ({"joints_mm": POSES.astype("U3")}, "joints_mm holds <U3, not numbers"),
    "infinite": ({"joints_mm": POSES + np.inf}, "joints_mm holds infinite numbers; write NaN"),
    "fit": ({"joints_mm": POSES, "boxes": np.ones((3, 4))}, "its arrays do not fit together: joi"),
    "frames": ({"joints_mm": POSES, "frames": np.arange(3)}, r"frames has shape \(3,\) and type"),
    "repeated": ({"joints_mm": POSES, "frames": np.zeros(4, int)}, "frame 0 has a person twice"),
    "people": ({"joints_mm": POSES, "people": np.arange(1)}, r"people has shape \(1,\); give 1 te"),
    "joints": (
        {"joints_mm": POSES, "joint_names": np.array(["a"] * 6)},
        "joint_names has a name tw",
    ),
    "pickled": ({"joints_mm": np.array([[[{}]]])}, "Object arrays cannot be loaded when"),
}


@pytest.mark.parametrize("name", NPZ)
def test_faults_of_arrays(tmp_path, name):
    content, message = NPZ[name]
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(ValueError, match=message) as raised:
        arrays.read(tmp_path / "a.npz")
    assert "\n" not in str(raised.value)


def test_faults_of_videopose3ds_files(tmp_path):
    path = tmp_path / "a.npz"
    content = {"S1": {"Walk": [np.zeros((2, 6, 2))], "Sit": np.zeros((2, 6))}}
    np.savez(path, positions_2d=content)
    for subject, action, views, message in (
        ("S2", "", 1, "it has no subject 'S2'; did you mean 'S1'?"),
        ("S1", "", 1, r"it has 2 actions \(Walk, Sit\); choose one by 'action'"),
        ("", "Walk", 2, "positions_2d has 1 cameras for this action, but 'camera' lists 2"),
        ("", "Sit", 1, r"action 'Sit', must be an array \(frames, joints, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            arrays.read_videopose(path, subject, action, 0, views)
    np.savez(path, positions_3d=np.zeros(3))
    with pytest.raises(ValueError, match=r"positions_3d cannot be read: .* not of objects"):
        arrays.read_videopose(path, "", "", 0, 1)
    path.write_bytes(b"PK nonsense")
    with pytest.raises(ValueError, match=r"it is no .npz file of NumPy's"):
        arrays.members(path)
