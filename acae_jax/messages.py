"""Parts of messages: what an error says, and what a mistyped name may have meant."""

import difflib
from collections.abc import Iterable


def one_line(error: BaseException) -> str:
    """What an error says, on one line of bounded length (it may quote a file); its type if it says
    nothing.
    """
    line = " ".join(str(error).split())
    return (line if len(line) < 400 else f"{line[:400]} …") or type(error).__name__


def near_misses(name: str, known: Iterable[str]) -> str:
    """What to say after an unknown name: the known ones like it, or else all of them."""
    known = list(known)
    if not known:
        return "there are none"
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return "it is one of: " + ", ".join(known)
