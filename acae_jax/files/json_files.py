"""JSON files that people write by hand or with any program."""

import json
from pathlib import Path
from typing import Any


def read(path: str | Path) -> Any:
    """What a JSON file holds, in UTF-8, UTF-16 or UTF-32, with a byte-order mark or without.

    An OSError if it cannot be read, a ValueError of one line if it is no JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except RecursionError:
        raise ValueError(f"{path} is not JSON (it is nested too deeply)") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); mend it there") from None


def read_object(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file; errors as of `read`, and a ValueError if it is something else."""
    content = read(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold one JSON object, in braces")
    return content
