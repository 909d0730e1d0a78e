"""Values of a description by key, checked: each error is one line with the place and the fix."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from acae_jax import messages
from acae_jax.datasets.own.label_files.labels import Joints
from acae_jax.files import paths


class Entry(NamedTuple):
    """Keys and values, the name of their place in the description, and the description's folder."""

    content: Mapping[str, Any]
    where: str
    folder: Path

    def _place(self, key: str) -> str:
        return key if self.where == "the file" else f"{self.where}.{key}"

    def text(self, key: str, default: str | None = None, choices: Sequence[str] = ()) -> str:
        """A text, perhaps one of some."""
        if self.content.get(key) is None:
            if default is None:
                raise ValueError(f"{self.where} lacks the key '{key}'")
            return default
        value = _text(self.content[key], self._place(key))
        if choices and value not in choices:
            hint = messages.near_misses(value, choices)
            raise ValueError(f"{self._place(key)} is {value!r}; {hint}")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts, which may be a single one; empty if there is none."""
        value = self.content.get(key)
        if value is None:
            return []
        values = value if isinstance(value, list) else [value]
        texts = [_text(one, self._place(key)) for one in values]
        if len(set(texts)) < len(texts):
            raise ValueError(f"{self._place(key)} has a name twice; remove one")
        return texts

    def whole(self, key: str, default: int) -> int:
        """A whole number from 1."""
        value = self.content.get(key, default)
        if type(value) is not int or value < 1:
            raise ValueError(f"{self._place(key)} is {value!r}; give a whole number from 1")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.content.get(key, default)
        if not isinstance(value, bool):
            raise ValueError(f"{self._place(key)} is {value!r}; give true or false")
        return value

    def number(self, key: str, least: float = -math.inf, above: float = -math.inf) -> float | None:
        """A finite number in a range, or None if there is none."""
        value = self.content.get(key)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < least or value <= above:
            limits = [f"of at least {least:g}"] if math.isfinite(least) else []
            limits += [f"above {above:g}"] if math.isfinite(above) else []
            raise ValueError(
                f"{self._place(key)} is {value!r}; give {' '.join(['a number', *limits])}"
            )
        return float(value)

    def joints(self) -> Joints:
        """The mapping of the skeleton's joints to one or several names in a file each."""
        value = self.content.get("joints") or {}
        place = self._place("joints")
        if not isinstance(value, dict):
            raise ValueError(f"{place} must have lines such as lhip: LeftUpLeg")
        found = {}
        for joint, names in value.items():
            names = names if isinstance(names, list) else [names]
            # Joints without names have numbers.
            names = [str(name) if type(name) is int else name for name in names]
            if not isinstance(joint, str) or not names:
                raise ValueError(f"{place} must have lines such as lhip: LeftUpLeg")
            found[joint] = tuple(_text(name, f"{place}.{joint}") for name in names)
        return found

    def path(self, text: str) -> Path:
        """A path, which begins at the description's folder."""
        return self.folder / paths.local(text).expanduser()


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value:
        hint = f"write it in quotes: '{value}'" if type(value) in (int, float, bool) else "give one"
        raise ValueError(f"{place} is {value!r}, not a text; {hint}")
    return value
