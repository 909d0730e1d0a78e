"""Descriptions and clips that cannot be right are refused in one line; nothing is written then."""

import json
import struct
from pathlib import Path

import miniature
import numpy as np
import own_folder
import pytest
from own_folder import CAMERAS, COUNT, JOINTS, seen_px, truth_mm
from PIL import Image

from acae_jax import prepare
from acae_jax.datasets.own import checks, views
from acae_jax.datasets.own.label_files import labels
from acae_jax.skeletons import skeleton

PROJECTION = Path(__file__).parents[1] / "media/assets/projection.mkv"  # it may be turned


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = own_folder.write(tmp_path_factory.mktemp("own"))
    np.savez(folder / "world.npz", joints_mm=truth_mm())
    np.savez(folder / "left.npz", joints_px=seen_px("left"))
    return folder


# ------------------------------------------------------------------------------------ description

CLIP = {"name": "walk", "video": "{media}/walk/left.avi", "camera": "left"}
WORLD = {**CLIP, "annotations": "{media}/world.npz"}
DESCRIPTIONS = {
    "key": ({}, {"skelton": "a"}, "the file has an unknown key 'skelton'; did you mean 'skeleton'"),
    "name": ({}, {"name": "my data"}, "name is 'my data'; give letters, digits, _ and -"),
    "quotes": ({}, {"version": 1.0}, "version is 1.0, not a text; write it in quotes: '1.0'"),
    "version": ({}, {"version": "1.0"}, "version is '1.0'; give three numbers, such as 1.0.0"),
    "skeleton": ({}, {"skeleton": None}, "the file lacks the key 'skeleton'"),
    "catalogue": ({}, {"skeleton": "h36n"}, "no skeleton 'h36n' in the catalogue; did you mean"),
    "boxes": ({}, {"boxes": "give"}, "boxes is 'give'; did you mean 'given'?"),
    "masks": ({}, {"masks": "no"}, "masks is 'no'; give true or false"),
    "clips": ({}, {"clips": []}, "clips must be a list with at least one clip"),
    "clip": ({"vidoe": "a"}, {}, r"clips\[0\] has an unknown key 'vidoe'; did you mean 'video'"),
    "pictures": ({"video": None}, {}, r"clips\[0\] must have either 'video' or 'images'"),
    "both": ({"images": "a"}, {}, r"clips\[0\] must have either 'video' or 'images'"),
    "camera": ({"camera": "lef"}, {}, r"clips\[0\].camera: no camera 'lef'; did you mean 'left'?"),
    "no file": ({}, {"cameras": None}, r"no camera 'left'; give a file by 'cameras'"),
    "cameras": ({"camera": ["left", "right"]}, {}, r"several cameras need '{camera}' in '"),
    "names": ({"name": ["a", "b"]}, {}, r"several names need '{name}' in '"),
    "all names": ({"name": "*"}, {}, r"clips\[0\]: name '\*' needs '{name}' in '"),
    "every": ({"every": 0}, {}, r"clips\[0\].every is 0; give a whole number from 1"),
    "moved": ({"moved_mm": -1}, {}, r"clips\[0\].moved_mm is -1; give a number of at least 0"),
    "split": ({"split": "tset"}, {}, r"clips\[0\].split is 'tset'; did you mean 'test'?"),
    "up": ({"up": "z"}, {}, r"clips\[0\].up is 'z'; did you mean '-z' or '\+z'\?"),
    "no labels": ({"annotations": None}, {}, r"clips\[0\] lacks the key 'annotations'"),
    "labels": ({"annotations": "w.csv"}, {}, r"clips\[0\].annotations: there is no file .*w.csv"),
    "unit": ({"unit": "inch"}, {}, r"annotations.unit is 'inch'; it is one of: mm, cm, m"),
    "joints": ({"joints": ["a"]}, {}, "annotations.joints must have lines such as lhip: LeftUpLeg"),
    "world": ({"to_world": [[1, 0], [0, 1]]}, {}, r"to_world has shape \(2, 2\); give \(3, 4\)"),
    "fps": ({"labels_fps": 0}, {}, "annotations.labels_fps is 0; give a number above 0"),
}


