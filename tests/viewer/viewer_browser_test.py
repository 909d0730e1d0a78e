"""The viewer's page in a real browser: it draws, obeys its controls, runs nothing of others'."""

import re

import chromium
import numpy as np
import pytest
import walkers

from acae_jax.geometry import cameras
from acae_jax.viewer import html_page

pytestmark = pytest.mark.skipif(chromium.PATH is None, reason="no Chromium on PATH")

HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1> ${1}\u2028&lt;"
)
PIXELS = """((id, x, y, width, height) => {
  // Read from a copy: a canvas that is read often is drawn in another way.
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(document.getElementById(id), -x, -y);
  return copy.getImageData(0, 0, width, height).data;
})"""
# How many pixels of the scene are coloured, as people are and the grey ground is not.
COLOURED = (
    """(() => {
  const { width, height } = document.getElementById("scene");
  const data = PIXELS("scene", 60, 0, width - 60, height - 90);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b] = data.subarray(i, i + 3);
    count += Math.max(r, g, b) - Math.min(r, g, b) > 60;
  }
  return count;
})()"""
).replace("PIXELS", PIXELS)


# Mean column and row of the bluish and of the orange pixels: of person 0 and of person 1.
PLACES = """(() => {
  const { width, height } = document.getElementById("scene");
  const data = PIXELS("scene", 0, 0, width, height - 90);
  const sums = [[0, 0, 0], [0, 0, 0]];
  for (let i = 0; i < data.length; i += 4) {
    const [r, , b] = data.subarray(i, i + 3);
    if (Math.abs(r - b) < 60) continue;
    const sum = sums[Number(r > b)], pixel = i / 4;
    sum[0] += pixel % width;
    sum[1] += Math.floor(pixel / width);
    sum[2] += 1;
  }
  return sums.map(([x, y, count]) => [x / count, y / count]);
})()""".replace("PIXELS", PIXELS)


@pytest.fixture(scope="module")
def browser():
    with chromium.Page() as page:
        yield page


@pytest.fixture
def opened(browser, tmp_path):
    """Writes a sequence's page, opens it, and checks at the end that nothing went wrong in it."""
    browser.resize(1200, 760)

    def open_page(given, **more):
        html_page.write(tmp_path / "page.html", given, **{"camera": walkers.CAMERA, **more})
        browser.open((tmp_path / "page.html").as_uri())
        return browser

    yield open_page
    assert browser.problems == []
    outside = [url for url in browser.requests if not url.startswith("data:image/jpeg")]
    assert outside == [(tmp_path / "page.html").as_uri()]


def picture(page):
    page.settle()
    return page.evaluate("document.getElementById('scene').toDataURL()")


def to_frame(page, frame):
    page.evaluate(
        f"(() => {{ const s = document.getElementById('frame'); s.value = {frame};"
        "s.dispatchEvent(new Event('input')); })()"
    )


def text(page, selector):
    page.settle()
    return page.evaluate(f"document.querySelector({selector!r}).textContent")


def test_the_slider_moves_people_and_comes_back_to_the_same_picture(opened):
    page = opened(walkers.sequence(), title="A walk")
    assert page.evaluate("document.title") == text(page, "h1") == "A walk"
    assert text(page, "#facts") == "2 people, 40 frames, 1.6 s at 25 frames per second"
    first = picture(page)
    assert page.evaluate(COLOURED) > 1000
    to_frame(page, 20)
    assert picture(page) != first
    assert text(page, "#clock") == "0.80 s · frame 20 / 39"
    to_frame(page, 0)
    assert picture(page) == first


