"""A model as a folder of files: a header that lists the others with size and SHA-256.

Folders may come from anywhere. Nothing is read before its size is known to be in bounds, and what
differs from the header is refused; all that is wrong is an error of one line.
"""

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from acae_jax.bundles import facts as facts_files
from acae_jax.bundles.facts import Facts

VERSION = 1
MEBI = 1 << 20
LARGEST_HEADER = 64 * MEBI
LARGEST = 8192 * MEBI
EXPORT_HEADER = "export.json"
"""The header of every form but the bundle, which has its own."""
CARD = "README.md"
"""The one file without a sum: people may add to a model card."""
LARGEST_CARD = 4 * MEBI

Sums = dict[str, dict[str, Any]]


@contextmanager
def new(folder: str | Path) -> Iterator[Path]:
    """A place to put the files of a new folder, which appears complete or not at all.

    A FileExistsError if it exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists: choose another folder, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        unfinished.mkdir()
        yield unfinished
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def seal(folder: Path, header: str, form: str, said: Mapping[str, Any]) -> None:
    """Write the header of a folder that holds all its other files; `said` is what it says beside
    its format and the files.
    """
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / CARD)
    content = {
        "format": form,
        "version": VERSION,
        **said,
        "files": {p.relative_to(folder).as_posix(): _sum(p.read_bytes()) for p in paths},
    }
    (folder / header).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def opened(folder: str | Path, header: str, forms: Sequence[str]) -> tuple[str, Facts, Sums]:
    """Format, facts of a pose model, and sums in a folder's header; errors as of `read_header`."""
    form, content, sums = read_header(folder, header, forms)
    try:
        return form, facts_files.of_json(content.get("facts")), sums
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{Path(folder) / header}: {error}") from None


def read_header(
    folder: str | Path, header: str, forms: Sequence[str]
) -> tuple[str, dict[str, Any], Sums]:
    """Format, all content, and sums in a folder's header.

    A FileNotFoundError if there is no header, a ValueError if it is of another format or version.
    """
    path = Path(folder) / header
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} is no {' or '.join(forms)}: it holds no {header}; give the folder that "
            "acae_jax.export or acae_jax.import_weights wrote"
        )
    try:
        content = json.loads(_bytes(path, LARGEST_HEADER))
        form = str(content.get("format")) if isinstance(content, dict) else ""
        if form not in forms:
            raise ValueError(f"its format must be {' or '.join(forms)}, not {form!r}")
        if content.get("version") != VERSION:
            raise ValueError(
                f"it has version {content.get('version')!r} and this acae_jax reads version "
                f"{VERSION}: install the acae_jax that wrote it, or export it again"
            )
        return form, content, _sums(content.get("files"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None


def digest(folder: str | Path, header: str) -> str:
    """The header's SHA-256, which stands for the facts and all the files that the header lists."""
    return hashlib.sha256(_bytes(Path(folder) / header, LARGEST_HEADER)).hexdigest()


def read(folder: str | Path, name: str, sums: Sums, largest: int = LARGEST) -> bytes:
    """A file that the header lists, as it was written."""
    path = Path(folder) / name
    data = _bytes(path, largest)
    if _sum(data) != sums[name]:
        raise ValueError(
            f"{path} is not the file that was written (its size or SHA-256 differs): "
            "copy or download the folder again"
        )
    return data


def card(folder: str | Path) -> str:
    """The model card; nothing if there is none."""
    path = Path(folder) / CARD
    return _bytes(path, LARGEST_CARD).decode(errors="replace") if path.is_file() else ""


def _sums(content: Any) -> Sums:
    if not isinstance(content, Mapping):
        raise ValueError("files must be an object")
    for name in content:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or path.as_posix() != name:
            raise ValueError(f"file {name!r} lies outside of the folder")
    return dict(content)


def _sum(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _bytes(path: Path, largest: int) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: copy or download the folder again")
    size = path.stat().st_size
    if size > largest:
        raise ValueError(f"{path} has {size} bytes; such a file may have {largest}")
    return path.read_bytes()