def refused(capsys, tmp_path, path) -> str:
    """The one line with which the command refuses a description; nothing is written."""
    out = tmp_path / "out"
    assert prepare.main([str(path), "--out", str(out), "--jobs", "1"]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and str(path) in line and not out.exists()
    return line


def describe(tmp_path, media, changes, top):
    clip = {**WORLD, **changes}
    clip = {
        key: value.replace("{media}", str(media)) if isinstance(value, str) else value
        for key, value in clip.items()
        if value is not None
    }
    return own_folder.describe(tmp_path, media, [clip], **top)


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_faults_of_descriptions(media, tmp_path, name):
    changes, top, message = DESCRIPTIONS[name]
    path = describe(tmp_path, media, changes, top)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
        own_folder.description(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_more_faults_of_descriptions(media, tmp_path, capsys):
    two = [
        {**WORLD, "video": str(media / "walk/left.avi"), "annotations": str(media / "world.npz")}
    ]
    path = own_folder.describe(tmp_path, media, two * 2)
    told = refused(capsys, tmp_path, path)
    assert "clips[0] and clips[1] are both called 'walk' with camera 'left'" in told
    path.write_text("name: [mine\n")
    assert "it is no YAML: " in refused(capsys, tmp_path, path)
    path.write_text("mine\n")
    assert "must have lines such as name: mine" in refused(capsys, tmp_path, path)
    path.unlink()
    assert "there is no description" in refused(capsys, tmp_path, path)
    with pytest.raises(SystemExit):
        prepare.main([str(path), "--raw", str(tmp_path)])
    assert "--raw, --all and --raws are for official datasets only" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ clips


def inverted() -> dict:
    whole = np.vstack([own_folder.extrinsics(CAMERAS["left"]), [0, 0, 0, 1]])
    return {"extrinsic_matrix": np.linalg.inv(whole).tolist()}


def rotated() -> dict:
    turned = own_folder.extrinsics(CAMERAS["left"])
    return {"extrinsic_matrix": (np.diag([1, -1, -1.0]) @ turned).tolist()}


def scaled() -> dict:
    k = np.diag([4, 4, 1.0]) @ CAMERAS["left"].intrinsics
    return {"intrinsic_matrix": k.tolist(), "image_size": None}


def mirrored_px() -> np.ndarray:
    return seen_px("left")[:, skeleton.mirror_map(JOINTS)]


CLIPS = {  # changes of the clip, of the description, of the camera; labels in left.npz; the message
    "no video": ({"video": "walk.mp4"}, {}, {}, {}, "walk/left: there is no video "),
    "no image": ({"video": None, "images": "a/*.png"}, {}, {}, {}, "there are no images "),
    "no camera": ({"camera": None}, {}, {}, {}, "clips[0] has 3D labels, which need a 'camera'"),
    "inverted": ({}, {}, inverted(), {}, "; its extrinsic_matrix is inverted: give the one from w"),
    "turned": ({}, {}, rotated(), {}, "100 % of the joints are behind the camera; extr"),
    "scaled": ({}, {}, scaled(), {}, "outside of the 320 x 240 image; scale the first"),
    "size": ({}, {}, {"image_size": [640, 480]}, {}, "for images of 640 x 480 px, but these have"),
    "metres": ({}, {}, {}, {"joints_mm": truth_mm() / 1000}, "should be 1000 times as large"),
    "not metres": ({}, {}, {}, {"joints_m": truth_mm()}, "they should be 0.001 times as large"),
    "too long": (
        {}, {}, {}, {"joints_px": seen_px("left").repeat(2, 0)},
        f"frame {2 * COUNT - 1} has labels, but ",
    ),
    "nothing": ({"first_frame": 90}, {}, {}, {}, "none of its frames has a label; check the"),
    "other": ({}, {}, {}, {"joints_px": seen_px("right")}, "check the cameras, 'unit', 'first_f"),
    "swapped": ({}, {}, {}, {"joints_px": mirrored_px()}, "left and right are swapped in one"),
    "both": ({}, {}, {}, {"joints_mm": truth_mm()}, "both have 3D labels of frame 0; remove one"),
    "names": (
        {}, {}, {}, {"joints_px": seen_px("left"), "people": np.array(["anna"])},
        "some labels name their person, and some do not",
    ),
    "joint": (
        {}, {}, {},
        {"joints_px": seen_px("left"), "joint_names": np.array([*JOINTS[:-1], "htip"])},
        "skeleton 'mine' has no joint 'htip'; did you mean 'rhip' or 'lhip' or 'htop'? Or say",
    ),
    "count": (
        {}, {}, {}, {"joints_px": seen_px("left")[:, :5]},
        "it has 5 joints without names, but skeleton 'mine' has 6; say which is which by 'joints'",
    ),
    "mapped": ({"joints": {"pelv": "hips"}}, {}, {}, {}, "it has no joint 'hips' (for 'pelv'"),
    "unmapped": ({"joints": {"pelvis": "0"}}, {}, {}, {}, "skeleton 'mine' has no joint 'pelvis'"),
}  # fmt: skip


@pytest.mark.parametrize("name", CLIPS)
def test_faults_of_clips(media, tmp_path, capsys, name):
    changes, top, camera, arrays, message = CLIPS[name]
    content = {**own_folder.camera_json(CAMERAS["left"]), **camera}
    content = {key: value for key, value in content.items() if value is not None}
    (tmp_path / "left.json").write_text(json.dumps(content))
    files = [str(media / "world.npz"), str(media / "left.npz")]
    if arrays:
        np.savez(tmp_path / "left.npz", **arrays)
        only = not {"joints_px", "boxes"} & set(arrays) and name != "both"
        files = [str(tmp_path / "left.npz")] if only else [files[0], str(tmp_path / "left.npz")]
    path = describe(
        tmp_path,
        media,
        {"annotations": files, **changes},
        {"cameras": str(tmp_path / "left.json"), **top},
    )
    line = refused(capsys, tmp_path, path)
    assert message in line


def test_what_is_said_is_believed(media, tmp_path):
    """Another up than people have, and a principal point outside of a cut-out image."""
    (frame, *_) = own_folder.frames(describe(tmp_path, media, {"up": "-z"}, {}))["walk/left"]
    assert frame.up == (0, 0, -1)
    content = {**own_folder.camera_json(CAMERAS["left"]), **scaled(), "image_size": [320, 240]}
    (tmp_path / "left.json").write_text(json.dumps(content))
    path = describe(tmp_path, media, {}, {"cameras": str(tmp_path / "left.json")})
    with pytest.raises(ValueError, match="the camera sees none of the joints in its image"):
        own_folder.frames(path)


def found_px(view, offset_px=0):
    return labels.Labels(
        tuple(range(COUNT)),
        ("",) * COUNT,
        JOINTS,
        np.full((COUNT, len(JOINTS), 3), np.nan),
        seen_px(view) + np.array([0, offset_px]),
        np.full((COUNT, 4), np.nan),
    )


def test_what_cannot_be_triangulated(media, tmp_path, capsys):
    right_px = seen_px("right")
    video = f"{media}/walk/{{camera}}.avi"
    both = {"camera": ["left", "right"], "video": video, "annotations": "{camera}.npz"}
    np.savez(tmp_path / "left.npz", joints_px=seen_px("left"))
    for changes, arrays, message in (
        ({}, {}, "clips[0] needs several cameras, in 'camera', to triangulate"),
        (both, {"joints_mm": truth_mm()}, "it has 3D labels already; leave 'triangulate' out"),
        (both, {"joints_px": right_px, "people": np.array(["ben"])}, "no joint has labels of two"),
        (
            both,
            {"joints_px": right_px + np.array([0, 40])},
            "'triangulate' uses disagree; check the",
        ),
    ):
        np.savez(tmp_path / "right.npz", **arrays)
        path = describe(tmp_path, media, {**changes, "triangulate": True}, {})
        assert message in refused(capsys, tmp_path, path)
    few = labels.rows_of(found_px("left"), [0]), labels.rows_of(found_px("right", 40), [0])
    with pytest.raises(ValueError, match=r"its cameras disagree by \d+.* px in the median about"):
        views.triangulated(few, miniature.ring(5)[:2], 5.0)


def test_pictures_that_players_turn(media, tmp_path, capsys):
    content = bytearray(PROJECTION.read_bytes())
    struct.pack_into(">f", content, content.index(b"\x76\x75\x84") + 3, -90.0)
    (tmp_path / "turned.mkv").write_bytes(content)
    (tmp_path / "a.csv").write_text("frame,pelv_u,pelv_v\n0,1,2\n")
    path = describe(tmp_path, media, {"video": "turned.mkv", "annotations": "a.csv"}, {})
    assert "turned.mkv is stored turned, mirrored or stretched" in refused(capsys, tmp_path, path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (320, 240)).save(tmp_path / "a.jpg", exif=exif)
    changes = {"video": None, "images": "*.jpg", "annotations": "a.csv"}
    path = describe(tmp_path, media, changes, {})
    assert "a.jpg is stored turned or mirrored (EXIF)" in refused(capsys, tmp_path, path)


def test_images_that_no_clip_has(media, tmp_path, capsys):
    rows = "".join(f"{name},1,2\n" for name in ("left/7.png", "right/8.png", "left/77.png"))
    (tmp_path / "a.csv").write_text("image,pelv_u,pelv_v\n" + rows)
    clip = {
        "images": f"{media}/walk/{{camera}}/*.png",
        "name": "walk",
        "camera": ["left", "right"],
        "annotations": "a.csv",
    }
    path = own_folder.describe(tmp_path, media, [clip])
    assert "image left/77.png is in none of the clips" in refused(capsys, tmp_path, path)
    (tmp_path / "a.csv").write_text("image,pelv_u,pelv_v\n" + rows.replace("left/77", "left/9"))
    found = own_folder.frames(path)
    assert {name: [f.index for f in some] for name, some in found.items()} == {
        "walk/left": [0, 2],
        "walk/right": [1],
    }


def test_up_is_told_by_people_unless_somebody_says_it():
    names = ("pelv", "lank", "rank", "head")
    joints = np.array([[0, 0, 900], [-100, 0, 0], [100, 0, 0], [0, 50, 1700.0]])[None]
    absent = np.full((1, 4, 2), np.nan)
    found = labels.Labels((0,), ("",), names, joints, absent, np.full((1, 4), np.nan))
    with pytest.raises(ValueError, match="people stand along \\+z in the world, but 'up' is -y"):
        checks.check_up(checks.trunks(found), (0.0, -1.0, 0.0))
    checks.check_up(checks.trunks(found), (0.0, 0.0, 1.0))
    lying = found._replace(joints=joints @ np.array([[1, 0, 0], [0, 0.6, 0.8], [0, -0.8, 0.6]]))
    checks.check_up(checks.trunks(lying), (0.0, -1.0, 0.0))
    assert len(checks.trunks(found._replace(joint_names=("a", "b", "c", "d")))) == 0


def test_broken_images_are_counted(media, tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(COUNT):
        content = (media / f"walk/left/{index + 7}.png").read_bytes()
        (folder / f"{index + 7}.png").write_bytes(content[: 200 if index in (0, 3) else None])
    changes = {"video": None, "images": "images", "annotations": str(media / "world.npz")}
    path = describe(tmp_path, media, changes, {})
    assert prepare.main([str(path), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    told = capsys.readouterr().out
    assert f"{COUNT - 2} records of {COUNT} frames; left out: 2 broken" in told


def test_two_people_are_sampled_each_for_itself(media, tmp_path):
    """One moves by more than 100 mm from frame to frame, one stands."""
    poses_mm = np.stack([truth_mm(), np.broadcast_to(truth_mm()[0], truth_mm().shape)], axis=1)
    np.savez(tmp_path / "two.npz", joints_mm=poses_mm, people=np.array(["anna", "ben"]))
    changes = {"annotations": "two.npz", "every": 2}
    frames = own_folder.frames(describe(tmp_path, media, changes, {"moved_mm": None}))["walk/left"]
    assert [frame.index for frame in frames] == [0, 2, 4]
    kept = [{person.id: person.is_kept for person in frame.people} for frame in frames]
    assert kept == [{"anna": True, "ben": True}] + 2 * [{"anna": True, "ben": False}]
