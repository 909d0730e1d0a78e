"""One person's joints over time, as files for animation and biomechanics tools.

    bvh.write(path, joint_names, edges, positions_mm, fps)    a skeleton with rotations
    trc.write(path, joint_names, positions_mm, fps)           markers as text, for OpenSim
    c3d.write(path, joint_names, positions_mm, fps)           markers, binary; extra [c3d]

    track.at_even_times(places, poses_mm, neighbours)         uneven frames at one rate
    track, tree, solve   checks and axes for all; joints as a tree; rest pose and rotations for BVH

One file is one person, at one rate. Positions are (frames, joints, 3) in millimetres in the world,
NaN where a joint is missing. A file is complete or absent, and the same input gives the same bytes.

Axes. The package's world has x right, y down and z forward unless the user gave extrinsics. Every
writer takes `up`, the direction in the given world that points upwards, by default (0, -1, 0), and
turns the world about the origin until that is the format's vertical axis; x stays x, as
nearly as `up` lets it. So a person who faces the camera faces +z in a y-up file and -y in a z-up
one. `up=None` leaves the axes as they are. Nothing is ever mirrored or moved.

    file   vertical  unit  in the tool
    .bvh   y         cm    Blender: Import > Motion Capture, Forward -Z, Up Y (its defaults), Scale
                           0.01; tick Scale FPS and Update Scene Duration. Others: y up, cm
    .trc   y         mm    OpenSim: as it is; the unit stands in the file. Joints become markers:
                           name the model's markers after them
    .c3d   z         mm    Mokka, Visual3D and others: as it is; X_SCREEN and Y_SCREEN say the axes

What a format cannot say is stated by its module: above all, BVH has constant bone lengths and no
gaps.
"""
