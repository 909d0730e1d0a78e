"""When frames are shown, in seconds from the first one, however well a file's clock goes.

A file states a time for each frame. Phones, screen recorders and edited files have frames at
uneven times, which count; damaged and streamed files have times that are absent, go back or jump,
which do not: there the next frame comes one period of the stated rate later.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

SHORTEST_STEP_S = 0.0005  # from frame to frame; below, the clock stood still
LONGEST_STEP_S = 10.0  # or two periods; above, the clock was set anew
BACK_S = 1.0  # a clock that goes back by more was set anew; by less, frames are out of order


def credible(stated_s: Iterable[float], fps: float) -> Iterator[float]:
    """Rising times from 0 on, of frames that state these times; 0 and NaN are absent ones.

    Each is yielded before the next one is asked for.
    """
    longest_s, time_s, offset_s = max(LONGEST_STEP_S, 2 / fps), None, 0.0
    for reading_s in stated_s:
        is_time = math.isfinite(reading_s)
        if time_s is None:
            time_s, offset_s = 0.0, -reading_s if is_time else 0.0
        else:
            step_s = reading_s + offset_s - time_s
            is_time = is_time and reading_s != 0
            if is_time and SHORTEST_STEP_S <= step_s <= longest_s:
                time_s += step_s
            else:
                time_s += 1 / fps
                if is_time and not -BACK_S <= step_s <= longest_s:
                    offset_s = time_s - reading_s
        yield time_s


def mean_fps(frames: Sequence[int], times_s: Sequence[float], stated_fps: float) -> float:
    """Frames a second by the times of some frames; the stated rate if they agree with that."""
    if len(frames) < 2:
        return stated_fps
    count, seconds = frames[-1] - frames[0], times_s[-1] - times_s[0]
    if abs(seconds - count / stated_fps) < 0.5 / stated_fps:
        return stated_fps
    return float(count / seconds)
