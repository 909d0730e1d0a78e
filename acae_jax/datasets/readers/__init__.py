"""Readers of the file formats in which datasets are released; each returns plain data.

mat             MATLAB's files, of version 5 and 7.3
cdf             NASA's Common Data Format
c3d_points      points over time in C3D
bvh             joints over time in BVH
opencv_file     matrices and settings in OpenCV's XML and YAML
tfrecords       TensorFlow's TFRecord files of tf.train.Example
pickled_tables  pickles: dicts of arrays, of Python 2 too, and tables of pandas
json_items      large JSON, item by item
images          JPEG, PNG and BMP as they are stored
portable_maps   greymaps and pixmaps (PGM, PPM)
videos          chosen frames of videos
video_keypoints COCO's JSON about people in a video
body_model      SMPL, SMPL-H and SMPL-X: joints of parameters
imar            what Fit3D, CHI3D, HumanSC3D and Human3.6M share

Nothing in a file is run. What only some of them need is the extra [datasets].
"""
