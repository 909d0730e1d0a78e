"""The config of a tiny training run; `seconds` is the time that each batch takes."""

from ml_collections import ConfigDict


def get_config(arg=""):
    seconds = float(arg.removeprefix("seconds=") or 0)
    return ConfigDict(
        {
            "task": "tiny_task.task",
            "seconds": seconds,
            "steps": 60,
            "seed": 7,
            "loop": {"save_every": 10, "evaluate_every": 15, "log_every": 1},
        }
    )
