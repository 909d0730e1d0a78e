"""Readers of the file formats in which datasets are released; each returns plain data.

mat              MATLAB's files, of version 5 and 7.3
cdf              NASA's Common Data Format
c3d_points       points over time in C3D
opencv_file      matrices and settings in OpenCV's XML and YAML
pickled_tables   pickles: dicts of arrays, of Python 2 too, and tables of pandas
body_model       SMPL, SMPL-H and SMPL-X: joints of parameters
portable_maps    greymaps and pixmaps (PGM, PPM)
video_keypoints  COCO's JSON about people in a video

Nothing in a file is run. What only some of them need is the extra [datasets].
"""
