"""NASA's Common Data Format (.cdf), in which Human3.6M has its poses; read by cdflib."""

from pathlib import Path

import numpy as np

from acae_jax import messages


def variable(path: str | Path, name: str) -> np.ndarray:
    """A variable of numbers in a .cdf file; records along the first axis.

    Raises FileNotFoundError; ValueError, in one line, if the file is damaged, or has no such
    variable of numbers; and ImportError without cdflib.
    """
    try:
        import cdflib
    except ImportError:
        raise ImportError("CDF files need cdflib: pip install -e '.[datasets]'") from None
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there")
    try:
        file = cdflib.CDF(path)
        info = file.cdf_info()
        names = [*info.zVariables, *info.rVariables]
        if name not in names:
            raise ValueError(f"no variable {name!r}; {messages.near_misses(name, names)}")
        values = np.asarray(file.varget(name))
    except Exception as error:  # cdflib's parser stumbles in a dozen ways
        raise ValueError(f"{path} is no readable CDF: {messages.one_line(error)}") from error
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{path}: variable {name!r} holds no numbers")
    return values
