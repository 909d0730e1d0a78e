"""CHI3D: two people in close contact among four cameras (Fieraru et al., CVPR 2020).

Layout, cameras and sampling are those of `readers.imar`. Both people make records: the one who
wears markers, and the partner ("s02_partner"), whose joints come from the cameras. The public code
of PosePile knows the older release only, which has one person. Two people share no detection, and
so boxes are matched for both together.
"""

from functools import partial

from acae_jax.datasets.readers import imar
from acae_jax.datasets.release import Release
from acae_jax.datasets.steps import person_boxes

RELEASE = Release(
    name="chi3d",
    title="CHI3D",
    version="1.0.0",
    url="https://ci3d.imar.ro/chi3d",
    access="non-commercial research; request access there",
    size="about 4 GB",
    layout=imar.LAYOUT,
    format="chi3d",
    quota=1,
    boxes=partial(person_boxes.detected, factor=1.2, least_iou=0.5),
)
units = imar.units
frames = imar.frames
