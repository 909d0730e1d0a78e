"""Report a finished workflow: python -m acae_jax.report runs/quickstart.

Writes report.html, report.json and overview.png into the folder and prints the table.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging

from acae_jax.estimation import collect, pictures, report

SECONDS = flags.DEFINE_float("seconds", 0.0, "Wall time of the whole workflow, for the report.")


def main(arguments: Sequence[str]) -> int:
    """Collect, write and print; what the user can mend is one line."""
    if len(arguments) != 2:
        raise app.UsageError("give the folder of one workflow, such as runs/quickstart")
    logging.set_verbosity(logging.WARNING)  # TFDS announces every dataset
    folder = Path(arguments[1])
    try:
        run = collect.outcome(folder, SECONDS.value)
        report.write(run, folder)
        (folder / "overview.png").write_bytes(pictures.overview(run))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(report.summary(run))
    print(f"\nReport: {folder / 'report.html'}")
    return 0


if __name__ == "__main__":
    app.run(main)
