"""How many processor cores there are to use."""

import os


def allowed() -> int:
    """The cores that this process may use, which containers and job queues bound."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS and Windows have none
    return len(affinity(0)) if affinity else os.cpu_count() or 1
