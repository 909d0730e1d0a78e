"""The pose sampler: clip frames, blends and key poses, disturbed inside the limits of human joints.

All random numbers come from the `rng` argument. Poses stand at the world's origin with any heading;
body.grounded() puts them on the floor. Half of the anchors are mirrored, so left and right are
alike on average.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from acae_jax.datasets.synthetic import motions
from acae_jax.datasets.synthetic.actions import ACTIONS, LIMITS
from acae_jax.datasets.synthetic.body import Pose
from acae_jax.datasets.synthetic.motions import JOINTS, Turns

# Standard deviation of the disturbance, radians of (x swing, twist, z swing).
_SPREAD = {
    "root": (0.06, 0.0, 0.05), "chest": (0.12, 0.12, 0.08), "neck": (0.2, 0.3, 0.12),
    "hip": (0.16, 0.12, 0.1), "kne": (0.2, 0.0, 0.0), "ank": (0.12, 0.08, 0.06),
    "sho": (0.28, 0.25, 0.22), "elb": (0.3, 0.0, 0.0), "wri": (0.1, 0.25, 0.25),
}  # fmt: skip
_UPPER = [
    i for i, joint in enumerate(JOINTS) if joint == "neck" or joint[1:] in ("sho", "elb", "wri")
]
_STANDING_MM = np.array([0, 847.5, 0], np.float32)


def clamp(turns: Turns) -> Turns:
    """Brings every joint inside the limits of the human body (actions.LIMITS)."""
    angles = motions.to_swing_twist(turns.rotations.astype(np.float64))
    clipped = np.clip(angles, LIMITS[..., 0], LIMITS[..., 1])
    rotations = motions.from_swing_twist(clipped)
    rotations[0] = turns.rotations[0]
    return turns._replace(rotations=rotations.astype(np.float32))


def _disturbance(rng: np.random.Generator, amount: float) -> Float[np.ndarray, "15 3"]:
    scale = np.array([_SPREAD.get(joint, _SPREAD.get(joint[1:], (0, 0, 0))) for joint in JOINTS])
    return rng.normal(size=scale.shape) * scale * amount


def _disturbed(turns: Turns, disturbance: Float[np.ndarray, "15 3"]) -> Turns:
    extra = motions.from_swing_twist(disturbance)
    return clamp(turns._replace(rotations=(turns.rotations @ extra).astype(np.float32)))


def blend(first: Turns, second: Turns, share: Float[np.ndarray, "15"]) -> Turns:
    """Turns each joint from `first` to `second` by its share in [0, 1], along the shortest way."""
    apart = motions.to_vector(
        np.swapaxes(first.rotations, 1, 2).astype(np.float64) @ second.rotations
    )
    rotations = first.rotations @ motions.from_vector(apart * share[:, None])
    position = first.position_mm + np.float32(share[0]) * (second.position_mm - first.position_mm)
    return Turns(rotations.astype(np.float32), position.astype(np.float32))


def action(name: str) -> Turns:
    """Returns a key pose. Raises ValueError for an unknown name."""
    if name not in ACTIONS:
        raise ValueError(f"Unknown action {name!r}; there are {', '.join(ACTIONS)}.")
    return Turns(motions.from_swing_twist(ACTIONS[name]).astype(np.float32), _STANDING_MM)


def _frame(clip: motions.Clip, index: int) -> Turns:
    """A clip's frame over the origin, turned to heading 0."""
    turns = Turns(clip.rotations[index], clip.position_mm[index] * np.array([0, 1, 0], np.float32))
    return _headed(turns, -_heading(turns.rotations[0]))


def _heading(root: Float[np.ndarray, "3 3"]) -> float:
    # The direction of the left side over the floor: it stays defined when the person lies or bends.
    return float(np.arctan2(-root[2, 0], root[0, 0]))


def _headed(turns: Turns, heading: float) -> Turns:
    turn = motions.from_vector(np.array([0.0, heading, 0.0])).astype(np.float32)
    rotations = turns.rotations.copy()
    rotations[0] = turn @ rotations[0]
    return Turns(rotations, turn @ turns.position_mm)


