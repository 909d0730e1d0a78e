"""Parts of messages: the text of an error in one line, and names that are like a mistyped one."""

import difflib
from collections.abc import Iterable


def one_line(error: BaseException) -> str:
    """The text of an error in one line of limited length (it may quote a file); its type if it has
    no text.
    """
    line = " ".join(str(error).split())
    return (line if len(line) < 400 else f"{line[:400]} …") or type(error).__name__


def near_misses(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the names that are like it, or else all names."""
    names = list(names)
    if not names:
        return "there are none"
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return "it is one of: " + ", ".join(names)
