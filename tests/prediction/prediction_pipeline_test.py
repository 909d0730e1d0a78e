"""Predicting images, videos and cameras with a real estimator around simple red people."""

import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from red_people import EDGES, NAMES, Detector, make_estimator, make_image, write_video

from acae_jax.inference.estimator import Estimator
from acae_jax.media import inputs, recorder, stills, videos
from acae_jax.motion import c3d
from acae_jax.prediction import estimates, motion_files, outputs, pipeline
from acae_jax.recordings import json_lines, results


def make_settings(out: Path, **changes) -> estimates.PredictionSettings:
    finish = outputs.OutputSettings(True, True, (), 55.0, None, None)
    finish = finish._replace(**{k: changes.pop(k) for k in list(changes) if k in finish._fields})
    plain = estimates.PredictionSettings(
        out, {"skeleton": "six"}, {"detector_threshold": 0.3}, None, 1, finish
    )
    return plain._replace(**changes)


def run(
    estimator: Estimator, arguments: list[Path | str], settings: estimates.PredictionSettings
) -> list[str]:
    found = inputs.find([str(argument) for argument in arguments], settings.out)
    return pipeline.run(estimator, found, settings)


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, lefts in (("a.png", [40]), ("b.jpg", []), ("more/a.png", [20, 200])):
        Image.fromarray(make_image(*lefts)).save(folder / name)
    return folder


