import numpy as np
import pytest

from acae_jax.recordings import results, smoothing

FPS = 30.0
J = 6


def make_motion(frames: np.ndarray, moving: bool = True) -> np.ndarray:
    """Somebody who walks 1.2 m a second with limbs that swing at 0.5 to 2 Hz, or who stands."""
    rng = np.random.default_rng(5)
    phase, reach_mm = rng.uniform(0, 6, (J, 3)), rng.uniform(50, 250, (J, 3))
    hertz = rng.uniform(0.5, 2.0, (J, 1))
    seconds = frames[:, None, None] / FPS * moving
    swing = reach_mm * np.sin(2 * np.pi * hertz * seconds + phase)
    return swing + seconds * [1200, 0, 0] + [0, 0, 3500]


def make_sequence(poses_mm: np.ndarray, frames: np.ndarray, sigma_mm: np.ndarray | float = 20.0):
    n = len(frames)
    empty = results.blank(tuple(f"joint{j}" for j in range(J)), (), {}, FPS)
    return empty._replace(
        frame_count=int(frames[-1]) + 1,
        frame=frames.astype(np.int32),
        time_s=frames / FPS,
        track=np.zeros(n, np.int32),
        boxes=np.zeros((n, 5), np.float32),
        poses_mm=poses_mm.astype(np.float32),
        poses_px=poses_mm[..., :2].astype(np.float32) / 4,
        uncertainty_mm=np.broadcast_to(sigma_mm, (n, J)).astype(np.float32),
    )


def noisy(true: np.ndarray, sigma_mm: np.ndarray | float = 20.0) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 1, true.shape)
    return true + noise * np.broadcast_to(sigma_mm, true.shape[:2])[..., None]


def error_mm(poses: np.ndarray, true: np.ndarray) -> float:
    return float(np.linalg.norm(poses - true, axis=-1).mean())


def jitter_mm(poses: np.ndarray) -> float:
    """Mean third difference: what the eye sees as trembling."""
    return float(np.linalg.norm(np.diff(poses, 3, axis=0), axis=-1).mean())


def lag_frames(poses: np.ndarray, moving: bool = True) -> float:
    """The delay of the true motion that is the most like the poses."""
    frames = np.arange(len(poses))
    delays = np.arange(-3, 3.01, 0.1)
    return float(delays[np.argmin([error_mm(poses, make_motion(frames - d)) for d in delays])])


def filtered(sequence: results.Sequence) -> np.ndarray:
    state, poses = {}, []
    for index in sequence.frame.tolist():
        state, people = smoothing.filter_frame(state, results.at(sequence, index, index / FPS))
        poses.append(people.poses_mm[0])
    return np.stack(poses)


def test_smoothing_lowers_jitter_and_error_without_lag():
    frames = np.arange(300)
    true = make_motion(frames)
    sequence = make_sequence(noisy(true), frames)
    smooth = smoothing.smooth(sequence)
    assert jitter_mm(smooth.poses_mm) < jitter_mm(sequence.poses_mm) / 5
    assert error_mm(smooth.poses_mm, true) < 0.65 * error_mm(sequence.poses_mm, true)
    assert lag_frames(smooth.poses_mm) == pytest.approx(0, abs=0.05)
    true_px = true[..., :2] / 4
    assert error_mm(smooth.poses_px, true_px) < 0.65 * error_mm(sequence.poses_px, true_px)


def test_clean_motion_stays():
    frames = np.arange(200)
    true = make_motion(frames)
    assert error_mm(smoothing.smooth(make_sequence(true, frames)).poses_mm, true) < 2.5


@pytest.mark.parametrize(
    ("hertz", "kept"), [(1.0, (0.97, 1.0)), (6.0, (0.45, 0.55)), (12, (0, 0.15))]
)
def test_the_cutoff_is_where_motion_is_halved(hertz, kept):
    frames = np.arange(600)
    wave = 100 * np.sin(2 * np.pi * hertz * frames / FPS)
    poses = np.broadcast_to(wave[:, None, None], (600, J, 3))
    smooth = smoothing.smooth(make_sequence(poses, frames)).poses_mm[100:500]
    share = np.abs(smooth).max() / np.abs(wave[100:500]).max()
    assert kept[0] <= share <= kept[1]


def test_a_single_frame_far_off_hardly_shows():
    frames = np.arange(120)
    true = make_motion(frames)
    poses = noisy(true, 10.0)
    poses[60] += 500
    smooth = smoothing.smooth(make_sequence(poses, frames)).poses_mm
    assert error_mm(smooth[58:63], true[58:63]) < 70
    assert error_mm(poses[60:61], true[60:61]) > 800


def test_uncertain_joints_count_less():
    frames = np.arange(400)
    true = make_motion(frames)
    sigma_mm = np.where(np.random.default_rng(2).random((400, J)) < 0.3, 80.0, 10.0)
    poses = noisy(true, sigma_mm)
    told = smoothing.smooth(make_sequence(poses, frames, sigma_mm)).poses_mm
    untold = smoothing.smooth(make_sequence(poses, frames, np.nan)).poses_mm
    assert error_mm(told, true) < 0.85 * error_mm(untold, true)


def test_nothing_is_smoothed_across_a_gap_and_nothing_is_filled_in():
    frames = np.concatenate([np.arange(60), np.arange(90, 150)])
    true = make_motion(frames)
    true[60:] += 700  # somewhere else after the gap
    smooth = smoothing.smooth(make_sequence(true, frames))
    assert smooth.frame.tolist() == frames.tolist()
    assert error_mm(smooth.poses_mm[55:65], true[55:65]) < 12
    alone = smoothing.smooth(make_sequence(true[:60], frames[:60]))
    np.testing.assert_array_equal(smooth.poses_mm[:60], alone.poses_mm)


