"""Folders and files of this machine, told from addresses of other ones."""

import argparse
import re
from pathlib import Path

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)  # "C:/data" is none
_OF_WEB = ("http", "https", "ftp", "ftps", "sftp", "ssh")


class NotLocalError(ValueError, argparse.ArgumentTypeError):
    """An address in place of a path; its one line says what to do."""


def is_in_store(text: str) -> bool:
    """Whether the text is the address of a bucket or another store, and not of a web page."""
    address = _ADDRESS.fullmatch(text)
    return bool(address) and address[1].lower() not in ("file", *_OF_WEB)


def local(text: str | Path) -> Path:
    """The text as a path; NotLocalError if it is an address such as gs://bucket/runs.

    Also a type for argparse's options. Libraries would take "gs:" for the name of a folder.
    """
    address = _ADDRESS.fullmatch(str(text))
    if not address:
        return Path(text)
    scheme, rest = address[1].lower(), address[2]
    shown = f"{scheme}://{rest}"
    if scheme == "file":
        raise NotLocalError(f"{shown} is an address: give the path alone, /{rest}")
    if scheme in _OF_WEB:
        raise NotLocalError(f"{shown} is an address, not a path of this machine: download it first")
    bucket = rest.partition("/")[0]
    mount = f"mount the bucket and give the folder below it: /mnt/{rest}"
    if scheme == "gs":
        options = "--implicit-dirs --rename-dir-limit=1000000"
        mount = f"mount the bucket (gcsfuse {options} {bucket} /mnt/{bucket}) and give /mnt/{rest}"
    raise NotLocalError(f"{shown} is a bucket's address, not a path of this machine: {mount}")
