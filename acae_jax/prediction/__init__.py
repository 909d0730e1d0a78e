"""The work of `acae predict`: from images, videos and cameras to files of results.

    pipeline.py      predicts all inputs, keeps the poses, continues what was stopped
    user_boxes.py    people whom a user points out instead of having them detected
    outputs.py       what is made of recorded poses: arrays, pictures, videos, pages
    motion_files.py  the motion of each person as BVH, TRC or C3D
    left_out.py      what fails is named and left out, and the rest goes on

Poses are on the disk (`recordings.json_lines`) before anything is made of them.
"""
