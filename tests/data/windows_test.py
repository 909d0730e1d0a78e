"""Tracks are stored and come back; windows of them are records."""

import numpy as np
import pytest

from acae_jax.data import schema, sources, track_record
from acae_jax.data.track_record import TrackRecord
from acae_jax.data.windows import Windows
from acae_jax.datasets import writer

NAMES = ("pelvis", "head")


def track(frames, key="s1/walk/camera0", is_3d=True, first=0.0):
    """A track whose joints tell the number of their frame."""
    time = np.arange(frames, dtype=np.float32) + first
    return TrackRecord(
        joints_px=np.broadcast_to(time[:, None, None], (frames, 2, 2)).copy(),
        confidence=np.zeros((0, 0), np.float32),
        joints_mm=np.broadcast_to(time[:, None, None], (frames if is_3d else 0, 2, 3)).copy()
        if is_3d
        else np.zeros((0, 0, 3), np.float32),
        times_us=40_000 * time.astype(np.int64),
        intrinsics=np.array([[500, 0, 320], [0, 500, 240], [0, 0, 1]], np.float32),
        distortion=np.zeros(0, np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        image_px=np.array([640, 480], np.float32),
        frames_per_second=25.0,
        layout="toy_px",
        key=key,
        format="toy" if is_3d else "",
        clip="walk",
        person="s1",
    )


def test_tracks_are_stored_and_come_back(tmp_path):
    stored = {"a": track(7), "b": track(3, is_3d=False)}
    writer.write(
        tmp_path,
        "tracks",
        "1.0.0",
        {"train": lambda: [record._replace(key=key) for key, record in stored.items()]},
        description="",
        joint_names={"toy_px": NAMES, "toy": NAMES},
        schema=track_record.SCHEMA,
    )
    source = sources.open("tracks", tmp_path, "train", track_record.SCHEMA)
    assert len(source) == 2 and source.joint_names == {"toy_px": NAMES, "toy": NAMES}
    for record in source:
        for name, value in stored[record.key]._replace(key=record.key)._asdict().items():
            np.testing.assert_array_equal(getattr(record, name), value, err_msg=name)
            assert type(getattr(record, name)) is type(value)
    with pytest.raises(ValueError, match="not a record: it has no field image"):
        sources.open("tracks", tmp_path, "train")[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times_us": np.zeros(7, np.int64)}, "times_us must be increasing"),
        ({"times_us": np.arange(6)}, "times_us has 6 frames, but joints_px has 7"),
        ({"confidence": np.ones((7, 3), np.float32)}, r"confidence must have shape \(7, 2\)"),
        ({"format": ""}, "joints_mm and format must be given together"),
        ({"frames_per_second": 0.0}, "frames_per_second must be positive"),
        ({"frames_per_second": 25}, "frames_per_second must be float, got 25"),
        ({"image_px": np.zeros(2, np.float32)}, "image_px must be width and height"),
    ],
)
def test_a_track_that_makes_no_sense_is_named(changes, message):
    with pytest.raises(ValueError, match=rf"record 's1/walk/camera0': {message}"):
        schema.check(track_record.SCHEMA, track(7)._replace(**changes))


def test_windows_lie_around_every_stride_th_frame_and_repeat_the_borders():
    windows = Windows([track(5), track(1, "other", is_3d=False, first=50)], 2, 1, stride=2)
    assert isinstance(windows, sources.Records) and len(windows) == 3 + 1
    middles = [window.joints_px[:, 0, 0].tolist() for window in windows]
    assert middles == [[0, 0, 0, 1], [0, 1, 2, 3], [2, 3, 4, 4], [50, 50, 50, 50]]
    np.testing.assert_array_equal(windows[1].joints_mm[:, 1, 2], [0, 1, 2, 3])
    assert windows[3].joints_mm.shape == (0, 0, 3)
    np.testing.assert_array_equal(windows[0].times_us, [-80_000, -40_000, 0, 40_000])
    assert windows[2].key == "s1/walk/camera0/000004" and windows[2].first_frame == 2
    assert windows[-1].key == windows[3].key
    with pytest.raises(IndexError, match="there are 4 windows, and no window 4"):
        windows[4]
    with pytest.raises(ValueError, match="stride at least 1, got 2, 1 and 0"):
        Windows([], 2, 1, stride=0)
