"""The published weights of the landmark network.

The weights of the variant `full` are in the package, in blazepose/. launch/make_landmark_asset.py
writes the other variants in the same form: safetensors, float16, with the variant in the metadata.
"""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax.traverse_util import unflatten_dict

from acae_jax.foreign import safetensors_file
from acae_jax.models.blazepose import VARIANTS, BlazePose

KIND = "acae_jax landmark network"
PACKAGED = Path(__file__).parent / "blazepose" / "full.safetensors"


def load(path: str | Path = PACKAGED) -> tuple[BlazePose, dict[str, Any]]:
    """Load a network and its variables in float32; without a path, the packaged ones.

    OSError or ValueError if the file cannot be read or holds something else.
    """
    arrays, metadata = safetensors_file.read(Path(path))
    if metadata.get("kind") != KIND or metadata.get("variant") not in VARIANTS:
        raise ValueError(f"{path} was not written by launch/make_landmark_asset.py")
    params = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
    return BlazePose(metadata["variant"]), {"params": unflatten_dict(params, sep="/")}
