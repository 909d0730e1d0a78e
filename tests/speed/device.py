"""Crops per second of one device, and the share of its peak that this takes; see device.sh.

    python tests/speed/device.py PART [--tiny]

Each part is a process of its own, because each library would hold the device's memory:

    train-s, train-l   the recipe's real training step in bfloat16: S on 256 px, L on 384 px
    torch-s, torch-l   torchvision's network with the same head, as the training step of a script:
                       torch.compile, bfloat16, channels last, fused AdamW
    input              what feeds the device: one core, all cores, and the way to the device

The S parts also time inference. The peak is the speed of a large matrix product in bfloat16, timed
in the same process. Losses differ (torch's is an L1 of soft-argmax coordinates), and so do norms
(ours are ghost norms). Both take little time beside the convolutions.
"""

import argparse
import os
import statistics
import time
from functools import partial
from typing import NamedTuple

import numpy as np

DEPTH_BINS = 8


class Size(NamedTuple):
    """A network by its names here and in torchvision, its crops, and how many a step takes."""

    ours: str
    theirs: str
    side_px: int
    training: int
    inference: int


SIZES = {
    "s": Size("efficientnetv2_s", "efficientnet_v2_s", 256, 128, 256),
    "l": Size("efficientnetv2_l", "efficientnet_v2_l", 384, 32, 64),
}
TINY = Size("mobilenetv3_small", "mobilenet_v3_small", 64, 16, 16)
# Repetitions of a step, and the side of the matrices that tell the peak.
REPEATS, TINY_REPEATS = 20, 2
MATRIX, TINY_MATRIX = 8192, 512


def print_row(what: str, crops: int, seconds: float, flops: float, peak: float) -> None:
    """Print one row; `peak` is in operations per second."""
    share = f"{100 * flops / seconds / peak:5.1f} % of the peak" if flops else ""
    print(f"{what:36s} {crops / seconds:9.1f} crops/s {1e3 * seconds:9.2f} ms {share}", flush=True)


def ours(size: Size, joints: str, repeats: int, matrix: int, with_inference: bool) -> None:
    """Times this package's training step, and the crop model that it exports."""
    import jax
    import jax.numpy as jnp
    from planning import traced  # of launch/

    from acae_jax import config as configs
    from acae_jax.estimation import building, initial
    from acae_jax.estimation.packing import program as programs

    def seconds(function, *arguments):
        jax.block_until_ready(function(*arguments))
        start = time.perf_counter()
        results = [function(*arguments) for _ in range(repeats)]
        jax.block_until_ready(results)
        return (time.perf_counter() - start) / repeats

    device = jax.devices()[0]
    square = jax.random.normal(jax.random.key(0), (matrix, matrix), jnp.bfloat16)
    peak = 2 * matrix**3 / seconds(jax.jit(jnp.matmul), square, square)
    print(f"jax {jax.__version__} on {device.device_kind}: {peak / 1e12:.3g} TFLOP/s", flush=True)
    config = configs.load(
        "configs/estimation/dozens.py",
        [
            f"model.backbone={size.ours}",
            f"data.side_px={size.side_px}",
            f"data.union={joints}",
            "data.workers=0",
        ],
    )
    task = initial.computation(config)
    batch = random_batch(building.abstract_batch(config.data, task.union), size)
    state = jax.jit(task.init)(jax.random.key(0))
    flops = traced.cost(partial(task.update, 1000), state, batch).flops
    variables = {"params": jax.device_get(state.params)} | jax.device_get(state.collections)
    update = jax.jit(partial(task.update, 1000), donate_argnums=0)
    batch = jax.device_put(batch)
    start = time.perf_counter()
    for _ in range(3):
        state, metrics = update(state, batch)
    jax.block_until_ready(state)
    print(f"  compiled in {time.perf_counter() - start:.0f} s, loss {metrics['loss']:.3g}")
    start = time.perf_counter()
    for _ in range(repeats):
        state, _ = update(state, batch)
    jax.block_until_ready(state)
    spent = (time.perf_counter() - start) / repeats
    print_row(f"train {size.ours} {size.side_px}", size.training, spent, flops, peak)
    if not with_inference:
        return
    del state
    images = jnp.zeros((size.inference, size.side_px, size.side_px, 3), jnp.uint8)
    images += jnp.arange(size.side_px, dtype=jnp.uint8)[:, None, None]
    intrinsics = jnp.tile(camera(size.side_px), (size.inference, 1, 1))
    weights = jax.device_put(programs.fold(task.network, variables))
    model = programs.crop_model(task.network)
    flops = traced.cost(model, weights, images, intrinsics).flops
    spent = seconds(jax.jit(model), weights, images, intrinsics)
    print_row(f"inference {size.ours} {size.side_px}", size.inference, spent, flops, peak)


