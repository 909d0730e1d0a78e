"""Fit3D: one person at fitness exercises among four cameras (Fieraru et al., CVPR 2021).

Layout, cameras and sampling are those of `readers.imar`.
"""

from functools import partial

from acae_jax.datasets.readers import imar
from acae_jax.datasets.release import Published, Release
from acae_jax.datasets.steps import person_boxes

RELEASE = Release(
    name="fit3d",
    title="Fit3D",
    version="1.0.0",
    url="https://fit3d.imar.ro",
    access="non-commercial research; request access there",
    size="about 25 GB",
    layout=imar.LAYOUT,
    format="fit3d",
    quota=2,
    boxes=partial(person_boxes.best_detected, factor=1.2, least_iou=0.5),
    published=Published(147_314),
)
units = imar.units
frames = imar.frames
