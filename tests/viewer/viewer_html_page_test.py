"""The viewer's page holds the recording as exactly as it says, and no name in it is markup."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
import walkers

from acae_jax.geometry import cameras
from acae_jax.viewer import arrays, html_page, stage

HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "\"'><b>&lt;!-- ${window.hacked=1} $title \u2028",
)


def held(path):
    """The recording in a page, its arrays unpacked the way data.js does it."""
    text = path.read_text("utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    content = json.loads(found[1])
    for name, kind in (
        ("frame", "<i4"), ("track", "<i4"), ("middle", "<i4"), ("offset", "<i2"),
        ("uncertainty", "<i2"), ("points_px", "<i2"),
    ):  # fmt: skip
        if content[name]:
            content[name] = unpacked(content[name], kind)
    return content


def unpacked(packed, kind):
    width = np.dtype(kind).itemsize
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed["base64"])), np.uint8)
    if not packed["rows"]:
        return np.zeros((0, 0), kind)
    changes = np.ascontiguousarray(planes.reshape(width, -1).T).view(kind)
    return np.cumsum(changes.reshape(-1, packed["rows"]), axis=1, dtype=kind).T


def in_mm(content):
    offset = content["offset"].reshape(len(content["offset"]), -1, 3)
    places = (content["middle"][:, None] + offset.astype(np.float64)) * content["step_mm"]
    return np.where((offset == arrays.MISSING).any(-1, keepdims=True), np.nan, places)


def test_places_are_as_exact_as_the_page_says_and_missing_ones_stay_missing(tmp_path):
    given = walkers.sequence(people=3)
    given.poses_mm[7, 2] = np.nan
    given.uncertainty_mm[5, 3] = np.nan
    html_page.write(tmp_path / "a.html", given)
    content = held(tmp_path / "a.html")
    order = np.lexsort((given.frame, given.track))
    assert content["step_mm"] == arrays.STEP_MM
    np.testing.assert_array_equal(content["frame"][:, 0], given.frame[order])
    np.testing.assert_array_equal(content["track"][:, 0], given.track[order])
    half = arrays.STEP_MM / 2 + 1e-3
    np.testing.assert_allclose(in_mm(content), given.poses_mm[order], rtol=0, atol=half)
    spread = content["uncertainty"] * float(content["step_error_mm"])
    spread[content["uncertainty"] == arrays.MISSING] = np.nan
    np.testing.assert_allclose(spread, given.uncertainty_mm[order], rtol=0, atol=0.51)


def test_a_person_who_is_far_away_is_as_exact_and_what_is_no_person_is_left_out(tmp_path):
    given = walkers.sequence()
    order = np.lexsort((given.frame, given.track))
    rows = dict(zip(order.tolist(), range(len(order)), strict=True))
    given.poses_mm[0] += np.float32(3e6)
    wanted = given.poses_mm[order]
    for entry, joint, place in ((1, 0, 1e6), (2, 3, np.inf), (3, slice(None), 1e30)):
        given.poses_mm[entry, joint] = place
        wanted[rows[entry], joint] = np.nan
    given.poses_px[0] = -np.inf
    thumbnails = {0: html_page.thumbnail(walkers.pictures(1)[0])}
    html_page.write(tmp_path / "a.html", given, thumbnails=thumbnails)
    content = held(tmp_path / "a.html")
    half = arrays.STEP_MM / 2 + 1e-3
    np.testing.assert_allclose(in_mm(content), wanted, rtol=0, atol=half)
    assert (content["points_px"][0] == arrays.MISSING).all()
    assert (content["points_px"][1] != arrays.MISSING).all()


def test_changes_that_leave_16_bits_come_back():
    values = np.array([[32767, -32768], [-32768, 32767], [0, -1], [5, 5]], np.int16)
    np.testing.assert_array_equal(unpacked(arrays.pack(values), "<i2"), values)
    wide = np.array([[2**31 - 1], [-(2**31)], [7]], np.int32)
    np.testing.assert_array_equal(unpacked(arrays.pack(wide), "<i4"), wide)


def test_pictures_bring_the_2d_poses_of_their_frames_only(tmp_path):
    given = walkers.sequence()
    images = dict(zip((3, 10), walkers.pictures(2), strict=True))
    thumbnails = {f: html_page.thumbnail(image, f"no. {f}") for f, image in images.items()}
    html_page.write(tmp_path / "a.html", given, thumbnails=thumbnails, camera=walkers.CAMERA)
    content = held(tmp_path / "a.html")
    assert [one["frame"] for one in content["pictures"]] == [3, 10]
    assert [one["name"] for one in content["pictures"]] == ["no. 3", "no. 10"]
    order = np.lexsort((given.frame, given.track))
    shown = order[np.isin(given.frame[order], (3, 10))]
    pixels = content["points_px"] * content["step_px"]
    wanted = given.poses_px[shown].reshape(len(shown), -1)
    np.testing.assert_allclose(pixels, wanted, atol=content["step_px"] / 2 + 1e-4)


def test_thumbnails_are_small_and_thinned_evenly_to_the_limit(monkeypatch):
    one = html_page.thumbnail(walkers.pictures(1)[0])
    assert (one.width_px, one.height_px) == (1280, 720)
    assert 100 < len(one.jpeg) < 20_000
    monkeypatch.setattr(html_page, "PICTURES_BYTES", 3 * len(one.jpeg))
    assert list(html_page._thinned(dict.fromkeys(range(10), one))) == [0, 4, 8]
    assert list(html_page._thinned(dict.fromkeys((1, 5, 6), one))) == [1, 5, 6]


def test_images_of_other_sizes_have_cameras_of_their_own(tmp_path):
    images = np.zeros((300, 400, 3), np.uint8), np.zeros((800, 200, 3), np.uint8)
    thumbnails = {i: html_page.thumbnail(image) for i, image in enumerate(images)}
    html_page.write(
        tmp_path / "a.html", walkers.sequence(), thumbnails=thumbnails, default_fov_degrees=90.0
    )
    content = held(tmp_path / "a.html")
    first, second = content["camera"], content["pictures"][1]["camera"]
    assert content["pictures"][0]["camera"] is None
    assert (first["size_px"], second["size_px"]) == ([400, 300], [200, 800])
    np.testing.assert_allclose([first["focal_px"], second["focal_px"]], [200, 400], rtol=1e-6)
    np.testing.assert_allclose(second["principal_px"], [99.5, 399.5])


class Outline(HTMLParser):
    """The elements of a page and their attributes' names, without any text."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, [name for name, _ in attrs]))


