"""Predicting images, videos and cameras with a real estimator around simple red people."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from red_people import EDGES, NAMES, Detector, make_estimator, make_image, write_video

from acae_jax.inference import finishing, recording, results, running
from acae_jax.inference.estimator import Estimator
from acae_jax.media import inputs, stills, videos


def make_settings(out: Path, **changes) -> running.Settings:
    finish = finishing.Settings(True, True, (), 55.0, None, None)
    finish = finish._replace(**{k: changes.pop(k) for k in list(changes) if k in finish._fields})
    plain = running.Settings(out, {"skeleton": "six"}, {"detector_threshold": 0.3}, None, 1, finish)
    return plain._replace(**changes)


def run(estimator: Estimator, arguments: list[Path | str], settings: running.Settings) -> list[str]:
    found = inputs.find([str(argument) for argument in arguments], settings.out)
    return running.run(estimator, found, settings)


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
    lines = recording.read_jsonl(out / "images.jsonl")
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
    monkeypatch.setattr(running, "BATCH", 2)
    with pytest.raises(KeyboardInterrupt):
        run(make_estimator(Detector(stop_after=4)), [folder], make_settings(out))
    assert recording.read_jsonl(out / "images.jsonl").seen.tolist() == [0, 1, 2, 3]
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
    lines = recording.read_jsonl(out / "walk.jsonl")
    assert lines.complete and lines.seen.tolist() == list(range(40))
    overlay = videos.open_file(out / "walk.overlay.mp4")
    assert (overlay.fps, overlay.frame_count) == (20.0, 40)
    _, image = next(overlay.frames)
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
    monkeypatch.setattr(running, "BATCH", 4)
    run(make_estimator(), [path], make_settings(tmp_path / "whole", every=3))
    detector = Detector(stop_after=9)
    with pytest.raises(KeyboardInterrupt):
        run(make_estimator(detector), [path], make_settings(tmp_path / "out", every=3))
    kept = recording.read_jsonl(tmp_path / "out" / "walk.predicted.jsonl")
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


def test_a_camera_is_recorded_in_its_time(tmp_path, monkeypatch):
    def frames():
        for index in (0, 1, 2, 5, 6, 9, 10, 11):
            while detector.shown < len(shown):  # slower than the network
                time.sleep(0.001)
            shown.append(index)
            yield index, make_image(100 + 3 * index)

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
            yield index, make_image(100)

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
