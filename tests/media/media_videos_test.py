import gc
import os
import resource
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from acae_jax.media import inputs, prefetch, stills, videos


def make_frame(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Red grows with the index; the top left quarter is blue and green."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = 4 * index
    image[: height // 2, : width // 2, 1:] = 200
    return image


def write_video(path, count: int = 50, fps: float = 12.5, codec: str = "mp4v") -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for index in range(count):
        writer.write(make_frame(index)[..., ::-1])
    writer.release()


def index_of(image: np.ndarray) -> float:
    """The index that `make_frame` painted."""
    height, width = image.shape[:2]
    return float(image[height // 2 + 4 :, width // 2 + 4 :, 0].mean()) / 4


@pytest.mark.parametrize(("codec", "suffix"), [("mp4v", "mp4"), ("MJPG", "avi"), ("VP80", "webm")])
def test_frames_come_in_order_in_rgb(tmp_path, codec, suffix, capfd):
    path = tmp_path / f"a.{suffix}"
    write_video(path, codec=codec)
    video = videos.open_file(path)
    assert video.fps == pytest.approx(12.5, abs=0.01)
    assert video.frame_count in (50, None)
    frames = list(video.frames)
    assert [index for index, _, _ in frames] == list(range(50))
    assert [index_of(image) for _, image, _ in frames] == pytest.approx(range(50), abs=1.5)
    corner = frames[0][1][4:16, 4:24].mean(axis=(0, 1))
    assert corner[0] < 30 and corner[1] > 170 and corner[2] > 170


def test_first_and_every(tmp_path):
    write_video(tmp_path / "a.mp4")
    frames = list(videos.open_file(tmp_path / "a.mp4", first=6, every=3).frames)
    assert [index for index, _, _ in frames] == list(range(6, 50, 3))
    assert [index_of(image) for _, image, _ in frames] == pytest.approx(range(6, 50, 3), abs=1.5)


@pytest.mark.parametrize(
    "name", [os.fsdecode(b"caf\xe9.mp4"), "take_12:30.mp4", "-i.mp4", "a%03d.mp4", "http:a.mp4"]
)
def test_files_of_any_name_are_played(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video("a.mp4", count=4)
    os.link("a.mp4", name)
    assert len(list(videos.open_file(name).frames)) == 4
    assert inputs.find(["."], tmp_path / "out").videos == tuple(sorted([Path("a.mp4"), Path(name)]))


def test_a_file_of_text_is_no_sequence_of_images(tmp_path):
    for index in (1, 2):
        Image.fromarray(make_frame(index)).save(tmp_path / f"a_{index}.png")
    (tmp_path / "a_%d.png").write_text("text")
    with pytest.raises(ValueError, match="not one frame of it can be read"):
        list(videos.open_file(tmp_path / "a_%d.png").frames)


def test_a_video_cut_short_gives_what_is_there(tmp_path):
    path = tmp_path / "a.avi"
    write_video(path, codec="MJPG")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match=r"only \d+ can be read"):
        frames = list(videos.open_file(path).frames)
    assert 15 < len(frames) < 35
    assert [index_of(image) for _, image, _ in frames] == pytest.approx(range(len(frames)), abs=1.5)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(10_000)])
def test_what_is_no_video_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mp4 is no video") as caught:
        videos.open_file(tmp_path / "a.mp4")
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"b\.mp4"):
        videos.open_file(tmp_path / "b.mp4")


def test_a_missing_index_of_an_mp4_is_named(tmp_path):
    write_video(tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])  # the index stands at the end
    with pytest.raises(ValueError, match="cut off"):
        videos.open_file(tmp_path / "a.mp4")


@pytest.mark.parametrize("stated", [0.0, -1.0, float("nan"), float("inf"), 90_000.0])
def test_a_strange_rate_is_replaced_with_a_warning(stated):
    with pytest.warns(UserWarning, match=r"a\.mp4 states no frame rate"):
        assert videos.credible_fps(stated, "a.mp4") == 30.0
    assert videos.credible_fps(29.97, "a.mp4") == 29.97


def test_frames_of_a_camera_carry_their_time():
    ticks = iter([10.0, 10.02, 10.045, 10.4, 10.41, 11.0])
    shots = [make_frame(index) for index in range(6)]
    frames = list(videos.timed_frames(shots, 30.0, lambda: next(ticks)))
    assert [index for index, _, _ in frames] == [0, 1, 12, 30]
    assert [index_of(image) for _, image, _ in frames] == [0, 1, 3, 5]


