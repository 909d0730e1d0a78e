import numpy as np
import pytest

from acae_jax.recordings import results, tracking

FPS = 30.0
FOCAL = 1000.0
NAMES = ("head", "lhan", "rhan", "lfoo", "rfoo")
BODY_MM = np.array([[0, -850, 0], [-300, 0, 0], [300, 0, 0], [-150, 850, 0], [150, 850, 0]], float)


def walk(start_mm, velocity_mm, count: int = 90) -> np.ndarray:
    """Middle of somebody who walks on a straight line."""
    seconds = np.arange(count)[:, None] / FPS
    return np.array(start_mm, float) + seconds * np.array(velocity_mm, float)


def make_sequence(paths, hidden=(), noise_mm: float = 25.0, every: int = 1, seed: int = 0):
    """A sequence of people on paths, in random order in each frame, and who each entry truly is.

    `hidden` are triples (person, first, end) of frames in which somebody is not found.
    """
    rng = np.random.default_rng(seed)
    frames, truth = [], []
    for index in range(0, len(paths[0]), every):
        seen = [
            person
            for person in rng.permutation(len(paths)).tolist()
            if not any(who == person and a <= index < b for who, a, b in hidden)
        ]
        swing = 150 * np.sin(index / FPS * 6 + np.arange(len(NAMES)))[:, None] * [0, 0, 1]
        poses = np.array([paths[person][index] + BODY_MM + swing for person in seen])
        poses = poses.reshape(len(seen), len(NAMES), 3)
        # As of one camera, depth is less sure than the rest.
        poses = poses + rng.normal(0, noise_mm, poses.shape)
        poses[..., 2] += rng.normal(0, 3 * noise_mm, (len(seen), 1))
        points = poses[..., :2] / poses[..., 2:] * FOCAL
        low, high = points.min(1), points.max(1)
        boxes = np.concatenate([low, high - low, np.ones((len(seen), 1))], 1)
        frames.append(
            results.Frame(
                index,
                index / FPS,
                np.full(len(seen), -1, np.int32),
                boxes.astype(np.float32).reshape(-1, 5),
                poses.astype(np.float32),
                points.astype(np.float32),
                np.full((len(seen), len(NAMES)), 30, np.float32),
            )
        )
        truth += seen
    empty = results.blank(NAMES, (), {}, FPS)
    return results.join(empty, frames), np.array(truth)


