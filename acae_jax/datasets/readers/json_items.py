"""Large JSON files item by item, so that one of some hundred MB takes the memory of one item."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

CHUNK = 1 << 20
LONGEST = 64 << 20  # characters of one item
_AFTER = ",]} \t\r\n"
_DECODER = json.JSONDecoder()


def items(path: str | Path) -> Iterator[tuple[str, Any]]:
    """The members of the object in a file: (name, value), and for arrays each item with its name.

    Raises ValueError, in one line, if the file is no JSON object or is cut short.
    """
    with Path(path).open(encoding="utf-8") as file:
        text = _Text(file, path)
        text.expect("{")
        if text.peek() == "}":
            return
        while True:
            name = text.value()
            text.expect(":")
            if text.peek() == "[":
                for item in _array(text):
                    yield name, item
            else:
                yield name, text.value()
            if text.expect(",}") == "}":
                return


def rows(path: str | Path) -> Iterator[Any]:
    """The items of the array in a file; errors as of `items`."""
    with Path(path).open(encoding="utf-8") as file:
        yield from _array(_Text(file, path))


def _array(text: "_Text") -> Iterator[Any]:
    text.expect("[")
    if text.peek() == "]":
        text.expect("]")
        return
    while True:
        yield text.value()
        if text.expect(",]") == "]":
            return


class _Text:
    """The part of a file that was read but not parsed."""

    def __init__(self, file: IO[str], path: str | Path):
        self._file, self._path = file, path
        self._buffer, self._at = "", 0

    def peek(self) -> str:
        """The next character that is no space."""
        while True:
            while self._at < len(self._buffer):
                if not self._buffer[self._at].isspace():
                    return self._buffer[self._at]
                self._at += 1
            self._more()

    def expect(self, characters: str) -> str:
        """Take the next character, which must be one of these."""
        found = self.peek()
        if found not in characters:
            raise ValueError(
                f"{self._path} is no JSON object or array as expected: {found!r} where "
                f"{characters!r} belongs"
            )
        self._at += 1
        return found

    def value(self) -> Any:
        """Take the next value."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError:
                self._more()
                continue
            except RecursionError:
                raise ValueError(f"{self._path} is nested too deeply") from None
            # A number may go on in what is not read yet: of "12.5" there may be "12." so far.
            after = self._buffer[end : end + 1]
            if isinstance(value, str | list | dict) or (after and after in _AFTER):
                self._at = end
                return value
            self._more()

    def _more(self) -> None:
        chunk = self._file.read(CHUNK)
        left = len(self._buffer) - self._at
        if not chunk or left > LONGEST:
            raise ValueError(f"{self._path} is cut short, or no JSON that can be read item by item")
        self._buffer, self._at = self._buffer[self._at :] + chunk, 0
