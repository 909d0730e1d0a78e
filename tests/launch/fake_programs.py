"""Fake cluster programs, first on PATH: they log how they were called and behave as a test says."""

import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CONFIG = "configs/estimation/embedded.py:stage=initial"
BIG = "configs/estimation/dozens.py:stage=initial"  # a batch for 8 devices
HEAD = """#!/usr/bin/env bash
here={here}
{{ printf '%s\\x1f' {name} "$@"; printf '\\x1e'; }} >> "$here/log"
outcome() {{ # the next line of the file outcomes
    [[ -s $here/outcomes ]] || exit 98 # called more often than the test expects
    head -n 1 "$here/outcomes"; sed -i 1d "$here/outcomes"
}}
"""


class Fakes:
    """A folder of fake programs, with the log of their calls."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()

    def add(self, name: str, body: str) -> Path:
        """A program that logs its arguments and then does what the bash in `body` says."""
        path = self.folder / name
        path.write_text(HEAD.format(here=self.folder, name=name) + body)
        path.chmod(0o755)
        return path

    def outcomes(self, *lines: object) -> None:
        """What the program's calls of `outcome` give, one after another."""
        self.file("outcomes").write_text("".join(f"{line}\n" for line in lines))

    def file(self, name: str) -> Path:
        return self.folder / name

    def wait_for(self, name: str) -> None:
        """Until a program has made that file."""
        for _ in range(400):
            if self.file(name).exists():
                return
            time.sleep(0.05)
        raise TimeoutError(f"no {name} after 20 s")

    def calls(self, *without: str) -> list[list[str]]:
        """All calls in order, leaving those out that contain a word of `without`."""
        log = self.file("log")
        text = log.read_text() if log.exists() else ""
        calls = [call.split("\x1f")[:-1] for call in text.split("\x1e")[:-1]]
        return [call for call in calls if not set(without) & set(call)]
