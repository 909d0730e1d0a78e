import numpy as np
import pytest

from acae_jax.inference import results, tracking

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
    tracked = tracking.track(sequence)
    assert len(tracked.track) == len(truth)
    assert switches(tracked, truth) == 0
    assert set(tracked.track.tolist()) == set(range(len(CROSSINGS[crossing])))


@pytest.mark.parametrize("seed", range(4))
def test_who_is_hidden_while_crossing_keeps_the_number(seed):
    paths = CROSSINGS["one behind the other"]
    sequence, truth = make_sequence(paths, hidden=[(1, 38, 54)], seed=seed)
    tracked = tracking.track(sequence)
    assert switches(tracked, truth) == 0
    assert set(tracked.track.tolist()) == {0, 1}


@pytest.mark.parametrize("seed", range(3))
def test_two_who_are_both_hidden_while_they_pass_each_other_go_on(seed):
    # Each returns where the other was last seen.
    paths = [walk((-3000, 0, 5000), (2000, 0, 0)), walk((3000, 0, 5400), (-2000, 0, 0))]
    sequence, truth = make_sequence(paths, hidden=[(0, 39, 51), (1, 39, 51)], seed=seed)
    tracked = tracking.track(sequence)
    assert switches(tracked, truth) == 0
    assert set(tracked.track.tolist()) == {0, 1}


def test_who_is_away_for_long_returns_as_somebody_new():
    paths = [walk((0, 0, 4000), (0, 0, 0)), walk((1500, 0, 4000), (0, 0, 0))]
    for away, numbers in ((25, {0, 1}), (40, {0, 1, 2})):
        sequence, truth = make_sequence(paths, hidden=[(1, 20, 20 + away)])
        tracked = tracking.track(sequence)
        assert set(tracked.track.tolist()) == numbers
        assert switches(tracked, truth) == len(numbers) - 2


def test_others_do_not_inherit_a_number():
    # One leaves at the left while another appears at the right.
    paths = [walk((-1500, 0, 4000), (0, 0, 0)), walk((1500, 0, 4000), (0, 0, 0))]
    sequence, truth = make_sequence(paths, hidden=[(0, 45, 90), (1, 0, 45)])
    assert set(tracking.track(sequence).track[truth == 1].tolist()) == {1}


def test_a_jump_in_depth_alone_is_the_same_person():
    path = walk((0, 0, 4000), (0, 0, 0))
    path[40:] *= 1.3  # the same picture, 1.2 m further away
    sequence, _ = make_sequence([path])
    assert set(tracking.track(sequence).track.tolist()) == {0}


def test_false_alarms_of_a_moment_are_left_out():
    paths = [walk((0, 0, 4000), (300, 0, 0)), walk((2500, 0, 5000), (0, 0, 0))]
    sequence, truth = make_sequence(paths, hidden=[(1, 0, 60), (1, 62, 90)])
    tracked = tracking.track(sequence)
    assert len(tracked.track) == np.count_nonzero(truth == 0)
    assert set(tracking.track(sequence, least_entries=1).track.tolist()) == {0, 1}


def test_nobody():
    empty = results.blank(NAMES, (), {}, FPS)
    assert tracking.track(empty).track.shape == (0,)
    state, numbers = tracking.advance(
        tracking.Tracks(), 3, np.zeros((0, 5), np.float32), np.zeros((0, 5, 3), np.float32), FPS
    )
    assert state == tracking.Tracks() and numbers.shape == (0,)
