"""The README's results table: mean ± standard deviation over the reports of several seeds.

    python launch/results_table.py runs/three_stages/seed0 runs/three_stages/seed1 …

Prints Markdown and writes it between the `results` marks of README.md.
"""

import json
import re
import statistics
import sys
from pathlib import Path

ORDER = ("merged", "separate", "regularised", "latent", "hybrid")
COLUMNS = {
    "mpjpe_mm": "MPJPE",
    "pa_mpjpe_mm": "PA-MPJPE",
    "disagreement_depth_mm": "disagreement, depth",
    "disagreement_plane_mm": "disagreement, plane",
}
README = Path(__file__).parent.parent / "README.md"
MARKS = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- /results -->)", re.DOTALL)


def cell(values: list[float]) -> str:
    """Mean, and the standard deviation where there are several seeds."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def table(reports: list[dict]) -> str:
    """A row for each variant that all reports have."""
    variants = [name for name in ORDER if all(name in report["variants"] for report in reports)]
    lines = [
        "| variant | " + " | ".join(f"{title} (mm)" for title in COLUMNS.values()) + " |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    for name in variants:
        cells = [cell([report["variants"][name][key] for report in reports]) for key in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    mean_pose = cell([report["mean_pose_mpjpe_mm"] for report in reports])
    lines.append(
        f"\n{len(reports)} seeds. Always predicting the mean pose: MPJPE {mean_pose} mm.\n"
    )
    return "\n".join(lines)


def main() -> None:
    """Read the reports, print the table, write it into the README."""
    if len(sys.argv) < 2:
        sys.exit("name the folders of finished workflows, one for each seed")
    missing = [folder for folder in sys.argv[1:] if not (Path(folder) / "report.json").is_file()]
    if missing:
        sys.exit(f"no report.json in {', '.join(missing)}; run: python -m acae_jax.report FOLDER")
    reports = [json.loads((Path(folder) / "report.json").read_text()) for folder in sys.argv[1:]]
    text = table(reports)
    print(text)
    README.write_text(MARKS.sub(lambda _: text, README.read_text()))


if __name__ == "__main__":
    main()
