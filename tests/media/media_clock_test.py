"""When frames are shown, by the clocks of good and of damaged files."""

from pathlib import Path

import numpy as np
import pytest

from acae_jax.media import clock, videos

ASSETS = Path(__file__).with_name("assets")
PERIOD_S = 0.04
EVEN = [i * PERIOD_S for i in range(6)]


def credible(stated_s: list[float]) -> list[float]:
    return list(clock.credible(stated_s, 1 / PERIOD_S))


@pytest.mark.parametrize(
    ("stated_s", "times_s"),
    [
        (EVEN, EVEN),
        ([0.0, 0.5, 1.25, 1.3], [0.0, 0.5, 1.25, 1.3]),  # uneven
        ([7.1, 7.2, 7.5], [0.0, 0.1, 0.4]),  # a cut from a longer one
        ([0.0] * 6, EVEN),  # no clock at all
        ([float("nan")] * 6, EVEN),
        ([0.0, 0.04, 0.08, 0.12, 0.16, 0.0], EVEN),  # the last one is absent, as in AVI and MPEG
        ([0.1, 0.0, 0.18], [0.0, 0.04, 0.08]),  # absent between
        ([0.0, 0.04, 0.04, 0.12], [0.0, 0.04, 0.08, 0.12]),  # twice the same
        ([0.0, 0.04, 0.0401, 0.12], [0.0, 0.04, 0.08, 0.12]),  # nearly
        ([0.0, 0.08, 0.04, 0.16], [0.0, 0.08, 0.12, 0.16]),  # out of order
        ([95_443.7, 95_443.74, 0.02, 0.06], [0.0, 0.04, 0.08, 0.12]),  # the counter overflows
        ([0.0, 0.04, 9000.0, 9000.1], [0.0, 0.04, 0.08, 0.18]),  # set anew while recording
        ([], []),
    ],
)
def test_times_rise_whatever_is_stated(stated_s, times_s):
    assert credible(stated_s) == pytest.approx(times_s, abs=1e-9)


def test_slow_motion_of_hours_is_no_jump():
    assert list(clock.credible([0.0, 60.0, 120.0], 1 / 60)) == [0, 60, 120]


def test_times_follow_frames_one_by_one():
    asked = []

    def stated():
        for time_s in EVEN:
            asked.append(time_s)
            yield time_s

    times = clock.credible(stated(), 1 / PERIOD_S)
    assert [len(asked) for _ in times] == [1, 2, 3, 4, 5, 6]


def test_the_mean_rate_is_the_stated_one_where_they_agree():
    even = np.round(np.arange(100) / 29.97, 3).tolist()  # a clock of whole milliseconds
    assert clock.mean_fps(range(100), even, 29.97) == 29.97
    assert clock.mean_fps([0, 5, 10], [0.0, 2.5, 5.0], 30.0) == 2.0
    assert clock.mean_fps([7], [0.3], 30.0) == 30.0
    assert clock.mean_fps([], [], 30.0) == 30.0


def test_a_file_that_states_30_frames_a_second_but_holds_2():
    # ffmpeg -f lavfi -i testsrc=s=64x48:r=2:d=6 -vf fps=30,mpdecimate -fps_mode vfr FILE
    video = videos.open_file(ASSETS / "two_a_second.mkv")
    assert video.fps == 30
    frames = list(video.frames)  # a warning that it is cut short would be an error
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(12) / 2)
    assert [frame.index for frame in frames] == list(range(12))


@pytest.mark.parametrize(("first", "every"), [(0, 1), (3, 2), (20, 5)])
def test_uneven_times_do_not_depend_on_where_reading_begins(first, every):
    # FILTER: settb=1/1000,setpts='N*40+if(gte(N,10),(N-10)*60,0)'
    expected = np.arange(30) * 0.04 + np.maximum(0, np.arange(30) - 10) * 0.06
    frames = list(videos.open_file(ASSETS / "uneven.mp4", first, every).frames)
    assert [frame.index for frame in frames] == list(range(first, 30, every))
    assert [frame.time_s for frame in frames] == pytest.approx(expected[first::every])
