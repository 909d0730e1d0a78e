"""The command line of predict."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from red_people import Detector, make_estimator, make_image, write_video

import acae_jax
from acae_jax import command_line, predict
from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.images import decoding
from acae_jax.media import recorder
from acae_jax.recordings import json_lines, results


@pytest.fixture
def command(monkeypatch):
    """Runs the command line with the simple estimator."""
    detector = Detector()
    opened = []

    def load(folder=None):
        opened.append(folder)
        return make_estimator(detector)

    def run(*arguments: object) -> int:
        return predict.main([*map(str, arguments)])

    monkeypatch.setattr(acae_jax, "load", load)
    run.detector, run.opened = detector, opened
    return run


def test_a_photograph(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(make_image(40)).save("photo.jpg")
    assert command("photo.jpg") == 0
    assert command.opened == [None]
    found = results.read_npz("predictions/images.npz")
    assert found.poses_mm.shape == (1, 6, 3) and set(found.skeletons) == {"six"}
    assert Path("predictions/overlays/00000_photo.jpg").exists()
    assert Path("predictions/images.html").exists()


def test_a_packaged_model_by_its_name(tmp_path):
    Image.fromarray(make_image(40)).save(tmp_path / "photo.jpg")
    boxes = {"photo.jpg": [[30, 30, 40, 60]]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    arguments = [f"{tmp_path}/photo.jpg", f"--boxes={tmp_path}/boxes.json", f"--out={tmp_path}/out"]
    assert predict.main([*arguments, "--bundle=embedded", "--skeleton=all"]) == 0
    joint_names = acae_jax.load("embedded").per_skeleton_joint_names[""]
    poses_mm = results.read_npz(tmp_path / "out/images.npz").poses_mm
    assert poses_mm.shape == (1, len(joint_names), 3)


def test_a_system_without_alarm_signals(tmp_path, monkeypatch, command):
    for name in ("SIGALRM", "setitimer", "ITIMER_REAL"):  # as on Windows
        monkeypatch.delattr(signal, name)
    Image.fromarray(make_image(40)).save(tmp_path / "photo.jpg")
    assert command(tmp_path / "photo.jpg", f"--out={tmp_path}/out") == 0

    def _xla_gc_callback():
        return command_line.can_bear_an_interrupt(sys._getframe())

    assert _xla_gc_callback()


@pytest.mark.parametrize(
    ("lens", "message"),
    [
        ({}, "lens.json has no intrinsic_matrix"),
        ({"intrinsic_matrix": [[[500, 0, 9], [0, 500, 9], [0, 0, 1]]]}, "give [[fx, skew, cx]"),
        ({"intrinsic_matrix": {"fx": 600}}, "intrinsic_matrix must be an array of numbers"),
        ({"intrinsic_matrix": [[500, 0, 9], [0, "f", 9], [0, 0, 1]]}, "array of numbers"),
        ({"intrinsic_matrix": [[500, 0, 9], [0, np.nan, 9], [0, 0, 1]]}, "must be finite"),
        ({"intrinsic_matrix": [[500, 0, 0], [0, 500, 0], [9, 9, 1]]}, "give [[fx, skew, cx]"),
        ({"distortion_coeffs": [[0.1, 0, 0, 0]]}, "distortion_coeffs has shape (1, 4)"),
        ({"distortion_coeffs": [0.1, 0, 0]}, "3 coefficients; give 4, 5, 8 or 12"),
        ({"distortion_coeffs": [0.1, 0, 0, np.inf]}, "must be finite"),
    ],
)
def test_a_wrong_lens_is_one_line_before_the_model_is_opened(
    tmp_path, capsys, command, lens, message
):
    Image.fromarray(make_image(40)).save(tmp_path / "photo.jpg")
    if "distortion_coeffs" in lens:
        lens = {"intrinsic_matrix": [[500, 0, 9], [0, 500, 9], [0, 0, 1]], **lens}
    (tmp_path / "lens.json").write_text(json.dumps(lens))
    arguments = tmp_path / "photo.jpg", f"--out={tmp_path}/out"
    assert command(*arguments, f"--intrinsics={tmp_path}/lens.json") == 1
    error = capsys.readouterr().err
    assert f"error: {tmp_path}/lens.json" in error and message in error and error.count("\n") == 1
    assert command.opened == []


def test_the_flags_reach_the_work(tmp_path, command):
    Image.fromarray(make_image(40, 200)).save(tmp_path / "photo.png")
    lens = {"intrinsic_matrix": [[500, 0, 159.5], [0, 500, 119.5], [0, 0, 1]]}
    (tmp_path / "lens.json").write_text(json.dumps(lens))
    photo = tmp_path / "photo.png"
    intrinsics, all_joints = f"--intrinsics={tmp_path}/lens.json", "--skeleton=all"
    assert command(photo, f"--out={tmp_path}/a", intrinsics, "--max_people=1", "--num_aug=2") == 0
    metadata = json_lines.read_jsonl(tmp_path / "a/images.jsonl").metadata
    assert metadata["intrinsic_matrix"] == lens["intrinsic_matrix"] and metadata["num_aug"] == 2
    assert metadata["max_detections"] == 1
    assert command(photo, f"--out={tmp_path}/b", all_joints, "--bundle=mine", "--no-overlay") == 0
    assert str(command.opened[-1]) == "mine" and not (tmp_path / "b/overlays").exists()
    assert set(results.read_npz(tmp_path / "b/images.npz").skeletons) == {"six", "legs"}
    boxes = {"photo.png": [[1, 2, 30, 40]]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    shown = command.detector.shown
    assert command(photo, f"--out={tmp_path}/c", f"--boxes={tmp_path}/boxes.json") == 0
    assert command.detector.shown == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.jpg"], "there is no file or folder nothing.jpg"),
        (["text.jpg"], "text.jpg is no image"),
        (["photo.jpg", "--skeleton=mine"], "no skeleton 'mine'"),
        (["photo.jpg", "--motion=bvh"], "images only"),
        (["photo.jpg", "--num_aug=0"], "--num_aug is 0; give 1 to 1000"),
        (["photo.jpg", "--max_people=0"], "--max_people is 0"),
        (["photo.jpg", "--max_people=-2"], "--max_people is -2"),
        (["photo.jpg", "--intrinsics=text.jpg"], "text.jpg is not JSON"),
        (["photo.jpg", "--intrinsics=empty.json"], "intrinsic_matrix"),
        (["photo.jpg", "--boxes=empty.json"], "the boxes hold nothing"),
    ],
)
def test_what_is_wrong_is_one_line_and_code_1(
    tmp_path, monkeypatch, capsys, command, arguments, message
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(make_image(40)).save("photo.jpg")
    Path("text.jpg").write_text("no image")
    Path("empty.json").write_text("{}")
    assert command(*arguments) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_without_arguments_usage_is_shown(command, capsys):
    with pytest.raises(SystemExit, match="2"):
        command()
    assert "usage" in capsys.readouterr().err


def test_ctrl_c_is_code_130_and_the_same_command_continues(tmp_path, capsys, command):
    write_video(tmp_path / "walk.mp4", count=30)
    arguments = (tmp_path / "walk.mp4", f"--out={tmp_path}/out", "--every=2")
    command.detector.stop_after = 9
    assert command(*arguments) == 130
    assert "the same command continues" in capsys.readouterr().err
    command.detector.stop_after = None
    assert command(*arguments) == 0
    assert results.read_npz(tmp_path / "out/walk.npz").frame.tolist()[-1] == 28


def test_ctrl_c_within_the_garbage_collectors_callback_is_not_lost(tmp_path, command):
    write_video(tmp_path / "walk.mp4", count=30)
    detect = command.detector.__class__.__call__

    def _xla_gc_callback():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    def interrupted(self, *arguments):
        if self.shown == 0:
            _xla_gc_callback()
            time.sleep(0.2)
        return detect(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(command.detector), "__call__", interrupted)
        assert command(tmp_path / "walk.mp4", f"--out={tmp_path}/out") == 130


def test_as_installed_on_a_rendered_image_and_video_stopped_and_continued(tmp_path):
    """The packaged model and detector in processes of their own."""
    studio = studios.STUDIOS["embedded_test"]
    record = scenes.make(studio, 5, takes.make(studio, 5, 0), 0)
    person = decoding.decode(record.image)
    Image.fromarray(person).save(tmp_path / "person.png")
    with recorder.Recorder(tmp_path / "walk.mp4", 25.0) as record_video:
        for index in range(40):
            canvas = np.full((200, 320, 3), 127, np.uint8)
            canvas[28:172, 4 * index : 4 * index + 144] = person
            record_video.write(canvas)
    arguments = [sys.executable, "-m", "acae_jax.predict", "walk.mp4", "person.png", "--motion=bvh"]
    environment = os.environ | {"PYTHONPATH": str(Path(acae_jax.__file__).parents[1])}
    begun = tmp_path / "predictions/walk.predicted.jsonl"
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment, stderr=-1, text=True
    ) as stopped:
        while stopped.poll() is None:
            if begun.exists() and begun.read_bytes().count(b"\n") > 1:
                stopped.send_signal(signal.SIGINT)
                break
            time.sleep(0.002)
        error = stopped.communicate()[1]
    assert stopped.returncode == 130 and "the same command continues" in error
    done = len(json_lines.read_jsonl(begun).seen)
    assert 0 < done < 40
    subprocess.run(arguments, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert results.read_npz(tmp_path / "predictions/images.npz").track.tolist() == [0]
    walks = results.read_npz(tmp_path / "predictions/walk.npz")
    assert walks.frame_count == 40 and np.bincount(walks.track)[0] >= 30
    moved_px = np.diff(walks.poses_px[walks.track == 0].mean(1)[:, 0])
    assert abs(float(np.median(moved_px)) - 4) < 1
    assert (tmp_path / "predictions/walk.person0.bvh").exists()
