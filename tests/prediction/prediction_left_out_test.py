"""One output that cannot be written is named and left out; all else is there, now and later."""

from pathlib import Path

import pytest
from PIL import Image
from red_people import Detector, make_estimator, make_image, write_video

from acae_jax.media import inputs, recorder, videos
from acae_jax.prediction import estimates, motion_files, outputs, pipeline
from acae_jax.recordings import json_lines, results
from acae_jax.viewer import html_page

LONG = f"{'n' * 246}.png"  # its picture's name would have 256 bytes, one too many


def run(detector: Detector, paths: list[Path], out: Path, motion=()) -> list[str]:
    finish = outputs.OutputSettings(True, True, motion, 55.0, None, None)
    detect = {"detector_threshold": 0.3}
    settings = estimates.PredictionSettings(out, {"skeleton": "six"}, detect, None, 1, finish)
    found = inputs.find([str(path) for path in paths], out)
    return pipeline.run(make_estimator(detector), found, settings)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def save(path: Path) -> Path:
    Image.fromarray(make_image(40)).save(path)
    return path


def test_a_picture_whose_name_is_too_long(tmp_path, capsys):
    photos = [save(tmp_path / LONG), save(tmp_path / "b.png")]
    out, detector = tmp_path / "o", Detector()
    (failure,) = run(detector, photos, out)
    assert failure.startswith(f"picture of {LONG}: ") and "File name too long" in failure
    assert f"left out: {failure}" in capsys.readouterr().err
    assert names(out) == {"images.jsonl", "images.npz", "images.html", "overlays"}
    assert names(out / "overlays") == {"00001_b.jpg"}
    assert results.read_npz(out / "images.npz").frame.tolist() == [0, 1]
    # The same command goes on from there.
    assert run(detector, [*photos, save(tmp_path / "c.png")], out) == []
    assert detector.shown == 3 and names(out / "overlays") == {"00001_b.jpg", "00002_c.jpg"}


def test_a_file_where_the_pictures_go(tmp_path):
    photos = [save(tmp_path / "a.png"), save(tmp_path / "b.png")]
    out, detector = tmp_path / "o", Detector()
    out.mkdir()
    (out / "overlays").write_text("mine")
    (failure,) = run(detector, photos, out)  # told once
    assert failure.startswith("overlays/: ") and "File exists" in failure
    assert names(out) == {"images.jsonl", "images.npz", "images.html", "overlays"}
    assert (out / "overlays").read_text() == "mine"
    assert run(detector, photos, out) == [] and detector.shown == 2


@pytest.mark.parametrize("name", ["images.npz", "images.html"])
def test_a_folder_where_a_file_of_images_goes(tmp_path, name):
    photos = [save(tmp_path / "a.png"), save(tmp_path / "b.png")]
    out, detector = tmp_path / "o", Detector()
    (out / name).mkdir(parents=True)
    for _ in range(2):
        (failure,) = run(detector, photos, out)
        assert failure.startswith(f"{name}: ")
        files = {"images.jsonl", "images.npz", "images.html"} - {name}
        assert all((out / file).is_file() for file in files) and len(names(out / "overlays")) == 2
    (out / name).rmdir()
    assert run(detector, photos, out) == []
    assert (out / name).is_file() and detector.shown == 2


def test_images_whose_poses_cannot_be_kept_do_not_keep_a_video_from_being_predicted(tmp_path):
    out, detector = tmp_path / "o", Detector()
    (out / "images.jsonl").mkdir(parents=True)
    write_video(tmp_path / "walk.mp4", count=4)
    (failure,) = run(detector, [save(tmp_path / "a.png"), tmp_path / "walk.mp4"], out)
    assert "images.jsonl" in failure and (out / "walk.npz").is_file()


FILES = ("npz", "jsonl", "html", "overlay.mp4", "person0.trc", "person0.bvh")


@pytest.mark.parametrize("kind", FILES)
def test_a_folder_where_a_file_of_a_video_goes(tmp_path, kind):
    out, detector = tmp_path / "o", Detector()
    write_video(tmp_path / "walk.mp4", count=6)
    (out / f"walk.{kind}" / "inside").mkdir(parents=True)
    failures = run(detector, [tmp_path / "walk.mp4"], out, motion=("trc", "bvh"))
    assert [line.split(":")[0] for line in failures] == [f"walk.{kind}"]
    assert all((out / f"walk.{other}").is_file() for other in FILES if other != kind)
    assert run(detector, [tmp_path / "walk.mp4"], out, motion=("trc", "bvh")) == failures
    (out / f"walk.{kind}" / "inside").rmdir()
    (out / f"walk.{kind}").rmdir()
    assert run(detector, [tmp_path / "walk.mp4"], out, motion=("trc", "bvh")) == []
    assert detector.shown == 6 and all((out / f"walk.{other}").is_file() for other in FILES)


def test_errors_that_nobody_foresaw_keep_their_type(tmp_path, monkeypatch):
    def refusing(*arguments, **options):
        raise KeyError("pelv")

    monkeypatch.setattr(html_page, "write", refusing)
    failures = run(Detector(), [save(tmp_path / "a.png")], tmp_path / "o")
    assert failures == ["images.html: KeyError: 'pelv'"]


def test_a_camera_whose_video_cannot_be_written_is_recorded_on(tmp_path, monkeypatch):
    images = [make_image(20 + 10 * index) for index in range(6)]
    frames = ((index, image, index / 10) for index, image in enumerate(images))
    camera = videos.Video(10.0, None, (videos.Frame(*frame) for frame in frames))
    monkeypatch.setattr(videos, "open_camera", lambda index: camera)
    monkeypatch.setattr(pipeline.prefetch, "newest", lambda frames: frames)

    def refusing(self, image):
        raise OSError("no codec")

    monkeypatch.setattr(recorder.Recorder, "write", refusing)
    detector, out, failures = Detector(), tmp_path / "o", []
    out.mkdir()
    finish = outputs.OutputSettings(True, True, ("trc",), 55.0, None, None)
    settings = estimates.PredictionSettings(out, {"skeleton": "six"}, {}, None, 1, finish)
    pipeline.predict_camera(make_estimator(detector), 0, settings, failures)
    assert len(failures) == 1 and failures[0].endswith(".overlay.mp4: no codec")
    (recorded,) = out.glob("camera0-*.jsonl")
    assert json_lines.read_jsonl(recorded).seen.tolist() == list(range(6))
    assert len(list(out.glob("camera0-*.npz"))) == len(list(out.glob("camera0-*.html"))) == 1


def test_motion_of_unknown_kinds_is_refused():
    with pytest.raises(ValueError, match="bvh, trc, c3d, not 'fbx'"):
        motion_files.check(("fbx",), moving=True)