def test_images_of_a_folder(photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes((photos / "b.jpg").read_bytes()[:400])
    out = tmp_path / "out"
    failures = run(make_estimator(), [photos], make_settings(out))
    assert len(failures) == 1 and "broken.jpg" in failures[0]
    told = capsys.readouterr()
    assert "broken.jpg" in told.err and "people: 3, images: 3" in told.out
    found = results.read_npz(out / "images.npz")
    assert found.frame.tolist() == [0, 2, 2] and found.track.tolist() == [0, 0, 1]
    assert found.joint_names == NAMES and found.skeletons["six"].edges == EDGES
    middles = found.poses_px[:, 0]
    np.testing.assert_allclose(middles, [[64.5, 119.5], [44.5, 119.5], [224.5, 119.5]], atol=1)
    lines = json_lines.read_jsonl(out / "images.jsonl")
    assert [Path(source).name for source in lines.sources] == ["a.png", "b.jpg", "a.png"]
    drawn = sorted(path.name for path in (out / "overlays").iterdir())
    assert drawn == ["00000_a.jpg", "00001_b.jpg", "00002_a.jpg"]
    plain, people = (stills.read(out / "overlays" / drawn[i]).astype(int) for i in (1, 2))
    assert np.abs(plain - 90).max() < 10 and people.std() > 20
    page = (out / "images.html").read_text("utf-8")
    assert '"fps":0,' in page and '"name":"b.jpg"' in page  # images do not follow each other


def test_done_images_are_left_out(photos, tmp_path):
    out, detector = tmp_path / "out", Detector()
    run(make_estimator(detector), [photos / "a.png"], make_settings(out))
    assert detector.shown == 1
    run(make_estimator(detector), [photos], make_settings(out))
    assert detector.shown == 3
    before = (out / "images.jsonl").read_bytes()
    run(make_estimator(detector), [photos], make_settings(out))
    assert detector.shown == 3 and (out / "images.jsonl").read_bytes() == before
    assert results.read_npz(out / "images.npz").frame.tolist() == [0, 2, 2]


def test_ctrl_c_between_images_keeps_what_is_done(tmp_path, monkeypatch):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(make_image(20 + 30 * index)).save(folder / f"{index}.png")
    monkeypatch.setattr(pipeline, "BATCH", 2)
    with pytest.raises(KeyboardInterrupt):
        run(make_estimator(Detector(stop_after=4)), [folder], make_settings(out))
    assert json_lines.read_jsonl(out / "images.jsonl").seen.tolist() == [0, 1, 2, 3]
    detector = Detector()
    run(make_estimator(detector), [folder], make_settings(out))
    assert detector.shown == 2
    assert results.read_npz(out / "images.npz").frame.tolist() == list(range(6))


def test_another_way_of_predicting_is_not_mixed_in(photos, tmp_path):
    run(make_estimator(), [photos / "a.png"], make_settings(tmp_path / "out"))
    other = make_settings(tmp_path / "out", estimate={"skeleton": "legs"})
    with pytest.raises(ValueError, match="another folder"):
        run(make_estimator(), [photos], other)
    with pytest.raises(ValueError, match="another folder"):
        run(make_estimator(digest="trained again"), [photos], make_settings(tmp_path / "out"))


def test_results_may_go_where_the_images_are(photos):
    detector = Detector()
    for _ in range(2):
        run(make_estimator(detector), [photos], make_settings(photos))
        assert detector.shown == 3
    assert len(list((photos / "overlays").iterdir())) == 3


def test_an_edited_image_is_predicted_again_in_its_place(photos, tmp_path):
    out, detector = tmp_path / "out", Detector()
    run(make_estimator(detector), [photos], make_settings(out))
    Image.fromarray(make_image(160)).save(photos / "a.png")
    run(make_estimator(detector), [photos], make_settings(out))
    assert detector.shown == 4
    found = results.read_npz(out / "images.npz")
    assert found.frame.tolist() == [0, 2, 2]
    np.testing.assert_allclose(found.poses_px[0, 0], [184.5, 119.5], atol=1)
    assert len(list((out / "overlays").iterdir())) == 3
    run(make_estimator(detector), [photos], make_settings(out))
    assert detector.shown == 4


def test_the_page_does_not_show_an_edited_image_with_its_former_poses(photos, tmp_path):
    out = tmp_path / "out"
    run(make_estimator(), [photos / "a.png"], make_settings(out))
    Image.fromarray(make_image(160)).save(photos / "a.png")
    run(make_estimator(), [photos / "b.jpg"], make_settings(out))
    page = (out / "images.html").read_text("utf-8")
    assert '"name":"b.jpg"' in page and '"name":"a.png"' not in page


def test_video(tmp_path):
    path, out = tmp_path / "walk.mp4", tmp_path / "out"
    write_video(path)
    assert run(make_estimator(), [path], make_settings(out, motion=("bvh", "trc"))) == []
    found = results.read_npz(out / "walk.npz")
    assert (found.fps, found.frame_count) == (20.0, 40)
    walks = results.keep(found, found.track == 0)
    assert walks.frame.tolist() == list(range(40))
    assert np.diff(walks.poses_px[:, 0, 0]) == pytest.approx(3, abs=1.2)
    assert results.keep(found, found.track == 1).frame.tolist() == list(range(10, 40))
    lines = json_lines.read_jsonl(out / "walk.jsonl")
    assert lines.complete and lines.seen.tolist() == list(range(40))
    overlay = videos.open_file(out / "walk.overlay.mp4")
    assert (overlay.fps, overlay.frame_count) == (20.0, 40)
    image = next(overlay.frames).image
    assert image.shape == (360, 480, 3)
    motion = sorted(path.name for path in out.glob("walk.person*"))
    assert motion == [f"walk.person{n}.{kind}" for n in (0, 1) for kind in ("bvh", "trc")]
    header = (out / "walk.person1.trc").read_text().splitlines()[2].split("\t")
    assert header[:4] == ["20", "20", "30", "6"]
    assert "walk.mp4" in (out / "walk.html").read_text()


def test_a_finished_video_is_left_alone_and_files_of_motion_need_no_prediction(tmp_path):
    path, out, detector = tmp_path / "walk.mp4", tmp_path / "out", Detector()
    write_video(path)
    estimator = make_estimator(detector)
    run(estimator, [path], make_settings(out))
    times = {file: file.stat().st_mtime_ns for file in out.iterdir()}
    run(estimator, [path], make_settings(out))
    assert detector.shown == 40
    assert times == {file: file.stat().st_mtime_ns for file in out.iterdir()}
    run(estimator, [path], make_settings(out, motion=("bvh",), smooth=False))
    assert detector.shown == 40 and (out / "walk.person0.bvh").exists()


def test_an_edited_video_is_not_taken_for_done(tmp_path, capsys):
    path, out = tmp_path / "walk.mp4", tmp_path / "out"
    write_video(path, count=4)
    run(make_estimator(), [path], make_settings(out))
    write_video(path, count=6)
    (failure,) = run(make_estimator(), [path], make_settings(out))
    assert "delete it to begin anew" in failure and failure in capsys.readouterr().err


def test_a_stopped_video_continues_and_gives_the_same(tmp_path, monkeypatch):
    path = tmp_path / "walk.mp4"
    write_video(path)
    monkeypatch.setattr(pipeline, "BATCH", 4)
    run(make_estimator(), [path], make_settings(tmp_path / "whole", every=3))
    detector = Detector(stop_after=9)
    with pytest.raises(KeyboardInterrupt):
        run(make_estimator(detector), [path], make_settings(tmp_path / "out", every=3))
    kept = json_lines.read_jsonl(tmp_path / "out" / "walk.predicted.jsonl")
    assert kept.seen.tolist() == list(range(0, 24, 3)) and not kept.complete
    detector = Detector()
    run(make_estimator(detector), [path], make_settings(tmp_path / "out", every=3))
    assert detector.shown == 14 - 8
    for name in ("walk.predicted.jsonl", "walk.jsonl", "walk.npz", "walk.html"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_boxes_given_instead_of_detected(tmp_path):
    Image.fromarray(make_image()).save(tmp_path / "a.png")
    write_video(tmp_path / "walk.mp4", count=6)
    boxes = {
        "a.png": [[10, 20, 60, 120]],
        "walk.mp4": {str(i): [[5, 70, 50, 99]] for i in (1, 2, 3)},
    }
    detector = Detector()
    settings = make_settings(tmp_path / "out", boxes=boxes)
    run(make_estimator(detector), [tmp_path / "a.png", tmp_path / "walk.mp4"], settings)
    assert detector.shown == 0
    found = results.read_npz(tmp_path / "out" / "images.npz")
    assert found.boxes.tolist() == [[10, 20, 60, 120, 1]]
    assert results.read_npz(tmp_path / "out" / "walk.npz").frame.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ({}, "hold nothing for '.*a.png'"),
        ({"a.png": [[1, 2, 3]]}, "a.png: boxes .* x, y of the top-left corner"),
        ({"a.png": [[1, 2, 3, 0]]}, "a.png: box 0, .* has no extent"),
        ({"a.png": {"0": [[1, 2, 3, 4]]}}, "a.png must be a list"),
        ({"a.png": [], "walk.mp4": [[1, 2, 3, 4]]}, "walk.mp4 must be an object"),
        ({"a.png": [], "walk.mp4": {"one": [[1, 2, 3, 4]]}}, "walk.mp4 must be an object"),
        ({"a.png": [], "walk.mp4": {"7": [[1, 2, 3]]}}, "walk.mp4, frame 7: boxes"),
    ],
)
def test_boxes_of_another_form_are_refused_before_anything_is_done(tmp_path, boxes, message):
    Image.fromarray(make_image()).save(tmp_path / "a.png")
    write_video(tmp_path / "walk.mp4", count=2)
    settings = make_settings(tmp_path / "out", boxes=boxes)
    with pytest.raises(ValueError, match=message):
        run(make_estimator(), [tmp_path / "a.png", tmp_path / "walk.mp4"], settings)
    assert not (tmp_path / "out").exists()


