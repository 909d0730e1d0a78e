"""The quota tables: how many slots of every batch each dataset fills, in the order of the slots.

The numbers and their order are those of the published recipe (MeTRAbs-ACAE): 96 3D-labelled and 32
2D-labelled examples in a batch of 128. The order is part of the method. Ghost batch norm
normalises 16 neighbouring slots together, so that in HUGE8 + TWO_D its eight groups see 4, 4, 5,
5, 7 and 7 3D datasets and then mpii + coco and jrdb + posetrack.

Use from a config, with tables joined by +:

    from configs import mixtures
    config.data.quotas = mixtures.HUGE8 + mixtures.TWO_D
"""

HUGE8 = (
    ("h36m", 4),
    ("muco_3dhp", 6),
    ("humbi", 5),
    ("tdoh", 3),
    ("agora", 3),
    ("surreal", 5),
    ("panoptic", 7),
    ("aist", 6),
    ("aspset", 4),
    ("gpa", 4),
    ("tdpeople", 4),
    ("sailvos", 5),
    ("bml_movi", 5),
    ("mads", 2),
    ("umpm", 2),
    ("bmhad", 3),
    ("tdhp_full", 3),
    ("totalcapture", 3),
    ("jta", 3),
    ("ikea", 2),
    ("human4d", 1),
    ("behave", 3),
    ("rich", 4),
    ("spec", 2),
    ("fit3d", 2),
    ("chi3d", 1),
    ("humansc3d", 1),
    ("hspace", 3),
)

MEDIUM3 = (
    ("h36m", 9),
    ("muco_3dhp", 9),
    ("humbi", 7),
    ("agora", 5),
    ("surreal", 8),
    ("panoptic", 9),
    ("aist", 9),
    ("tdpeople", 6),
    ("sailvos", 7),
    ("totalcapture", 5),
    ("jta", 5),
    ("tdhp_full", 5),
    ("rich", 7),
    ("hspace", 5),
)

SMALL5 = (("surreal", 32), ("h36m", 32), ("muco_3dhp", 32))

TWO_D = (("mpii", 8), ("coco", 8), ("jrdb", 8), ("posetrack", 8))

# Datasets whose people stand in realistic places already: less often before another background.
BACKGROUND_PROBABILITIES = {"sailvos": 0.2, "agora": 0.2, "spec": 0.2, "hspace": 0.2}

# Little is learned from 2D labels alone, so they get few of the quick example's slots.
EMBEDDED = (
    ("embedded_mh_default", 10),
    ("embedded_cmu_mb", 10),
    ("embedded_game_engine", 10),
    ("embedded_mixamo", 10),
    ("embedded_coco_body", 10),
    ("embedded_markers", 10),
)

EMBEDDED_2D = (("embedded_2d", 4),)

BY_NAME = {
    "embedded": EMBEDDED,
    "huge8": HUGE8,
    "medium3": MEDIUM3,
    "small5": SMALL5,
    "none": (),
}