def test_the_skeleton_switch_changes_the_picture_and_the_table(opened):
    given = walkers.sequence()
    page = opened(given)
    page.evaluate("document.querySelector('#joints summary').click()")
    page.settle()
    before, coloured = picture(page), page.evaluate(COLOURED)
    for number, (name, selection) in enumerate(given.skeletons.items()):
        page.evaluate(
            f"(() => {{ const s = document.getElementById('skeleton'); s.value = {number};"
            "s.dispatchEvent(new Event('change')); })()"
        )
        to_frame(page, 7)
        page.settle()
        rows = page.evaluate(
            "[...document.querySelectorAll('#rows tr')]"
            ".map((row) => [...row.children].map((cell) => cell.textContent))"
        )
        assert [row[0] for row in rows] == list(selection.joint_names), name
        shown = np.array([[float(cell.replace("−", "-")) for cell in row[1:]] for row in rows])
        entry = np.flatnonzero((given.frame == 7) & (given.track == 0))[0]
        chosen = list(selection.indices)
        np.testing.assert_allclose(shown[:, :3], given.poses_mm[entry, chosen], atol=0.76)
        np.testing.assert_allclose(shown[:, 3], given.uncertainty_mm[entry, chosen], atol=1.01)
    to_frame(page, 0)
    assert picture(page) != before
    assert page.evaluate(COLOURED) < 0.8 * coloured  # legs only
    page.key("s", "s")
    assert picture(page) == before


def check_joint(page, given, frame, track, joint):
    """In the camera's view, what is told where the image has the joint is that joint."""
    left, top, width, height = page.evaluate(
        "(() => { const b = document.getElementById('scene').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]; })()"
    )
    scale = min(width / 1280, height / 720)
    corner = np.array([left + (width - 1280 * scale) / 2, top + (height - 720 * scale) / 2])
    entry = np.flatnonzero((given.frame == frame) & (given.track == track))[0]
    at = corner + (given.poses_px[entry, joint] + 0.5) * scale
    page.mouse("mouseMoved", *map(float, at))
    name, place, error = text(page, "#tip").split("\n")
    # It stands 14 px to the right of the joint and below it.
    tip = page.evaluate(
        "['left', 'top'].map((s) => parseFloat(document.getElementById('tip').style[s]))"
    )
    np.testing.assert_allclose(tip + np.array([left, top]) - 14, at, atol=0.5)
    assert name == f"{walkers.NAMES[joint]} · Person {track}"
    shown = [float(number.replace("−", "-")) for number in re.findall(r"[−\d]+", place)]
    np.testing.assert_allclose(shown, given.poses_mm[entry, joint], atol=0.76)
    assert error == f"± {round(float(given.uncertainty_mm[entry, joint]))} mm"


def test_views_differ_and_the_camera_sees_joints_where_the_image_has_them(opened):
    given = walkers.sequence()
    page = opened(given)
    seen = {picture(page)}
    for key in "1234":
        page.key(key, key)
        seen.add(picture(page))
        assert page.evaluate(COLOURED) > 500
    assert len(seen) == 5
    assert page.evaluate("document.querySelector('[aria-pressed=true]').dataset.view") == "camera"
    for joint in (2, 4, 10):
        check_joint(page, given, 0, 1, joint)


def test_right_is_right_and_up_is_up(opened):
    given = walkers.chosen(walkers.sequence(people=2, frames=1), np.arange(2))
    given.poses_mm[1, :, 0] += 2000  # the second one stands farther to the right, and behind
    page = opened(given)
    for view, (across, down) in {"front": (1, 0), "side": (1, 0), "top": (0, -1)}.items():
        page.evaluate(f"document.querySelector('[data-view={view}]').click()")
        page.settle()
        blue, orange = page.evaluate(PLACES)
        apart = np.array(orange) - blue
        assert across * apart[0] + down * apart[1] > 60, view
        if view != "top":
            page.key("s", "s")
            page.settle()
            legs = page.evaluate(PLACES)
            assert legs[0][1] > blue[1] + 20 and legs[1][1] > orange[1] + 20, view
            page.key("s", "s")


