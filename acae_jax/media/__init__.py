"""Pictures and videos of any origin in, pictures and videos for people out.

stills     image files → upright RGB
videos     video files, animations and cameras → frames with a rate
inputs     what stands on a command line → stills, videos and cameras
prefetch   the next items are made while this one is used
overlay    skeletons drawn on an image
recorder   frames → a video file
"""
