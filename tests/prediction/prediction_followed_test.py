"""People of a video are followed, and the detector looks at few of its frames."""

import numpy as np
import pytest
from red_people import Detector, make_image, make_seeing_estimator, write_video

from acae_jax.media import inputs, recorder, videos
from acae_jax.prediction import estimates, followed, outputs, pipeline
from acae_jax.recordings import json_lines, results


def run(estimator, source, out, **changes):
    finish = outputs.OutputSettings(True, True, (), 55.0, None, None)
    plain = estimates.PredictionSettings(out, {"skeleton": "six"}, {}, None, 1, finish)
    found = inputs.find([str(source)], out)
    assert pipeline.run(estimator, found, plain._replace(**changes)) == []


def test_the_detector_looks_at_every_seventh_frame_and_finds_who_came(tmp_path):
    """20 frames a second: a third of a second is 7 frames. Somebody comes at frame 10."""
    write_video(tmp_path / "walk.mp4")
    detector = Detector()
    run(make_seeing_estimator(detector), tmp_path / "walk.mp4", tmp_path / "out")
    assert detector.shown == 6
    found = results.read_npz(tmp_path / "out" / "walk.npz")
    walks, stands = (results.keep(found, found.track == track) for track in (0, 1))
    assert walks.frame.tolist() == list(range(40))
    assert stands.frame.tolist() == list(range(14, 40))
    assert np.diff(walks.poses_px[:, 0, 0]) == pytest.approx(3, abs=1.5)
    np.testing.assert_allclose(walks.boxes[:, 0], walks.poses_px[..., 0].min(1), atol=5)


def test_who_is_lost_is_looked_for_at_once(tmp_path):
    with recorder.Recorder(tmp_path / "cut.mp4", 20.0) as record:
        for index in range(12):
            record.write(make_image(40 if index < 4 else 230))
    detector = Detector()
    run(make_seeing_estimator(detector), tmp_path / "cut.mp4", tmp_path / "out")
    assert detector.shown == 3  # at 0, 4 and 7
    recorded = json_lines.read_jsonl(tmp_path / "out" / "cut.predicted.jsonl")
    assert recorded.sequence.frame.tolist() == list(range(12))


@pytest.mark.parametrize("looks", [2, 3, 5])
def test_a_stopped_video_continues_and_gives_the_same(tmp_path, monkeypatch, looks):
    """Detections are at 0, 7, 10, 17, 20, 27, …; it continues from the last group's first frame."""
    write_video(tmp_path / "walk.mp4")
    monkeypatch.setattr(followed, "GROUP", 10)
    run(make_seeing_estimator(), tmp_path / "walk.mp4", tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        stopping = make_seeing_estimator(Detector(stop_after=looks))
        run(stopping, tmp_path / "walk.mp4", tmp_path / "out")
    kept = json_lines.read_jsonl(tmp_path / "out" / "walk.predicted.jsonl")
    assert len(kept.seen) == {2: 10, 3: 17, 5: 27}[looks] and not kept.complete
    detector = Detector()
    run(make_seeing_estimator(detector), tmp_path / "walk.mp4", tmp_path / "out")
    assert detector.shown == 8 - looks // 2 * 2
    for name in ("walk.predicted.jsonl", "walk.jsonl", "walk.npz", "walk.html"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_frames_far_apart_and_boxes_of_the_user_are_predicted_each_by_itself(tmp_path):
    write_video(tmp_path / "walk.mp4")
    detector = Detector()
    run(make_seeing_estimator(detector), tmp_path / "walk.mp4", tmp_path / "few", every=5)
    assert detector.shown == 8
    boxes = {"walk.mp4": {"0": [[100, 70, 50, 100]], "3": [[109, 70, 50, 100]]}}
    run(make_seeing_estimator(detector), tmp_path / "walk.mp4", tmp_path / "own", boxes=boxes)
    assert detector.shown == 8
    recorded = json_lines.read_jsonl(tmp_path / "own" / "walk.predicted.jsonl")
    assert recorded.sequence.frame.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("frames_per_s", "period"), [(0.5, 1), (4.0, 1), (10.0, 3), (25.0, 8), (30.0, 10), (120.0, 10)]
)
def test_the_detector_looks_three_times_a_second(frames_per_s, period):
    assert followed.period(frames_per_s) == period


def test_people_before_a_camera_are_followed(tmp_path, monkeypatch):
    images = (videos.Frame(i, make_image(40 + 3 * i), i / 10) for i in range(10))
    monkeypatch.setattr(videos, "open_camera", lambda index: videos.Video(10.0, None, images))
    monkeypatch.setattr(pipeline.prefetch, "newest", lambda frames: frames)
    detector = Detector()
    run(make_seeing_estimator(detector), "3", tmp_path)
    assert detector.shown == 3  # at 0, 0.4 and 0.8 s
    (npz,) = tmp_path.glob("camera3-*.npz")
    found = results.read_npz(npz)
    assert found.frame.tolist() == list(range(10)) and set(found.track.tolist()) == {0}
