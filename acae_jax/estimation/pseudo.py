"""Stage 2a: poses in all formats at once, predicted by the stage-1 model on clean images.

The autoencoder learns from them. They are noisy, but each has every joint of every format.
"""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from acae_jax.benchmarks import scoring
from acae_jax.estimation.model import network as networks
from acae_jax.skeletons import skeleton

Batch = dict[str, np.ndarray]


def label(
    network: networks.PoseNetwork,
    variables: dict,
    clean_examples: Sequence[Batch],
    joint_names: Sequence[str],
    batch_size: int,
) -> Float[np.ndarray, "n j 3"]:
    """Absolute camera-space poses in mm; each is the mean over the image and its mirror image."""
    mirror = skeleton.mirror_map(joint_names)
    predict = jax.jit(
        partial(networks.predict_mirrored_mean, network, lambda points: points, mirror=mirror)
    )
    return scoring.predictions(
        lambda batch: predict(variables, batch["image"], batch["intrinsics"]),
        clean_examples,
        batch_size,
    )
