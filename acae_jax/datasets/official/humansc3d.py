"""HumanSC3D: people who touch themselves, among four cameras (Fieraru et al., AAAI 2021).

Layout, cameras and sampling are those of `readers.imar`.
"""

from functools import partial

from acae_jax.datasets.readers import imar
from acae_jax.datasets.release import Published, Release
from acae_jax.datasets.steps import person_boxes

RELEASE = Release(
    name="humansc3d",
    title="HumanSC3D",
    version="1.0.0",
    url="https://sc3d.imar.ro/humansc3d",
    access="non-commercial research; request access there",
    size="some GB",
    layout=imar.LAYOUT,
    format="humansc3d",
    quota=1,
    boxes=partial(person_boxes.best_detected, factor=1.2, least_iou=0.5),
    published=Published(71_847),
)
units = imar.units
frames = imar.frames