def test_a_camera_that_is_not_there():
    with pytest.raises(ValueError, match="no camera 97"):
        videos.open_camera(97)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_animations_are_videos(tmp_path, suffix):
    frames = [Image.fromarray(make_frame(index)) for index in range(0, 50, 5)]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    video = videos.open_file(path, every=2)
    assert (video.fps, video.frame_count) == (25.0, 10)
    found = [(index, index_of(image)) for index, image, _ in video.frames]
    assert [index for index, _ in found] == [0, 2, 4, 6, 8]
    assert [shown for _, shown in found] == pytest.approx(range(0, 50, 10), abs=2)


PAUSE_FIRST, PAUSE_LAST = [1000] + 5 * [50], 9 * [40] + [3000]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
@pytest.mark.parametrize(
    ("durations_ms", "fps"),
    [
        (PAUSE_FIRST, 20),
        (PAUSE_LAST, 25),
        ([30, 30, 40] * 3, 30),
        ([0, 0, 0], 10),
        ([700] * 4, 10 / 7),
    ],
)
def test_animations_have_the_rate_of_their_motion(tmp_path, suffix, durations_ms, fps):
    frames = [Image.fromarray(make_frame(5 * index)) for index in range(len(durations_ms))]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations_ms)
    video = videos.open_file(path)
    assert (video.fps, video.frame_count) == (pytest.approx(fps), len(frames))
    with path.open("rb") as file:
        read = list(videos.DURATIONS[suffix.upper()](file))
    assert read == durations_ms


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_durations_of_damaged_animations_come_to_an_end(tmp_path, suffix):
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(make_frame(index)) for index in range(0, 50, 5)]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    whole = path.read_bytes()

    def count(content: bytes) -> int:
        path.write_bytes(content)
        with path.open("rb") as file:
            return len(list(videos.DURATIONS[suffix.upper()](file)))

    assert count(whole) == 10
    for cut in range(0, len(whole), 7):
        assert count(whole[:cut]) <= 10
        harmed = np.frombuffer(whole, np.uint8).copy()
        harmed[rng.integers(0, len(whole), 5)] = rng.integers(0, 256, 5)
        assert count(harmed.tobytes()) <= len(whole) / 8


def test_an_animation_cut_short_gives_what_is_there(tmp_path):
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(8)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match="can be read up to frame"):
        found = list(videos.open_file(tmp_path / "a.png").frames)
    assert 2 <= len(found) <= 4


# ---------------------------------------------------------------------------------- working ahead


def test_prefetching_keeps_order_and_stops():
    made = []

    def items():
        try:
            for index in range(1000):
                made.append(index)
                yield index
        finally:
            made.append("closed")

    ahead = prefetch.prefetched(items(), 3)
    assert [next(ahead) for _ in range(5)] == [0, 1, 2, 3, 4]
    ahead.close()
    assert made[-1] == "closed" and len(made) < 12
    assert list(prefetch.prefetched(range(100), 2)) == list(range(100))
    assert threading.active_count() < 10


def test_an_error_comes_where_its_item_would_have():
    def items():
        yield 1
        raise ValueError("broken")

    ahead = prefetch.prefetched(items(), 4)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_the_newest_item_wins():
    made, go = threading.Event(), threading.Event()

    def items():
        yield 0
        go.wait(5)
        yield from range(1, 50)
        made.set()

    newest = prefetch.newest(items())
    assert next(newest) == 0
    go.set()
    made.wait(5)
    assert list(newest) == [49]


def test_ten_thousand_frames_take_no_more_memory_than_a_few():
    def frames():
        for index in range(10_000):
            yield index, np.full((360, 640, 3), index % 256, np.uint8)  # 0.7 MB each, 7 GB in all

    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(image[0, 0, 0] == index % 256 for index, image in prefetch.prefetched(frames(), 4))
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 60


