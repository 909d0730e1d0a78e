"""Makes the embedded datasets: python -m acae_jax.prepare --out data/embedded.

Run again after an interruption, it continues. Ends with a contact sheet of every dataset.
"""

import errno
import sys
from pathlib import Path

from absl import app, flags, logging

from acae_jax.datasets.synthetic import build, contact_sheet, studios

_OUT = flags.DEFINE_string("out", "data/embedded", "folder for the datasets")
_SIZE = flags.DEFINE_enum("size", "quick", sorted(studios.SIZES), "how many records")
_WORKERS = flags.DEFINE_integer("workers", None, "processes (default: one per core)", lower_bound=1)
_DATASETS = flags.DEFINE_list("datasets", [], "some of them, comma-separated (default: all)")
_SEED = flags.DEFINE_integer("seed", 0, "of everything random", lower_bound=0)


def main(argv: list[str]) -> None:
    """Builds the datasets and the contact sheet; every foreseeable error is one line."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}; options start with --")
    logging.set_verbosity(logging.WARNING)  # TFDS announces every file
    out = Path(_OUT.value)
    try:
        folders = build.build(
            out,
            size=_SIZE.value,
            seed=_SEED.value,
            workers=_WORKERS.value,
            datasets=_DATASETS.value,
        )
        sheet = out / "contact_sheet.png"
        contact_sheet.write(sheet, folders)
    except KeyboardInterrupt:
        print("\nstopped; the same command continues from here", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        text = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            text = f"disk full: {text}; nothing is lost: free space and run the same command again"
        sys.exit(f"prepare: {text}" + (f": {error.filename}" if error.filename else ""))
    except ValueError as error:
        sys.exit(f"prepare: {error}")
    print(f"{len(folders)} datasets in {out}; look at {sheet}")


if __name__ == "__main__":
    app.run(main)
