"""Files of labels in the forms that users have, read as they are: units and spaces come later.

labels  what all forms become: rows of arrays; joints chosen, frames found, files joined
tables  CSV, a row for each person or for each joint
lists   JSON: people in frames, and COCO's keypoints
arrays  npz: arrays, and those of VideoPose3D
motion  BVH and C3D
"""