# ------------------------------------------------------------------------------ the command line


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.JPG", "b/10.png", "a.jpg", "b/.hidden.jpg", ".thumbs/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        kind = "png" if name.endswith("png") else "jpeg"
        Image.new("RGB", (9, 9)).save(tmp_path / name, format=kind)
    (tmp_path / "b/notes.doc").write_text("no image")
    (tmp_path / "out/overlays").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "out/overlays/00000_done.jpg")
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "lime")]
    frames[0].save(tmp_path / "b/moves.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "b/walk.mp4").write_bytes(b"never opened here")
    return tmp_path


def found(arguments: list[str], folder) -> tuple[list[str], list[str], list[int]]:
    paths = inputs.find(arguments, folder / "out")
    stills, moving = (
        [path.relative_to(folder).as_posix() for path in some]
        for some in (paths.stills, paths.videos)
    )
    return stills, moving, list(paths.cameras)


def test_folders_patterns_lists_and_cameras(folder):
    everything = (["a.jpg", "b/10.png", "b/2.JPG"], ["b/moves.gif", "b/walk.mp4"], [])
    assert found([str(folder)], folder) == everything
    assert found([str(folder / "**/*.jpg")], folder) == (["a.jpg"], [], [])
    assert found([str(folder / "b/*.mp4"), "0", "2"], folder) == ([], ["b/walk.mp4"], [0, 2])
    (folder / "list.txt").write_text(
        f"{folder}/b/2.JPG\n\n{folder}/a.jpg\n{folder}/b/2.JPG\n", encoding="utf-8-sig"
    )  # as Windows' editors write it
    assert found([str(folder / "list.txt")], folder) == (["b/2.JPG", "a.jpg"], [], [])


def test_a_list_may_hold_names_that_are_no_utf8(tmp_path):
    name = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    Image.new("RGB", (9, 9)).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(name)
    (tmp_path / "list.txt").write_bytes(os.fsencode(name) + b"\n")
    assert inputs.find([str(tmp_path / "list.txt")], tmp_path / "out").stills == (name,)


@pytest.mark.parametrize("out", [".", "b"])
def test_of_the_folder_for_results_only_results_are_left_out(folder, out):
    target = folder / out
    (folder / "out/overlays/00000_done.jpg").unlink()
    (target / "overlays").mkdir()
    for name in ("overlays/00000_a.jpg", "walk.overlay.mp4", "moves.overlay.part.mp4"):
        (target / name).write_bytes((folder / "a.jpg").read_bytes())
    for name in ("images.jsonl", "images.html", "walk.npz", "walk.person0.bvh"):
        (target / name).write_text("poses")
    paths = inputs.find([str(folder)], target)
    names = [path.relative_to(folder).as_posix() for path in (*paths.stills, *paths.videos)]
    assert names == ["a.jpg", "b/10.png", "b/2.JPG", "b/moves.gif", "b/walk.mp4"]
    paths = inputs.find([str(folder / "**/*.*")], target)
    found = {path.name for path in (*paths.stills, *paths.videos)}
    assert found == {"a.jpg", "10.png", "2.JPG", "moves.gif", "walk.mp4", "notes.doc"}


def test_pictures_that_cannot_be_read_here_are_found_and_refused_with_advice(folder):
    for name in ("phone.HEIC", "camera.nef", "camera.dng", "b/disc.vob"):
        (folder / name).write_bytes((folder / "a.jpg").read_bytes())
    names, moving, _ = found([str(folder)], folder)
    assert moving == ["b/disc.vob", "b/moves.gif", "b/walk.mp4"]
    assert set(names) == {"a.jpg", "b/10.png", "b/2.JPG", "camera.dng", "camera.nef", "phone.HEIC"}
    for name, kind in (("phone.HEIC", "HEIC"), ("camera.nef", "NEF"), ("camera.dng", "DNG")):
        assert name in found([str(folder / name)], folder)[0]
        with pytest.raises(ValueError, match=rf"{name} is {kind}, .*: save it as JPEG"):
            stills.read(folder / name)


def test_files_of_unknown_kinds_are_looked_into(folder):
    (folder / "a.jpg").rename(folder / "photo")
    assert found([str(folder / "photo")], folder) == (["photo"], [], [])
    assert found([str(folder / "b/notes.doc")], folder) == ([], ["b/notes.doc"], [])


@pytest.mark.parametrize("argument", ["nothing.jpg", "*.webp", "empty", "https://a.b/c.mp4"])
def test_what_names_nothing_is_an_error(folder, argument, monkeypatch):
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(FileNotFoundError, match="there is no") as caught:
        inputs.find([argument], folder / "out")
    assert argument in str(caught.value)


def test_names_are_distinct_and_below_the_shared_folder(folder, monkeypatch):
    monkeypatch.chdir(folder / "b")
    (folder / "link.jpg").symlink_to(folder / "b/10.png")
    paths = [folder / "b/2.JPG", folder / "a.jpg", folder / "link.jpg"]
    names = [name.as_posix() for name in inputs.names(paths)]
    assert names == ["b/2.JPG", "a.jpg", "link.jpg"]
    assert [name.as_posix() for name in inputs.names([folder / "b/2.JPG"])] == ["2.JPG"]
    up = [folder / "b/../a.jpg", folder / "b/2.JPG"]
    assert [name.as_posix() for name in inputs.names(up)] == ["a.jpg", "b/2.JPG"]
