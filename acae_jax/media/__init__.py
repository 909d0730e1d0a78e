"""Pictures and videos of any origin in, pictures and videos for people out.

stills          image files → upright RGB
videos          video files, animations and cameras → frames with their times
display         stored pixels → the picture that people see: square pixels, turned, mirrored
display_matrix  how a file's header turns and mirrors it
clock           the times that frames state → times that rise, and their mean rate
durations       how long each frame of an animated image is shown
inputs          what stands on a command line → stills, videos and cameras
prefetch        the next items are made while this one is used
overlay         skeletons drawn on an image
recorder        frames → a video file

Pillow reads images and animations, OpenCV's FFmpeg plays and writes videos. `inputs` tells which is
which; whatever comes out of `stills` and `videos` is RGB as a player shows it, so poses, boxes and
intrinsics are in its pixels. Bad input is a one-line ValueError; what can be used in part is used,
with a warning. A command line runs through the room like this:

    inputs → videos (clock, display) → prefetch → the estimator → overlay → recorder
"""
