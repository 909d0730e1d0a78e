"""Augmentations that several configs share. The published one is `Augmentation()`."""

from acae_jax.data.examples import Augmentation

# For short trainings: some 100,000 crops are too few to see through all of the published one.
MILD = Augmentation(
    shift=0.05,
    zoom=(0.9, 1.1),
    roll=0.15,
    hue=0.2,
    contrast=0.25,
    saturation=0.25,
    occlusion_probability=0.1,
    background_probability=0.1,
)