def seen_in(sequence: results.Sequence, every: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The frames that were looked at, and their times."""
    frames = np.arange(0, sequence.frame_count, every, dtype=np.int32)
    return frames, frames / FPS


def switches(tracked: results.Sequence, truth: np.ndarray) -> int:
    """How many times a person's number changes."""
    return sum(np.count_nonzero(np.diff(tracked.track[truth == who])) for who in np.unique(truth))


CROSSINGS = {
    "one behind the other": [
        walk((-1500, 0, 3500), (1000, 0, 0)),
        walk((1500, 0, 4500), (-1000, 0, 0)),
    ],
    "close by each other": [
        walk((-1500, 0, 4000), (1000, 0, 0)),
        walk((1500, 0, 4350), (-1000, 0, 0)),
    ],
    "overtaking": [
        walk((-2000, 0, 4000), (1500, 0, 0)),
        walk((-1000, 0, 4900), (700, 0, 0)),
    ],
    "towards the camera past one who stands": [
        walk((150, 0, 7000), (0, 0, -1300)),
        walk((-100, 0, 4500), (0, 0, 0)),
    ],
    "three at once": [
        walk((-1500, 0, 3500), (1000, 0, 0)),
        walk((1500, 0, 4500), (-1000, 0, 0)),
        walk((0, 0, 7500), (0, 0, -1000)),
    ],
}


@pytest.mark.parametrize("crossing", CROSSINGS)
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("seed", range(2))
def test_people_who_cross_keep_their_numbers(crossing, every, seed):
    sequence, truth = make_sequence(CROSSINGS[crossing], every=every, seed=seed)
    tracked = tracking.track(sequence, *seen_in(sequence, every))
    assert len(tracked.track) == len(truth)
    assert switches(tracked, truth) == 0
    assert set(tracked.track.tolist()) == set(range(len(CROSSINGS[crossing])))


@pytest.mark.parametrize("seed", range(4))
def test_who_is_hidden_while_crossing_keeps_the_number(seed):
    paths = CROSSINGS["one behind the other"]
    sequence, truth = make_sequence(paths, hidden=[(1, 38, 54)], seed=seed)
    tracked = tracking.track(sequence, *seen_in(sequence))
    assert switches(tracked, truth) == 0
    assert set(tracked.track.tolist()) == {0, 1}


@pytest.mark.parametrize("seed", range(3))
def test_two_who_are_both_hidden_while_they_pass_each_other_go_on(seed):
    # Each returns where the other was last seen.
    paths = [walk((-3000, 0, 5000), (2000, 0, 0)), walk((3000, 0, 5400), (-2000, 0, 0))]
    sequence, truth = make_sequence(paths, hidden=[(0, 39, 51), (1, 39, 51)], seed=seed)
    tracked = tracking.track(sequence, *seen_in(sequence))
    assert switches(tracked, truth) == 0
    assert set(tracked.track.tolist()) == {0, 1}


def test_who_is_away_for_long_returns_as_somebody_new():
    paths = [walk((0, 0, 4000), (0, 0, 0)), walk((1500, 0, 4000), (0, 0, 0))]
    for away, numbers in ((25, {0, 1}), (40, {0, 1, 2})):
        sequence, truth = make_sequence(paths, hidden=[(1, 20, 20 + away)])
        tracked = tracking.track(sequence, *seen_in(sequence))
        assert set(tracked.track.tolist()) == numbers
        assert switches(tracked, truth) == len(numbers) - 2


@pytest.mark.parametrize("every", [30, 31, 60, 100, 1800])
def test_widely_spaced_frames_have_tracks(every):
    # Two who stand and are each missed once: of a time-lapse, say.
    paths = [walk((x, 0, 4000), (0, 0, 0), 8 * every) for x in (-1000, 1000)]
    hidden = [(0, 2 * every, 3 * every), (1, 5 * every, 6 * every)]
    sequence, truth = make_sequence(paths, hidden, every=every)
    tracked = tracking.track(sequence, *seen_in(sequence, every))
    assert len(tracked.track) == len(truth) == 14
    assert switches(tracked, truth) == 0


def test_steps_without_anybody_are_steps_too():
    # Somebody is away for three steps of two seconds and comes back as somebody new.
    path = walk((0, 0, 4000), (0, 0, 0), 600)
    sequence, _ = make_sequence([path], hidden=[(0, 240, 360)], every=60)
    tracked = tracking.track(sequence, *seen_in(sequence, 60))
    assert tracked.frame.tolist() == [0, 60, 120, 180, 360, 420, 480, 540]
    assert tracked.track.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize(("count", "hidden"), [(1, 0), (2, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_short_clips_keep_who_is_in_half_of_their_frames(count, hidden):
    paths = [walk((0, 0, 4000), (0, 0, 0), count)]
    sequence, _ = make_sequence(paths, hidden=[(0, 0, hidden)])
    assert len(tracking.track(sequence, *seen_in(sequence)).track) == count - hidden > 0


def test_others_do_not_inherit_a_number():
    # One leaves at the left while another appears at the right.
    paths = [walk((-1500, 0, 4000), (0, 0, 0)), walk((1500, 0, 4000), (0, 0, 0))]
    sequence, truth = make_sequence(paths, hidden=[(0, 45, 90), (1, 0, 45)])
    assert set(tracking.track(sequence, *seen_in(sequence)).track[truth == 1].tolist()) == {1}


def test_a_jump_in_depth_alone_is_the_same_person():
    path = walk((0, 0, 4000), (0, 0, 0))
    path[40:] *= 1.3  # the same picture, 1.2 m further away
    sequence, _ = make_sequence([path])
    assert set(tracking.track(sequence, *seen_in(sequence)).track.tolist()) == {0}


def test_false_alarms_of_a_moment_are_left_out():
    paths = [walk((0, 0, 4000), (300, 0, 0)), walk((2500, 0, 5000), (0, 0, 0))]
    sequence, truth = make_sequence(paths, hidden=[(1, 0, 60), (1, 62, 90)])
    tracked = tracking.track(sequence, *seen_in(sequence))
    assert len(tracked.track) == np.count_nonzero(truth == 0)
    assert set(tracking.track(sequence, *seen_in(sequence), least_entries=1).track.tolist()) == {
        0,
        1,
    }


def test_nobody():
    empty = results.blank(NAMES, (), {}, FPS)
    assert tracking.track(empty, *seen_in(empty)).track.shape == (0,)
    state, numbers = tracking.advance(
        tracking.Tracks(), 0.1, np.zeros((0, 5), np.float32), np.zeros((0, 5, 3), np.float32)
    )
    assert state == tracking.Tracks(times_s=(0.1,)) and numbers.shape == (0,)