def renamed(given, joint, name):
    names = (joint, *given.joint_names[1:])
    skeletons = {
        name: given.skeletons["all"]._replace(joint_names=names),
        "legs": given.skeletons["legs"],
    }
    return given._replace(joint_names=names, skeletons=skeletons)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_from_outside_are_never_markup(tmp_path, text):
    thumbnail = html_page.thumbnail(walkers.pictures(1)[0])
    for name in ("plain", text):
        given = renamed(walkers.sequence(), name, name)
        named = {0: thumbnail._replace(name=name)}
        path = tmp_path / f"{name == text}.html"
        html_page.write(path, given, title=name, thumbnails=named)
    plain, hostile = ((tmp_path / f"{it}.html").read_text("utf-8") for it in (False, True))
    assert Outline(hostile).found == Outline(plain).found
    content = held(tmp_path / "True.html")
    assert content["joint_names"][0] == content["skeletons"][0]["name"] == text
    assert content["pictures"][0]["name"] == text


def test_the_page_refers_to_nothing_outside_and_forbids_it(tmp_path):
    html_page.write(tmp_path / "a.html", walkers.sequence())
    text = (tmp_path / "a.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.search(
        r"https?://|\b(src|href)\s*=\s*[\"']|url\(|@import|\bimport\b\s*[({'\"]", text
    )


