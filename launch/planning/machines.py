"""Data of accelerators, as their makers publish them.

TPUs: the system architecture and machine type pages of Google Cloud's TPU documentation (v4, v5e,
v5p, v6e). GPUs: NVIDIA's data sheets (A100 80 GB SXM, H100 SXM, H200 SXM, L4; dense bfloat16) and
the Google Cloud machine types that carry eight of them (a2-ultragpu-8g, a3-highgpu-8g,
a3-ultragpu-8g, g2-standard-96). "flops" are peak bfloat16 operations a second. No program reaches
these numbers, so results from them are lower bounds of a step's time.
"""

import difflib
import math
from typing import NamedTuple


class Machine(NamedTuple):
    """A chip, and the hosts that carry several chips."""

    memory: float  # bytes
    bandwidth: float  # bytes a second, main memory
    flops: float  # a second, bfloat16
    links: float  # bytes a second that a chip exchanges with others
    chips_per_host: int
    cores_per_host: int  # virtual, for the input pipeline


TPUS = {
    "v4": Machine(32 * 2**30, 1228e9, 275e12, 300e9, 4, 240),
    "v5e": Machine(16 * 2**30, 819e9, 197e12, 200e9, 4, 112),  # slices of more than 8 chips
    "v5p": Machine(95 * 2**30, 2765e9, 459e12, 600e9, 4, 208),
    "v6e": Machine(32 * 2**30, 1640e9, 918e12, 448e9, 4, 180),
}
GPUS = {
    "a100": Machine(80e9, 2039e9, 312e12, 600e9, 8, 96),
    "h100": Machine(80e9, 3350e9, 989e12, 900e9, 8, 208),
    "h200": Machine(141e9, 4800e9, 989e12, 900e9, 8, 224),
    "l4": Machine(24e9, 300e9, 121e12, 64e9, 8, 96),
}


class Topology(NamedTuple):
    """A number of chips of one kind; `name` is that of the TPU compiler."""

    name: str
    machine: Machine
    chips: int
    is_tpu: bool

    @property
    def hosts(self) -> int:
        """The number of machines that carry the chips."""
        return -(-self.chips // self.machine.chips_per_host)


def topology(text: str) -> Topology:
    """The topology of "v5e:4x4" (a grid of TPUs) or "h100:8" (GPUs); else ValueError."""
    kind, _, grid = text.lower().partition(":")
    machine = TPUS.get(kind) or GPUS.get(kind)
    names = [*TPUS, *GPUS]
    if machine is None:
        near = difflib.get_close_matches(kind, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
        raise ValueError(f"no data of chip {kind!r} of --topology {text}: {hint}")
    sizes = grid.split("x")
    if not all(size.isdecimal() and int(size) for size in sizes):
        example = "v5e:4x4" if kind in TPUS else f"{kind}:8"
        raise ValueError(f"--topology {text} does not say how many chips: write it like {example}")
    chips = math.prod(int(size) for size in sizes)
    return Topology(f"{kind}:{grid}", machine, chips, kind in TPUS)