def camera(side_px: int) -> np.ndarray:
    """Intrinsics of a crop."""
    middle = (side_px - 1) / 2
    return np.array([[2.0 * side_px, 0, middle], [0, 2.0 * side_px, middle], [0, 0, 1]], np.float32)


def random_batch(shapes: dict, size: Size) -> dict:
    """A batch of crops of noise, in the feed's shapes, with every joint labelled."""
    rng = np.random.default_rng(0)
    fill = {
        "image": lambda shape: rng.integers(0, 256, shape),
        "intrinsics": lambda shape: np.broadcast_to(camera(size.side_px), shape),
        "joints_mm": lambda shape: rng.normal(size=shape) * 300 + [0, 0, 3000],
        "labels_px": lambda shape: rng.uniform(0, size.side_px, shape),
        "colour": lambda shape: np.broadcast_to([1.0, 0.0], shape),
    }
    batch = {}
    for name, array in shapes.items():
        shape = (size.training, *array.shape[1:])
        values = fill[name](shape) if name in fill else np.full(shape, array.dtype == bool)
        batch[name] = np.ascontiguousarray(values, array.dtype)
    return batch


def torch_network(theirs: str, joints: int):
    """torchvision's feature extractor with our head: soft-argmax coordinates of joints."""
    import torch

    try:
        from torchvision import models
    except RuntimeError:  # without its C library, made for another torch, two operators lack
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision import models

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = getattr(models, theirs)().features
            width = next(m for m in reversed(list(self.features.modules())) if hasattr(m, "weight"))
            self.head = torch.nn.Conv2d(len(width.weight), joints * (1 + DEPTH_BINS), 1)

        def forward(self, images):
            x = images.permute(0, 3, 1, 2).float().div(127.5).sub(1)
            maps = self.head(self.features(x.contiguous(memory_format=torch.channels_last))).float()
            b, _, h, w = maps.shape
            flat, deep = maps.split([joints, joints * DEPTH_BINS], dim=1)
            flat = flat.reshape(b, joints, -1).softmax(-1).reshape(b, joints, h, w)
            deep = deep.reshape(b, joints, -1).softmax(-1).reshape(b, joints, DEPTH_BINS, h, w)
            steps = [torch.linspace(0, 1, n, device=maps.device) for n in (DEPTH_BINS, h, w)]
            parts = [
                (flat.sum(2) * steps[2]).sum(-1),
                (flat.sum(3) * steps[1]).sum(-1),
                (deep.sum((2, 3)) * steps[2]).sum(-1),
                (deep.sum((2, 4)) * steps[1]).sum(-1),
                (deep.sum((3, 4)) * steps[0]).sum(-1),
            ]
            return torch.stack(parts, dim=-1)

    return Network()