def test_videos_of_one_name_and_unreadable_ones(tmp_path, capsys):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_video(tmp_path / folder / "walk.mp4", count=4)
    (tmp_path / "two" / "walk.avi").write_bytes(b"no video at all")
    failures = run(
        make_estimator(), [tmp_path / "one", tmp_path / "two"], make_settings(tmp_path / "out")
    )
    assert len(failures) == 1 and "walk.avi" in failures[0]
    assert (tmp_path / "out/one/walk.npz").exists()
    assert (tmp_path / "out/two/walk.mp4.npz").exists()


def test_a_video_whose_overlay_cannot_be_written_has_the_rest_and_others_follow(
    tmp_path, monkeypatch, capsys
):
    out, detector = tmp_path / "out", Detector()
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, count=6)
    write = recorder.Recorder.write

    def refusing(self, image):
        if self._path.name == "a.overlay.mp4":
            raise OSError("no codec")
        write(self, image)

    videos_of = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    settings = make_settings(out, motion=("trc",))
    with monkeypatch.context() as patch:
        patch.setattr(recorder.Recorder, "write", refusing)
        assert run(make_estimator(detector), videos_of, settings) == ["a.overlay.mp4: no codec"]
    assert "left out: a.overlay.mp4: no codec" in capsys.readouterr().err
    made = {path.name for path in out.iterdir()}
    whole = {f"b.{kind}" for kind in ("npz", "jsonl", "html", "person0.trc", "overlay.mp4")}
    rest = {f"a.{kind}" for kind in ("npz", "jsonl", "html", "person0.trc")}
    assert made == whole | rest | {"a.predicted.jsonl", "b.predicted.jsonl"}
    assert json_lines.read_jsonl(out / "a.jsonl").complete
    # What is missing is made as soon as it can be, without predicting.
    assert run(make_estimator(detector), videos_of, settings) == []
    assert detector.shown == 12 and (out / "a.overlay.mp4").exists()
    assert "a.mp4 was done before" not in capsys.readouterr().out
    assert run(make_estimator(detector), videos_of, settings) == []
    assert "a.mp4 was done before" in capsys.readouterr().out


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC])
def test_an_error_of_one_file_is_skipped_and_a_full_disk_ends_all(tmp_path, monkeypatch, number):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, count=4)
    write_npz = results.write_npz

    def refusing(path, *arguments):
        if path.name == "a.npz":
            raise OSError(number, "refused")
        write_npz(path, *arguments)

    monkeypatch.setattr(results, "write_npz", refusing)
    both, settings = [tmp_path / "a.mp4", tmp_path / "b.mp4"], make_settings(tmp_path / "out")
    if number == errno.ENOSPC:
        with pytest.raises(OSError, match="the disk is full; make room in"):
            run(make_estimator(), both, settings)
    else:
        assert run(make_estimator(), both, settings) == [f"a.npz: [Errno {number}] refused"]
    assert (tmp_path / "out/b.npz").exists() == (number != errno.ENOSPC)


