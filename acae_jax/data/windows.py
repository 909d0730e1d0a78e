"""Short windows of tracks as records, for models that take several frames at once.

Nothing is copied before a window is read. Where a window reaches beyond its track, it repeats the
first or last frame.
"""

from collections.abc import Sequence

import numpy as np

from acae_jax.data.track_record import TrackRecord


class Windows:
    """Windows of tracks by index: `sources.Records` whose records are `TrackRecord`s.

    A window is a track of `before` + 1 + `after` frames around a middle frame. Every `stride`-th
    frame of each track is the middle of one window. With `after` 0, a window holds nothing later
    than its middle. Beyond the ends of the track, times go on at its frame rate.
    """

    def __init__(self, tracks: Sequence[TrackRecord], before: int, after: int, *, stride: int = 1):
        if min(before, after) < 0 or stride < 1:
            raise ValueError(
                f"windows: before and after must be at least 0 and stride at least 1, got {before},"
                f" {after} and {stride}"
            )
        self._tracks = tracks
        self._offsets = np.arange(-before, after + 1)
        self._stride = stride
        counts = [-(-len(track.joints_px) // stride) for track in tracks]
        self._ends = np.cumsum(counts, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int, /) -> TrackRecord:
        """The window with this index; its key names the track and the middle frame."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} windows, and no window {index}")
        index %= len(self)
        which = int(np.searchsorted(self._ends, index, side="right"))
        track = self._tracks[which]
        count = len(track.joints_px)
        before = int(self._ends[which - 1]) if which else 0
        middle = (index - before) * self._stride
        frames = middle + self._offsets
        rows = np.clip(frames, 0, count - 1)
        beyond_us = np.rint((frames - rows) * 1e6 / track.frames_per_second).astype(np.int64)
        return track._replace(
            joints_px=track.joints_px[rows],
            confidence=track.confidence[rows] if track.confidence.size else track.confidence,
            joints_mm=track.joints_mm[rows] if len(track.joints_mm) else track.joints_mm,
            times_us=track.times_us[rows] + beyond_us,
            first_frame=track.first_frame + int(frames[0]),
            key=f"{track.key}/{track.first_frame + middle:06d}",
        )
