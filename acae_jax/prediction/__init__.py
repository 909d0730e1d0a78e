"""The work of `acae predict`: from images, videos and cameras to files of results.

    pipeline.py      predicts all inputs, stores the poses, continues what was stopped
    followed.py      people of a video from frame to frame, detected in few of them
    estimates.py     a call of the estimator, and its results as frames of a recording
    user_boxes.py    people whose boxes the user gives, instead of the detector
    outputs.py       files made of the stored poses: arrays, pictures, videos, pages
    motion_files.py  the motion of each person as BVH, TRC or C3D
    left_out.py      an output that fails is named and left out; the rest goes on

Poses are stored (`recordings.json_lines`) before anything is made of them.
"""