def test_the_stage_is_level_for_any_up_and_lies_under_the_feet():
    given = walkers.sequence()
    lowest = given.poses_mm[..., 1].max(1)
    # The same people in a world with z up, x to the right of the camera, seen from above.
    to_world = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)
    tilt = np.array([[1, 0, 0], [0, 0.8, 0.6], [0, -0.6, 0.8]], np.float32)
    turned = cameras.create(
        walkers.CAMERA.intrinsics, tilt @ to_world.T, np.array([1, 2, 3000], np.float32)
    )
    for camera, poses, up, axes in (
        (walkers.CAMERA, given.poses_mm, (0, -1, 0), [[1, 0, 0], [0, -1, 0], [0, 0, 1]]),
        (turned, given.poses_mm @ to_world.T, (0, 0, 2.0), np.eye(3)[[0, 2, 1]]),
    ):
        seen = stage.camera_of(camera, None, 55.0)
        level = stage.around(given._replace(poses_mm=poses), False, seen, np.array(up, np.float64))
        np.testing.assert_allclose(level["axes"], axes, atol=1e-6)
        low, high = level["boxes"][0]
        assert abs(low[1] + np.percentile(lowest, 90)) < 1
        assert low[0] < given.poses_mm[..., 0].min() + 100
        assert high[2] > given.poses_mm[..., 2].max() - 100


def test_each_of_stills_has_its_own_ground():
    given = walkers.sequence(people=2, frames=4)
    given = walkers.chosen(given, given.frame != 2)
    given.poses_mm[given.frame == 3] += np.array([0, 500, 0], np.float32)
    seen = stage.camera_of(None, None, 55.0)
    boxes = np.array(stage.around(given, True, seen, np.array([0, -1.0, 0]))["boxes"])
    assert boxes.shape == (4, 2, 3)
    np.testing.assert_allclose(boxes[3, 0, 1], boxes[0, 0, 1] - 500, atol=20)
    np.testing.assert_array_equal(boxes[2], stage.EMPTY_STAGE_MM)


def test_a_camera_that_looks_straight_down_has_a_level_stage():
    down = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)  # forward is world's y, down
    camera = stage.camera_of(cameras.create(walkers.CAMERA.intrinsics, down), None, 55.0)
    level = stage.around(walkers.sequence(), False, camera, np.array([0, -1.0, 0]))
    np.testing.assert_allclose(level["axes"], [[1, 0, 0], [0, -1, 0], [0, 0, 1]], atol=1e-6)


def test_left_and_right_need_a_partner_and_may_be_spelled_as_coco_does(tmp_path):
    given = walkers.sequence()
    count = len(given.joint_names)
    names = ("lkne", "rkne", "root", "leye", "left_ear", "right_ear", "Left Toe", "")
    names = (*names, *(f"c{i}" for i in range(count)))[:count]
    html_page.write(tmp_path / "a.html", given._replace(joint_names=names))
    assert held(tmp_path / "a.html")["sides"][:7] == ["l", "r", "", "", "l", "r", ""]


def test_nobody_one_frame_and_joints_without_a_skeleton_are_pages_too(tmp_path):
    given = walkers.sequence()
    nobody = walkers.chosen(given, np.zeros(0, np.int64))
    html_page.write(tmp_path / "a.html", nobody._replace(frame_count=0, fps=float("nan")))
    content = held(tmp_path / "a.html")
    assert content["fps"] == 0 and content["frame_count"] == 0 and not len(content["offset"])
    html_page.write(tmp_path / "b.html", given._replace(skeletons={}))
    content = held(tmp_path / "b.html")
    assert content["skeletons"][0]["joint_names"] == list(walkers.NAMES)


def test_what_cannot_be_shown_is_one_line(tmp_path):
    given = walkers.sequence()
    jpeg = html_page.thumbnail(walkers.pictures(1)[0])
    legs = walkers.LEGS
    beyond = {"bad": legs._replace(indices=(0, 11, 1, 2, 3))}
    cases = [
        ("frame_count is 3", given._replace(frame_count=3), {}),
        ("'bad' has joint indices", given._replace(skeletons=beyond), {}),
        ("'bad' has edges", given._replace(skeletons={"bad": legs._replace(edges=((0, 5),))}), {}),
        ("frame 4 is no JPEG", given, {"thumbnails": {4: jpeg._replace(jpeg=b"<svg onload=x>")}}),
        ("thumbnail of frame 40", given, {"thumbnails": {40: jpeg}}),
        ("up is", given, {"up": (0.0, 0.0, 0.0)}),
    ]  # fmt: skip
    for wanted, sequence, more in cases:
        with pytest.raises(ValueError, match=wanted) as caught:
            html_page.write(tmp_path / "a.html", sequence, **more)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.html").exists()
