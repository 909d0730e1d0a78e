"""Readers of the file formats in which datasets are released; each returns plain data.

mat             MATLAB's files, of version 5 and 7.3
cdf             NASA's Common Data Format
c3d_points      points over time in C3D
opencv_file     matrices and settings in OpenCV's XML and YAML
portable_maps   greymaps and pixmaps (PGM, PPM)
video_keypoints COCO's JSON about people in a video

Nothing in a file is run. What only some of them need is the extra [datasets].
"""
