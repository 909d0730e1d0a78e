"""Reads .safetensors files."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the arrays by name, and the metadata.

    ValueError or FileNotFoundError with one line if the file cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(path, framework="np") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except AttributeError as error:  # raised for types that NumPy does not have, such as float8
        raise ValueError(f"{path} holds numbers of a type that cannot be read ({error})") from error
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is no safetensors file, or is damaged: {error}") from error
