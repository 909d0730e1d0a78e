"""Names of files for libraries outside of Python, which read a string in their own way.

FFmpeg takes what stands before a colon for a protocol and `%03d` for numbered images, and a name
that is no UTF-8, which Python holds with surrogates, ends the whole process. Whatever is handed to
such a library goes through `plain_name`.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

NUMBERED = re.compile(r"%\d*[di*]")  # how FFmpeg and OpenCV name a sequence of images


@contextlib.contextmanager
def plain_name(path: str | Path) -> Iterator[str]:
    """A name by which a library in C opens this file, to read or to create it, inside the context.

    It is the absolute path, or if that may be misread a link to it, whose suffix is the same where
    that is plain. A file that is open stays so when the context ends. An OSError if there is no way
    of naming the file.
    """
    place = os.path.abspath(path)  # noqa: PTH100 - Path has no way of resolving '..' alone
    if _is_plain(place):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="acae_jax-") as folder:
        suffix = Path(place).suffix
        link = Path(folder, "file" + (suffix if _is_plain(suffix) else ""))
        try:
            if not _is_plain(str(link)):
                raise OSError("the folder for temporary files has such a name too")
            link.symlink_to(place)
        except OSError as error:
            raise OSError(
                f"{path} has a name that video and motion libraries misread; rename it ({error})"
            ) from None
        yield str(link)


def check_utf8(folder: str | Path) -> None:
    """A ValueError if the path of a folder is no UTF-8, for libraries that make files in it."""
    try:
        os.path.abspath(folder).encode()  # noqa: PTH100 - as above
    except UnicodeEncodeError:
        raise ValueError(
            f"{str(folder)!a} is no UTF-8, and checkpoints and datasets need that: rename the "
            "folder, or give another"
        ) from None


def _is_plain(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return not NUMBERED.search(name)