def test_a_refused_file_of_motion_does_not_keep_others_from_being_written(tmp_path, monkeypatch):
    pytest.importorskip("ezc3d")
    out = tmp_path / "out"
    write_video(tmp_path / "walk.mp4", count=20)
    monkeypatch.setattr(c3d, "LAST_FRAME", 9)
    settings = make_settings(out, motion=("c3d", "trc"), overlay=False)
    failures = run(make_estimator(), [tmp_path / "walk.mp4"], settings)
    assert [line[:17] for line in failures] == ["walk.person0.c3d:", "walk.person1.c3d:"]
    assert "20 frames do not fit into a C3D" in failures[0]
    assert len(list(out.glob("walk.person*.trc"))) == 2 and not list(out.glob("*.c3d"))
    assert len(results.read_npz(out / "walk.npz").frame) == 30
    assert (out / "walk.html").exists() and (out / "walk.jsonl").exists()


def test_people_in_too_few_frames_to_be_followed_are_mentioned(tmp_path, capsys):
    out = tmp_path / "out"
    write_video(tmp_path / "walk.mp4", count=12)
    few = {"walk.mp4": {str(index): [[5, 70, 50, 99]] for index in (2, 7)}}
    run(make_estimator(), [tmp_path / "walk.mp4"], make_settings(out, boxes=few))
    told = capsys.readouterr()
    assert "people: 0" in told.out and "people in 2 of 12 frames" in told.err
    nobody = make_settings(tmp_path / "nobody", boxes={"walk.mp4": {}})
    run(make_estimator(), [tmp_path / "walk.mp4"], nobody)
    assert "there are people" not in capsys.readouterr().err