def theirs(size: Size, joints: int, repeats: int, matrix: int, with_inference: bool) -> None:
    """Times torchvision's network in torch.compile."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    device = "cuda" if torch.cuda.is_available() else "cpu"
    finished = torch.cuda.synchronize if device == "cuda" else lambda: None
    torch.manual_seed(0)

    def seconds(function, warm=3):
        for _ in range(warm):
            function()
        finished()
        start = time.perf_counter()
        for _ in range(repeats):
            function()
        finished()
        return (time.perf_counter() - start) / repeats

    square = torch.randn(matrix, matrix, device=device, dtype=torch.bfloat16)
    peak = 2 * matrix**3 / seconds(lambda: square @ square)
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(f"torch {torch.__version__} on {name}: {peak / 1e12:.3g} TFLOP/s", flush=True)
    network = torch_network(size.theirs, joints).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
    shape = (size.training, size.side_px, size.side_px, 3)
    images = torch.randint(0, 256, shape, device=device, dtype=torch.uint8)
    truth = torch.rand(size.training, joints, 5, device=device)

    def loss(model):
        with torch.autocast(device, torch.bfloat16):
            return (model(images) - truth).abs().mean()

    with FlopCounterMode(display=False) as counter:
        loss(network).backward()
    compiled = torch.compile(network)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(compiled).backward()
        optimizer.step()

    start = time.perf_counter()
    step()
    finished()
    print(f"  compiled in {time.perf_counter() - start:.0f} s, loss {loss(network).item():.3g}")
    flops = counter.get_total_flops()
    print_row(f"train {size.theirs} {size.side_px}", size.training, seconds(step), flops, peak)
    if not with_inference:
        return
    network.eval()
    images = torch.randint(0, 256, (size.inference, *shape[1:]), device=device, dtype=torch.uint8)

    def infer():
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
            return compiled(images)

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(images)
    flops = counter.get_total_flops()
    print_row(
        f"inference {size.theirs} {size.side_px}", size.inference, seconds(infer), flops, peak
    )


def feeding(side_px: int, repeats: int, records: int, person_px: int) -> None:
    """Times the input pipeline, whose crops the device waits for."""
    import input as input_speed
    import jax
    import stored_records

    from acae_jax import config as configs
    from acae_jax.data import feed, mixture
    from acae_jax.estimation import building

    few = ["data.occluders=8", "data.backgrounds=8", f"data.side_px={side_px}"]
    config = configs.load("configs/estimation/dozens.py", few)
    make = building.example_maker(config.data, building.joint_union(config.data))
    names = [name for name, _ in stored_records.QUOTAS]
    datasets = [[stored_records.make(name, i, person_px) for i in range(records)] for name in names]
    plan = mixture.create(stored_records.QUOTAS, [records] * len(names), seed=0, ghost_size=16)
    job = feed._Job(plan, tuple(datasets), make, range(plan.batch_size))
    one = {"one core": partial(feed._host_batch, job)}
    spent = input_speed.cpu_medians(one, repeats)["one core"]
    print_row(f"input, one core, {side_px}", plan.batch_size, spent, 0, 1)
    workers = len(os.sched_getaffinity(0))
    feeding = feed.batches(plan, datasets, make, workers=workers)
    for _ in range(4 * workers):  # these batches were made ahead of time
        batch = next(feeding)
    count = repeats * workers
    start = time.perf_counter()
    for _ in range(count):
        batch = next(feeding)
    spent = (time.perf_counter() - start) / count
    feeding.close()
    print_row(f"input, {workers} workers, {side_px}", plan.batch_size, spent, 0, 1)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(jax.device_put(batch))
        times.append(time.perf_counter() - start)
    spent = statistics.median(times)
    print_row(f"input, to the device, {side_px}", plan.batch_size, spent, 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["train-s", "train-l", "torch-s", "torch-l", "input"])
    parser.add_argument("--tiny", action="store_true", help="a rehearsal on any processor")
    options = parser.parse_args()
    kind, _, letter = options.part.partition("-")
    repeats = TINY_REPEATS if options.tiny else REPEATS
    if kind == "input":
        feeding(64 if options.tiny else 256, repeats, 2 if options.tiny else 8, 384)
        return
    size = TINY if options.tiny else SIZES[letter]
    matrix = TINY_MATRIX if options.tiny else MATRIX
    if kind == "train":
        ours(size, "small5" if options.tiny else "huge8", repeats, matrix, letter == "s")
    else:
        theirs(size, 77 if options.tiny else 555, repeats, matrix, letter == "s")


if __name__ == "__main__":
    main()
