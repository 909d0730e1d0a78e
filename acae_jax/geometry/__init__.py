"""Cameras, poses and boxes: pure functions, one implementation for NumPy and JAX arrays.

cameras        a pinhole camera with lens: project, back-project, turn, zoom, flip; units and axes
lens           OpenCV's distortion with 12 coefficients, its inverse, and where it stops being valid
absolute       where a person stands, from 2D joints and a root-relative pose
heatmaps       soft-argmax, and heat-map cells to pixels and millimetres
alignment      poses about their mean, and by the best similarity (Procrustes)
rotations      the nearest rotation, with its derivative
triangulation  points seen by several calibrated cameras
boxes          (x, y, width, height) in pixels
arrays         what lets one function serve both kinds of arrays

Millimetres in 3D, pixels in 2D with pixel centres at integers, radians. Camera space has x right,
y down, z forward. `mask` and `valid` mark the joints that count; the others may hold anything.
"""
