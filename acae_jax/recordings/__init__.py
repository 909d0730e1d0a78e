"""Poses of people over time.

    results.py     `Sequence`, the poses of a video or of many images; npz files
    json_lines.py  the same as JSON-lines, written frame by frame and continued after a stop
    tracking.py    who is who from frame to frame
    smoothing.py   steadier motion, after tracking

Files need nothing of this package to be read, and say what they hold (`results.ABOUT`).
"""