def test_a_camera_anywhere_in_a_world_with_y_up_sees_the_same(opened):
    given = walkers.sequence()
    flipped = np.diag([1.0, -1, -1]).astype(np.float32)
    moved = np.array([500, 1500, 4000], np.float32)
    camera = cameras.create(walkers.CAMERA.intrinsics, flipped, moved)
    turned = given._replace(poses_mm=given.poses_mm @ flipped + moved)
    page = opened(turned, camera=camera, up=(0.0, 1.0, 0.0))
    page.key("4", "4")
    for joint in (2, 10):
        check_joint(page, turned, 0, 0, joint)
    assert "x 500, y 1500, z 4000 mm" in text(page, "details:last-of-type")


def test_mouse_touch_and_keys_turn_move_and_approach(opened):
    page = opened(walkers.sequence())
    seen = [picture(page)]

    def changed():
        seen.append(picture(page))
        assert seen[-1] not in seen[:-1]

    for button in ("left", "right"):
        page.mouse("mousePressed", 400, 300, button)
        page.mouse("mouseMoved", 470, 320, button)
        page.mouse("mouseReleased", 470, 320, button)
        changed()
    page.mouse("mouseWheel", 400, 300, deltaX=0, deltaY=-200)
    changed()
    for kind, apart in (("touchStart", 50), ("touchMove", 110), ("touchEnd", None)):
        points = (
            [] if apart is None else [{"x": 400 - apart, "y": 300}, {"x": 400 + apart, "y": 300}]
        )
        page.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    changed()
    page.evaluate("document.getElementById('scene').focus()")
    page.key("ArrowLeft")
    changed()
    page.key("ArrowUp", shift=True)
    changed()
    page.key("+", "+")
    changed()


def test_people_are_hidden_and_followed(opened):
    given = walkers.sequence()
    late = walkers.chosen(given, (given.track == 0) | (given.frame >= 30))
    page = opened(late)
    everybody, coloured = picture(page), page.evaluate(COLOURED)
    page.evaluate("document.querySelector('#people input').click()")
    assert picture(page) != everybody
    assert page.evaluate(COLOURED) < 0.1 * coloured  # person 1 is not there yet
    page.evaluate("document.querySelectorAll('#people button')[1].click()")
    assert text(page, "#clock") == "1.20 s · frame 30 / 39"  # where person 1 comes in
    follow = "document.querySelectorAll('#people button')[1].getAttribute('aria-pressed')"
    assert page.evaluate(follow) == "true"
    assert page.evaluate(COLOURED) > 500


def test_it_plays_by_the_clock_and_stops(opened):
    page = opened(walkers.sequence())
    # The test is the clock: what waits for the next picture gets the time in ms from it.
    page.evaluate("window.requestAnimationFrame = (draw) => { window.draw = draw; }; 0")
    frame = "Number(document.getElementById('frame').value)"
    page.evaluate("document.getElementById('play').click()")
    for speed, now, wanted in (
        (1, 5000, 0),
        (1, 5420, 10),
        (2, 5620, 20),
        (1, 6000, 30),
        (1, 9000, 0),
    ):
        page.evaluate(f"document.getElementById('speed').value = {speed}; draw({now})")
        assert page.evaluate(frame) == wanted, now
    page.evaluate("document.getElementById('play').click(); draw(9500)")
    assert page.evaluate(frame) == 0
    assert page.evaluate("document.getElementById('play').getAttribute('aria-label')") == "Play"


def test_uncertainty_is_drawn_where_it_is_known(opened):
    given = walkers.sequence()
    page = opened(given)
    before = picture(page)
    page.key("u", "u")
    assert picture(page) != before
    unknown = given._replace(uncertainty_mm=np.full_like(given.uncertainty_mm, np.nan))
    page = opened(unknown)
    assert page.evaluate("document.getElementById('uncertainty').disabled")
    assert picture(page) == before