def test_single_missing_frames_do_not_shift_time():
    frames = np.delete(np.arange(200), [20, 21, 50, 90, 91, 92, 133])
    true = make_motion(frames)
    assert error_mm(smoothing.smooth(make_sequence(true, frames)).poses_mm, true) < 3


def test_people_do_not_mix():
    frames = np.arange(100)
    one, other = make_motion(frames), make_motion(frames, moving=False) + 3000
    both = np.stack([one, other], axis=1).reshape(200, J, 3)
    pair = make_sequence(both, np.repeat(frames, 2))
    pair = pair._replace(track=np.tile(np.array([0, 1], np.int32), 100))
    smooth = smoothing.smooth(pair)
    for number, true in ((0, one), (1, other)):
        alone = smoothing.smooth(make_sequence(true, frames))
        np.testing.assert_allclose(smooth.poses_mm[smooth.track == number], alone.poses_mm)


def test_rare_frames_and_short_tracks_stay_as_they_are():
    true = make_motion(np.arange(40) * 5.0)
    rare = make_sequence(noisy(true), np.arange(0, 200, 5))
    np.testing.assert_array_equal(smoothing.smooth(rare).poses_mm, rare.poses_mm)
    two = make_sequence(true[:2], np.arange(2))
    np.testing.assert_array_equal(smoothing.smooth(two).poses_mm, two.poses_mm)


def test_every_other_frame_is_smoothed_at_its_own_rate():
    frames = np.arange(0, 400, 2)
    true = make_motion(frames)
    sequence = make_sequence(noisy(true), frames)
    smooth = smoothing.smooth(sequence, cutoff_hz=4.0)
    assert error_mm(smooth.poses_mm, true) < 0.8 * error_mm(sequence.poses_mm, true)


# ------------------------------------------------------------------------------------ as they come


def test_the_filter_calms_who_stands_and_hardly_delays_who_walks():
    frames = np.arange(300)
    still = make_motion(frames, moving=False)
    standing = make_sequence(noisy(still), frames)
    calm = filtered(standing)[30:]
    assert jitter_mm(calm) < jitter_mm(standing.poses_mm[30:]) / 2.5
    assert error_mm(calm, still[30:]) < 0.65 * error_mm(standing.poses_mm[30:], still[30:])
    walking = make_sequence(noisy(make_motion(frames)), frames)
    assert jitter_mm(filtered(walking)) < 0.85 * jitter_mm(walking.poses_mm)
    assert lag_frames(filtered(walking)) < 0.3


def test_the_filter_looks_at_the_past_only():
    frames = np.arange(60)
    poses = noisy(make_motion(frames))
    whole = filtered(make_sequence(poses, frames))
    np.testing.assert_array_equal(filtered(make_sequence(poses[:40], frames[:40])), whole[:40])


def test_the_filter_begins_anew_after_a_gap():
    frames = np.concatenate([np.arange(30), np.arange(60, 90)])
    poses = make_motion(frames)
    poses[30:] += 900
    np.testing.assert_array_equal(
        filtered(make_sequence(poses, frames))[30], poses[30].astype("f4")
    )


def uneven_s(count: int) -> np.ndarray:
    """The times of a phone that takes 30 frames a second in light and 15 in shade."""
    rng = np.random.default_rng(3)
    shade = np.arange(count) % 60 >= 30
    return np.cumsum(np.where(shade, 1 / 15, 1 / 30) * rng.uniform(0.8, 1.2, count))


def test_uneven_frames_are_smoothed_in_their_time():
    times_s, frames = uneven_s(240), np.arange(240)
    true = make_motion(times_s * FPS)
    sequence = make_sequence(noisy(true), frames)._replace(time_s=times_s)
    smooth = smoothing.smooth(sequence)
    assert error_mm(smooth.poses_mm, true) < 0.75 * error_mm(sequence.poses_mm, true)
    clean = make_sequence(true, frames)._replace(time_s=times_s)
    even = clean._replace(time_s=frames * times_s[-1] / 239)
    errors = [error_mm(smoothing.smooth(one).poses_mm, true) for one in (clean, even)]
    assert errors[0] < 1.5 and errors[1] > 3


@pytest.mark.parametrize("hertz", [1.0, 6.0, 12.0])
def test_the_cutoff_is_the_same_where_frames_are_dense(hertz):
    times_s = np.concatenate([np.arange(0, 8, 1 / 30), np.arange(8, 16, 1 / 60)])
    wave = 100 * np.sin(2 * np.pi * hertz * times_s)
    poses = np.broadcast_to(wave[:, None, None], (len(wave), J, 3))
    sequence = make_sequence(poses, np.arange(len(wave)))._replace(time_s=times_s)
    smooth = smoothing.smooth(sequence).poses_mm[:, 0, 0]
    for half in (times_s < 7, times_s > 9):
        kept = np.std(smooth[half][20:-20]) / np.std(wave[half][20:-20])
        assert kept == pytest.approx(1 / (1 + (hertz / 6) ** 4), abs=0.06)


def test_the_filter_of_cameras_knows_only_time():
    times_s, frames = uneven_s(240), np.arange(240)
    true = make_motion(times_s * FPS)
    sequence = make_sequence(noisy(true), frames)._replace(time_s=times_s)
    state, poses = {}, []
    for index, time_s in enumerate(times_s.tolist()):
        state, people = smoothing.filter_frame(state, results.at(sequence, index, time_s))
        poses.append(people.poses_mm[0])
    assert error_mm(np.stack(poses)[30:], true[30:]) < error_mm(sequence.poses_mm[30:], true[30:])
