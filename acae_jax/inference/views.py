"""Test-time variants of a crop, whose poses are averaged: zoom, roll, mirror image and brightness.

The schedule is that of MeTRAbs (Sárándi et al. 2021) with one difference: a single variant is the
plain crop, where theirs is brighter and larger than it.
"""

from typing import NamedTuple

import numpy as np

from acae_jax.images import crops

MAX_ROLL = np.deg2rad(25)
GAMMA = (0.6, 1.0)
ZOOM = (0.8, 1.0, 1.1)


class Variant(NamedTuple):
    """A view, and the exponent on pixel values in 0…1: below 1 is brighter.

    With display gamma 2.2, it is the power law of the same exponent on linear light.
    """

    view: crops.View = crops.PLAIN
    gamma: float = 1.0


def schedule(count: int) -> list[Variant]:
    """The `count` variants; one is the plain crop. ValueError below 1.

    Gamma goes from 0.6 to 1, roll from -25° to 25°, zoom from 0.8 to 1.1 with 1 in the middle;
    every second one is a mirror image and the middle one is not.
    """
    if count < 1:
        raise ValueError(f"num_aug is {count}; give at least 1, the plain crop")
    if count == 1:
        return [Variant()]
    half = count // 2
    smallest, plain, largest = ZOOM
    zooms = np.concatenate(
        [
            np.linspace(smallest, plain, half, endpoint=False),
            np.linspace(plain, largest, count - half),
        ]
    )
    rolls = np.linspace(-MAX_ROLL, MAX_ROLL, count)
    gammas = np.linspace(*GAMMA, count)
    return [
        Variant(crops.View(float(zooms[i]), float(rolls[i]), (i - half) % 2 == 1), float(gammas[i]))
        for i in range(count)
    ]
