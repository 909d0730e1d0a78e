"""The command `acae`, also as `python -m acae_jax`: all mains as its subcommands."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

# Each with its module, whose `main` takes the arguments behind it, and what it does.
COMMANDS = {
    "predict": ("acae_jax.predict", "find people in images and videos and their poses in 3D"),
    "train": ("acae_jax.train", "train what a config describes"),
    "report": ("acae_jax.report", "report a finished workflow, or compare training runs"),
    "export": ("acae_jax.export", "write a trained model as files for others, or verify them"),
    "prepare": ("acae_jax.prepare", "make datasets: embedded, official, or of your own files"),
    "import-weights": ("acae_jax.import_weights", "take over published weights"),
    "skeletons": ("acae_jax.own_skeletons.__main__", "fit a skeleton of your own to a model"),
}
# These run builders that a config names, which may lie in the working directory.
OWN_CODE = ("train", "report", "export")


def usage() -> str:
    """The help text."""
    lines = [f"  {name:<15} {purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: acae COMMAND …",
            "",
            "3D human pose in every skeleton format at once, and in agreement.",
            "",
            *lines,
            "",
            "acae COMMAND --help tells the options of one; acae --version the version.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the first argument names; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name == "--version":
        from importlib import metadata

        print(f"acae_jax {metadata.version('acae_jax')}")
        return 0
    if name not in COMMANDS:
        wrong = f"there is no command {name!r}" if name else "give a command"
        print(f"{usage()}\n\nerror: {wrong}", file=sys.stderr)
        return 2
    if name in OWN_CODE and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # where python -m looks, too
    return importlib.import_module(COMMANDS[name][0]).main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