def _anchor(rng: np.random.Generator, clips: Sequence[str], actions: Sequence[str]) -> Turns:
    """A clip frame or a key pose."""
    if clips and (not actions or rng.random() < 0.55):
        clip = motions.load()[clips[int(rng.integers(len(clips)))]]
        turns = _frame(clip, int(rng.integers(len(clip.rotations))))
    else:
        turns = action(actions[int(rng.integers(len(actions)))])
    return motions.mirror(turns) if rng.random() < 0.5 else turns


def sample(
    rng: np.random.Generator,
    clips: Sequence[str] | None = None,
    actions: Sequence[str] | None = None,
    disturbance: float = 1.0,
    pitch_spread: float = 0.0,
) -> Pose:
    """Draws a pose.

    Half of the poses are one anchor, a clip's frame or a key pose. The others are a blend of two,
    in which arms and neck may follow another anchor than trunk and legs. `clips` and `actions` name
    the anchors that may be drawn (None: all, empty: none). `disturbance` scales the change of the
    joint angles, `pitch_spread` (radians) tilts the whole body about a random level axis. Headings
    are uniform.
    """
    clips = list(motions.load()) if clips is None else clips
    actions = list(ACTIONS) if actions is None else actions
    if not clips and not actions:
        raise ValueError("No clips and no actions to sample poses from; allow at least one.")
    turns = _anchor(rng, clips, actions)
    if rng.random() < 0.5:
        share = np.full(len(JOINTS), rng.uniform(0, 0.6))
        share[_UPPER] = rng.uniform(0, 1)
        share[0] = rng.uniform(0, 0.3)
        turns = blend(turns, _anchor(rng, clips, actions), share)
    turns = _disturbed(turns, _disturbance(rng, disturbance))
    turns = _headed(turns, rng.uniform(-np.pi, np.pi))
    if pitch_spread:
        axis = rng.normal(size=3) * np.array([1, 0, 1])
        tilt = motions.from_vector(axis / np.linalg.norm(axis) * rng.normal(0, pitch_spread))
        turns.rotations[0] = tilt @ turns.rotations[0]
    return motions.to_pose(turns)


def sequence(
    rng: np.random.Generator, name: str, count: int, disturbance: float = 1.0, step: int = 1
) -> list[Pose]:
    """Draws a motion of `count` poses in time order, 30 / step a second.

    A clip is played from a random frame, forwards and back. An action is a motion from standing to
    its key pose and back, in 2 to 4 s. Style (a constant disturbance), heading and side are drawn
    once for the whole motion, and a slow sway is added.
    """
    mirrored, heading = rng.random() < 0.5, rng.uniform(-np.pi, np.pi)
    style = _disturbance(rng, disturbance)
    sway, phases = _disturbance(rng, 0.3 * disturbance), rng.uniform(0, 2 * np.pi, (len(JOINTS), 3))
    seconds = (np.arange(count) + rng.integers(60)) * step / 30
    base = _played(name, seconds, period=rng.uniform(2, 4))
    poses = []
    for turns, second in zip(base, seconds, strict=True):
        turns = motions.mirror(turns) if mirrored else turns
        turns = _disturbed(turns, style + sway * np.sin(phases + 2.5 * second))
        poses.append(motions.to_pose(_headed(turns, heading)))
    return poses


def _played(name: str, seconds: Float[np.ndarray, " T"], period: float) -> list[Turns]:
    clips = motions.load()
    if name not in clips:
        ends = action("stand"), action(name)
        shares = 0.5 - 0.5 * np.cos(2 * np.pi * seconds / period)
        return [blend(*ends, np.full(len(JOINTS), share)) for share in shares]
    clip = clips[name]
    last = len(clip.rotations) - 1
    frames = last - np.abs(np.round(seconds * 30).astype(int) % (2 * last) - last)
    return [Turns(clip.rotations[f], clip.position_mm[f]) for f in frames]
