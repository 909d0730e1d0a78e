"""Datasets of users' own recordings, made from a description of what lies in a folder.

description   the YAML file: what there is, and where → values
camera_files  cameras by name: JSON, OpenCV's FileStorage, COLMAP's text files
media         the images or the video of a clip
label_files   files of labels in many forms
annotations   the labels of a clip: files of any form, in mm, in the cameras' world
views         3D labels of 2D labels of several cameras
checks        what cannot be true, told before anything is built
building      the frames of a clip, and all of it as a plan of work
"""