def test_a_video_of_which_few_frames_are_used(tmp_path, capsys):
    out = tmp_path / "out"
    write_video(tmp_path / "walk.mp4", count=40, fps=10.0)
    run(make_estimator(), [tmp_path / "walk.mp4"], make_settings(out, every=13))
    found = results.read_npz(out / "walk.npz")
    standing = results.keep(found, found.poses_px[:, 0, 0] < 60)
    assert standing.frame.tolist() == [13, 26, 39] and len(set(standing.track.tolist())) == 1
    assert "there are people" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("frames", "fps", "times"),
    [([7, 17, 27], 30.0, [7 / 30, 27 / 30]), ([20, 30, 40], 10.0, [2.0, 4.0])],
)
def test_motion_is_timed_by_the_video(tmp_path, frames, fps, times):
    poses = np.zeros((1, len(NAMES), 3), np.float32)
    points, sure = poses[..., :2], poses[..., 0]
    one, box = np.zeros(1, np.int32), np.zeros((1, 5), np.float32)
    sequence = results.join(
        results.blank(NAMES, EDGES, {}, fps),
        [results.Frame(index, index / fps, one, box, poses, points, sure) for index in frames],
    )
    motion_files.write(tmp_path / "a", sequence, ("trc",), failures := [])
    assert failures == []
    rows = (tmp_path / "a.person0.trc").read_text().splitlines()[6:]
    seen = [float(row.split("\t")[1]) for row in rows if row.split("\t")[2]]
    assert len(seen) == 3 and [seen[0], seen[-1]] == pytest.approx(times, abs=1e-6)


def test_results_tell_when_uneven_frames_are_shown(tmp_path, capsys):
    path, out = Path(__file__).parents[1] / "media/assets/uneven.mp4", tmp_path / "out"
    boxes = {"uneven.mp4": {str(index): [[20, 4, 20, 40]] for index in range(30)}}
    settings = make_settings(out, boxes=boxes, motion=("bvh",))
    assert run(make_estimator(), [path], settings) == []
    expected_s = np.arange(30) * 0.04 + np.maximum(0, np.arange(30) - 10) * 0.06
    found = results.read_npz(out / "uneven.npz")
    np.testing.assert_allclose(found.time_s, expected_s, atol=1e-6)
    assert found.fps == pytest.approx(29 / expected_s[-1])
    lines = json_lines.read_jsonl(out / "uneven.jsonl")
    np.testing.assert_allclose(lines.seen_s, expected_s, atol=1e-6)
    assert lines.sequence.fps == found.fps
    assert "uneven: frames come at uneven times" in capsys.readouterr().err
    motion = (out / "uneven.person0.bvh").read_text().splitlines()
    assert f"Frame Time: {expected_s[-1] / 29:.9f}" in motion
    arrays = (out / "uneven.npz").read_bytes()
    lines = (out / "uneven.predicted.jsonl").read_bytes().splitlines(keepends=True)
    (out / "uneven.predicted.jsonl").write_bytes(b"".join(lines[:14]) + lines[14][:20])
    (out / "uneven.jsonl").unlink()
    assert run(make_estimator(), [path], settings) == []  # continued after a stop
    assert (out / "uneven.npz").read_bytes() == arrays
    assert videos.open_file(out / "uneven.overlay.mp4").fps == pytest.approx(found.fps, rel=1e-3)


def walk(times_s: np.ndarray, frames: np.ndarray, fps: float) -> results.Sequence:
    """Somebody whose joints move along x at 1000 mm/s, seen in some frames."""
    one, box, points = np.zeros(1, np.int32), np.zeros((1, 5), np.float32), np.zeros((1, 6, 2))
    here = [
        results.Frame(
            index, float(times_s[index]), one, box, np.full((1, 6, 3), 1000 * times_s[index], "f4"),
            points.astype(np.float32), np.zeros((1, 6), np.float32),
        )
        for index in frames.tolist()
    ]  # fmt: skip
    return results.join(results.blank(NAMES, EDGES, {}, fps), here)


