"""Checks datasets on disk: looks at them, and writes their pages and the page of all."""

import json
from collections.abc import Sequence
from pathlib import Path

from acae_jax.datasets import record_files
from acae_jax.datasets.checking import judgement, looked_at, measures, overview, page
from acae_jax.datasets.release import Release


def check(releases: Sequence[Release], out: Path) -> None:
    """Check built datasets, write their pages, and print what is to be known.

    All are opened before any is looked at. ValueError, in one line, if one is missing or damaged.
    """
    for facts in releases:
        looked_at.open_dataset(facts, out)  # and close it: it has many files
    rows = []
    for facts in releases:
        dataset = looked_at.open_dataset(facts, out)
        sample = looked_at.look(dataset)
        found = measures.measure(sample)
        warnings = judgement.warnings(facts, dataset.report, found, sample.unreadable_count)
        row = overview.row(dataset, found, warnings)
        html = page.html(dataset, sample, found, warnings)
        record_files.write_text(dataset.folder / overview.PAGE, html)
        record_files.write_text(dataset.folder / overview.ROW, json.dumps(row, indent=1))
        rows.append(row)
    everything = out / overview.PAGE
    record_files.write_text(everything, overview.html(overview.read_rows(out)))
    print(overview.text(rows))
    print(f"{len(rows)} checked; look at {everything}")
