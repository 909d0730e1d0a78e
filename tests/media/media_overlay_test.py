import itertools
import os
import resource

import numpy as np
import pytest

from acae_jax.media import overlay, recorder, videos

NAMES = ("lsho", "rsho", "pelv")
EDGES = ((0, 2), (1, 2))


def draw(
    poses_px,
    depths_mm=4000.0,
    uncertainty_mm=50.0,
    numbers=None,
    size=(600, 800),
    names=NAMES,
    **options,
):
    poses_px = np.array(poses_px, np.float32)
    n, J = poses_px.shape[:2]
    image = np.full((*size, 3), 120, np.uint8)
    depths, uncertainty = (
        np.broadcast_to(np.asarray(value, np.float32), (n, J)).copy()
        for value in (depths_mm, uncertainty_mm)
    )
    numbers = np.arange(n) if numbers is None else np.array(numbers)
    return overlay.draw(
        image, poses_px, depths, uncertainty, numbers.astype(np.int32), names, EDGES, **options
    )


POSE = [[200, 200], [400, 200], [300, 500]]


def nearness(pixel: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float(np.abs(pixel.astype(int) - colour).max())


def test_bones_lie_between_their_joints_and_nothing_is_drawn_elsewhere():
    drawn = draw([POSE])
    changed = (np.abs(drawn.astype(int) - 120) > 10).any(-1)
    rows, columns = np.nonzero(changed)
    assert changed[350, 250] and changed[350, 350] and not changed[350, 300]
    assert columns.min() > 170 and columns.max() < 430 and rows.max() < 530
    assert changed[:, 600:].sum() == 0
    # The right side has the person's colour, the left a lighter one.
    assert nearness(drawn[350, 350], overlay.colour(0)) < 45
    assert drawn[350, 250].sum() > drawn[350, 350].sum() + 60


def test_sides_may_be_spelled_as_coco_does():
    for names in (("left_sho", "right_sho", "lower"), ("sho.L", "sho.R", "root")):
        np.testing.assert_array_equal(draw([POSE], names=names), draw([POSE]))


def test_joints_that_are_unsure_are_drawn_darker_and_their_bones_thinner():
    sure, unsure = draw([POSE]), draw([POSE], uncertainty_mm=300.0)
    assert sure[500, 300].min() > 220 and unsure[500, 300].max() < 160
    width = [(np.abs(image[350].astype(int) - 120) > 10).any(-1).sum() for image in (sure, unsure)]
    assert width[1] < 0.75 * width[0]
    np.testing.assert_array_equal(draw([POSE], uncertainty_mm=np.nan), sure)


def test_the_nearer_of_two_is_on_top():
    crossed = [[400, 200], [200, 200], [300, 500]]
    for depths, front in (([[3000], [5000]], 0), ([[5000], [3000]], 1)):
        drawn = draw([POSE, crossed], depths)
        assert nearness(drawn[350, 350], overlay.colour(front)) < nearness(
            drawn[350, 350], overlay.colour(1 - front)
        )


def test_nearer_joints_are_larger():
    drawn = draw([[[200, 200], [600, 200], [400, 500]]], [[2500, 6000, 4000]])
    left, right = (
        np.all(part[150:250] > 200, axis=-1).sum() for part in (drawn[:, :300], drawn[:, 500:])
    )
    assert left > 1.5 * right


def test_a_number_keeps_its_colour_and_neighbours_differ():
    np.testing.assert_array_equal(
        draw([POSE, POSE], numbers=[3, 3]), draw([POSE, POSE], numbers=[3, 3])
    )
    colours = [overlay.colour(number) for number in range(12)]
    assert len(set(colours)) == 12
    apart = [nearness(np.array(a), b) for a, b in itertools.pairwise(colours)]
    assert min(apart) > 60


@pytest.mark.parametrize(
    "pose",
    [
        [[np.nan, 200], [400, 200], [300, 500]],
        [[np.nan] * 2] * 3,
        [[-1e9, 200], [400, 1e9], [300, 500]],
        [[-300, 200], [1400, 200], [300, 900]],
    ],
)
def test_joints_outside_or_missing_are_no_trouble(pose):
    assert draw([pose]).shape == (600, 800, 3)


def test_nobody_and_sizes():
    nobody = draw(np.zeros((0, 3, 2)))
    assert (nobody == 120).all()
    large = draw([[[2000, 2000], [4000, 2000], [3000, 5000]]], size=(6000, 8000))
    assert large.shape == (1440, 1920, 3)
    assert (np.abs(large[840, 840].astype(int) - 120) > 10).any()  # (3500, 3500) of the original
    assert draw([[[1, 1], [9, 1], [5, 9]]], size=(12, 10)).shape == (480, 400, 3)
    assert draw([[[0, 0], [0, 0], [0, 0]]], size=(1, 1)).shape == (480, 480, 3)


def test_a_recording_has_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "a.overlay.mp4"
    with pytest.raises(KeyError), recorder.Recorder(path, 10.0) as record:
        for _ in range(7):
            record.write(np.full((61, 81, 3), 200, np.uint8))
        assert not path.exists()
        raise KeyError
    video = videos.open_file(path)
    frames = list(video.frames)
    assert (video.fps, len(frames)) == (10.0, 7)
    assert frames[0][1].shape == (60, 80, 3) and abs(float(frames[0][1].mean()) - 200) < 4
    with recorder.Recorder(tmp_path / "none.mp4", 10.0):
        pass
    assert not (tmp_path / "none.mp4").exists()


@pytest.mark.parametrize(
    "name", [os.fsdecode(b"caf\xe9.mp4"), "take_12:30.mp4", "-i.mp4", "a%03d.mp4"]
)
def test_recordings_have_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with recorder.Recorder(name, 10.0) as record:
        for _ in range(3):
            record.write(np.zeros((48, 64, 3), np.uint8))
    assert os.listdir() == [name]  # noqa: PTH208
    assert len(list(videos.open_file(name).frames)) == 3


def test_a_recording_that_cannot_be_written(tmp_path):
    with (
        pytest.raises(OSError, match="cannot write"),
        recorder.Recorder(tmp_path / "no/a.mp4", 9.0) as record,
    ):
        record.write(np.zeros((60, 80, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fps", [1e-4, 0.0333, 1.0, 23.976, 59.94, 65.5357, 90.123, 119.783, 239.813, 655.357, 999.9]
)
def test_any_rate_can_be_written_and_long_videos_stay_in_time(tmp_path, fps):
    with recorder.Recorder(tmp_path / "a.mp4", fps) as record:
        for _ in range(3):
            record.write(np.zeros((48, 64, 3), np.uint8))
    assert videos.open_file(tmp_path / "a.mp4").frame_count == 3
    if fps >= 1:
        assert videos.open_file(tmp_path / "a.mp4").fps == pytest.approx(fps, rel=1e-4)


def test_a_disk_that_fills_up_leaves_no_broken_video(tmp_path):
    rng = np.random.default_rng(0)
    usual, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with (
            pytest.raises(OSError, match="disk full"),
            recorder.Recorder(tmp_path / "a.mp4", 25.0) as record,
        ):
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))
            for _ in range(30):
                record.write(rng.integers(0, 255, (96, 128, 3), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, most))
    assert list(tmp_path.iterdir()) == []