def read_trc(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times in s and x of the first joint in mm, NaN where it is missing."""
    rows = [row.split("\t") for row in path.read_text().splitlines()[6:]]
    return np.array([[float(row[1]), float(row[2] or "nan")] for row in rows]).T


@pytest.mark.parametrize("every", [1, 3])
def test_motion_of_uneven_frames_is_resampled_to_their_mean_rate(tmp_path, capsys, every):
    times_s = np.cumsum(np.where(np.arange(60) % 20 < 10, 0.1, 0.04))
    times_s -= times_s[0]
    frames = np.arange(0, 60, every)
    frames = frames[(frames < 24) | (frames > 36)]  # out of sight for a while
    sequence = walk(times_s, frames, 59 / times_s[-1])
    motion_files.write(tmp_path / "a", sequence, ("trc",), failures := [])
    assert failures == []
    assert "a: frames come at uneven times" in capsys.readouterr().err
    time_s, x_mm = read_trc(tmp_path / "a.person0.trc")
    np.testing.assert_allclose(np.diff(time_s), every * times_s[-1] / 59, atol=2e-6)
    assert abs(time_s[0]) < 1e-6 and abs(time_s[-1] - times_s[frames[-1]]) < 0.05 * every
    hidden = (time_s > times_s[24 - every] + 0.1 * every) & (
        time_s < times_s[36 + every] - 0.1 * every
    )
    assert np.isnan(x_mm[hidden]).all() and hidden.sum() > 1
    there = ~np.isnan(x_mm)
    assert there.mean() > 0.7
    inside = there & (time_s < times_s[24 - every])
    np.testing.assert_allclose(x_mm[inside], 1000 * time_s[inside], atol=0.01)
    even = walk(np.arange(60) / 30, frames, 30.0)
    motion_files.write(tmp_path / "b", even, ("trc",), [])
    assert not capsys.readouterr().err


def test_a_camera_is_recorded_in_its_time(tmp_path, monkeypatch):
    def frames():
        for index in (0, 1, 2, 5, 6, 9, 10, 11):
            while detector.shown < len(shown):  # slower than the network
                time.sleep(0.001)
            shown.append(index)
            yield videos.Frame(index, make_image(100 + 3 * index), index / 10)

    detector, shown = Detector(), []
    camera = videos.Video(10.0, None, frames())
    monkeypatch.setattr(videos, "open_camera", lambda index: camera)
    run(make_estimator(detector), ["3"], make_settings(tmp_path, motion=("trc",)))
    (npz,) = tmp_path.glob("camera3-*.npz")
    found = results.read_npz(npz)
    assert found.frame.tolist() == shown and set(found.track.tolist()) == {0}
    assert found.frame_count == 12
    overlay = next(tmp_path.glob("camera3-*.overlay.mp4"))
    assert len(list(videos.open_file(overlay).frames)) == 12
    assert len(list(tmp_path.glob("camera3-*.person0.trc"))) == 1


def test_ctrl_c_ends_a_camera_well(tmp_path, monkeypatch):
    def frames():
        for index in range(10**6):
            time.sleep(0.005)
            yield videos.Frame(index, make_image(100), index / 10)

    camera = videos.Video(10.0, None, frames())
    monkeypatch.setattr(videos, "open_camera", lambda index: camera)
    run(make_estimator(Detector(stop_after=5)), ["0"], make_settings(tmp_path))
    (npz,) = tmp_path.glob("camera0-*.npz")
    assert len(results.read_npz(npz).frame) == 5


def test_motion_of_images_is_refused_before_anything_is_done(photos, tmp_path):
    with pytest.raises(ValueError, match="images only"):
        run(make_estimator(), [photos], make_settings(tmp_path / "out", motion=("bvh",)))
    with pytest.raises(ValueError, match="bvh, trc, c3d, not 'fbx'"):
        run(make_estimator(), [photos], make_settings(tmp_path / "out", motion=("fbx",)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9"), "take_12:30", "-i", "a%03d"])
def test_inputs_of_any_name_have_all_their_results(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "walk.mp4", count=6)
    os.rename("walk.mp4", f"{name}.mp4")  # noqa: PTH104
    Image.fromarray(make_image(40)).save("photo.png")
    os.rename("photo.png", f"{name}.png")  # noqa: PTH104
    settings = make_settings(Path(), motion=("bvh", "trc", "c3d"))
    for _ in range(2):  # done, and left as it is
        assert run(make_estimator(), ["."], settings) == []
    kinds = (".npz", ".jsonl", ".html", ".overlay.mp4", ".person0.bvh", ".person0.trc")
    for kind in (*kinds, ".person0.c3d"):
        assert Path(f"{name}{kind}").stat().st_size > 300
    assert Path("overlays", f"00000_{name}.jpg").exists()
    assert len(list(videos.open_file(f"{name}.overlay.mp4").frames)) == 6
    assert json_lines.read_jsonl("images.jsonl").sources == (str(Path(f"{name}.png").absolute()),)