def test_pictures_stand_beside_and_behind_people(opened):
    images = dict(zip((0, 10), walkers.pictures(2), strict=True))
    images[10][..., 2] = 20  # yellow
    thumbnails = {frame: html_page.thumbnail(image) for frame, image in images.items()}
    page = opened(walkers.sequence(), thumbnails=thumbnails)
    near = "Math.hypot(...[{}, {}, {}].map((c, i) => c - {}('photo', 3, 3, 1, 1)[i])) < 9"
    for frame, colour, caption in (
        (9, (200, 200, 200), "Input, frame 0"), (10, (190, 190, 20), "Input, frame 10"),
    ):  # fmt: skip
        to_frame(page, frame)
        page.until(near.format(*colour, PIXELS))
        assert text(page, "#caption") == caption
    without = page.evaluate(COLOURED)
    page.key("4", "4")
    page.settle()
    assert page.evaluate(COLOURED) > 5 * without


def test_names_do_nothing_but_stand_there(opened):
    given = walkers.sequence()
    names = tuple(f"{HOSTILE} {name}" for name in walkers.NAMES)
    whole = given.skeletons["all"]._replace(joint_names=names)
    given = given._replace(joint_names=names, skeletons={HOSTILE: whole})
    thumbnails = {0: html_page.thumbnail(walkers.pictures(1)[0], HOSTILE)}
    page = opened(given, title=HOSTILE, thumbnails=thumbnails)
    page.evaluate("document.querySelector('#joints summary').click()")
    page.settle()
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.images.length + document.scripts.length") == 2
    assert text(page, "h1") == text(page, "#caption") == HOSTILE
    assert text(page, "#skeleton option") == f"{HOSTILE} (11 joints)"
    assert text(page, "#rows th") == names[0]
    # Were something of it markup after all, the page's policy would still refuse to run it.
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        "{ textContent: 'window.hacked = 1' }))"
    )
    assert page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in problem for problem in page.problems)
    page.problems.clear()


def test_nobody_and_a_single_image(opened):
    given = walkers.sequence()
    page = opened(walkers.chosen(given, np.zeros(0, np.int64)))
    assert text(page, "#message") == "Nobody was found."
    assert page.evaluate(COLOURED) == 0
    still = walkers.chosen(given, given.frame == 0)._replace(frame_count=1)
    page = opened(still, stills=True)
    assert text(page, "#facts") == "2 people in 1 image"
    assert page.evaluate("document.getElementById('time').hidden")
    assert page.evaluate(COLOURED) > 500


def test_stills_have_no_clock_and_each_is_brought_into_view(opened):
    given = walkers.chosen(walkers.sequence(people=1, frames=2), np.arange(2))
    given.poses_mm[1] += np.array([4000, 3000, 20000], np.float32)
    page = opened(given, stills=True, thumbnails={0: html_page.thumbnail(walkers.pictures(1)[0])})
    assert page.evaluate("document.getElementById('play').hidden")
    assert not page.evaluate("document.getElementById('picture').hidden")
    assert text(page, "#facts") == "2 people in 2 images"
    page.key(",", ",")  # there is none before
    first = page.evaluate(COLOURED)
    page.key(".", ".")
    assert text(page, "#clock") == "image 1 / 1"
    assert page.evaluate("document.getElementById('picture').hidden")  # not another image's
    page.settle()
    assert page.evaluate(COLOURED) == pytest.approx(first, rel=0.1)


@pytest.mark.parametrize(
    ("size", "dark"), [((390, 844), False), ((320, 568), True), ((1920, 1080), True)]
)
def test_it_fits_screens_in_light_and_dark(opened, browser, size, dark):
    browser.resize(*size, dark=dark)
    page = opened(walkers.sequence())
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(COLOURED) > 200
    assert (page.evaluate(f"{PIXELS}('scene', 2, 2, 1, 1)[0]") < 60) == dark


def test_every_control_has_a_name_for_those_who_do_not_see_it(opened):
    page = opened(walkers.sequence())
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    controls = ("button", "slider", "combobox", "checkbox", "application", "DisclosureTriangle")
    found = {}
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in controls:
            found.setdefault(role, []).append(node.get("name", {}).get("value"))
    assert set(controls) <= set(found)
    assert all(name for names in found.values() for name in names), found
    assert "Follow Person 1" in found["button"] and found["slider"] == ["Frame"]
