"""Side by side: the crop model and the same network in PyTorch; then the whole estimator.

Run by hand on an otherwise idle machine: `python tests/speed/inference.py [--repeats 7]`. The
network is EfficientNetV2-S on crops of 256 px with 555 joints and random weights, opened from a
bundle as users do. Where torch and torchvision are installed, their network runs in the same
process, eager and compiled, channels last; calls of all alternate. Prints crops per second
(medians), ratios and processor time, then the estimator's speed on images of 1280 × 720 px with
boxes of 1, 4 and 16 people. With onnxruntime beside them:

    python tests/speed/inference.py --bundle s256
    python -m acae_jax.export s256 --to onnx --out s256_onnx   # where jax2onnx is
    python tests/speed/inference.py --onnx s256_onnx
"""

import argparse
import logging
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from acae_jax.bundles import bundle, onnx_backend
from acae_jax.estimation.packing import architecture, program
from acae_jax.geometry import cameras
from acae_jax.inference import batches, detection
from acae_jax.inference.estimator import Estimator

SIDE_PX, JOINTS, DEPTH_BINS = 256, 555, 8
NETWORK = architecture.Architecture(
    "efficientnetv2_s", {}, 32, True, JOINTS, DEPTH_BINS, SIDE_PX, 2200.0, "float32"
)
BATCHES = (1, 8, 32)
PEOPLE = (1, 4, 16)


def write_bundle(folder):
    """A bundle of random weights."""
    network = architecture.network(NETWORK)
    images = jnp.zeros((1, SIDE_PX, SIDE_PX, 3))
    init = jax.jit(lambda key: network.init(key, images, train=False))
    weights = program.fold(network, init(jax.random.key(0)))
    # Otherwise all joints are in the middle of the crop: so small a body is infinitely far away.
    weights["head/kernel"] = 2e8 * weights["head/kernel"]
    model = program.crop_model(network)
    names = tuple(f"joint{i}" for i in range(JOINTS))
    skeletons = {"all": bundle.Selection(tuple(range(JOINTS)), names, ())}
    about = {"network": NETWORK._asdict()}
    facts = bundle.Facts("speed", SIDE_PX, names, (), skeletons, "all", (), None, about)
    contents = bundle.Contents(
        facts,
        program.export(model, weights, SIDE_PX),
        weights,
        None,
        program.reference(model, weights, SIDE_PX),
        "",
    )
    bundle.write(folder, contents)


def torch_models():
    """The same network in PyTorch, eager and compiled: functions of uint8 crops."""
    try:
        import torch
        import torchvision
    except ImportError as error:
        print(f"no PyTorch beside it ({error}): pip install torch torchvision")
        return {}

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = torchvision.models.efficientnet_v2_s().features
            self.head = torch.nn.Conv2d(1280, JOINTS * (1 + DEPTH_BINS), 1)

        def forward(self, images):
            x = images.permute(0, 3, 1, 2).float().div(127.5).sub(1)
            maps = self.head(self.features(x.contiguous(memory_format=torch.channels_last)))
            b, _, h, w = maps.shape
            flat, deep = maps.split([JOINTS, JOINTS * DEPTH_BINS], dim=1)
            flat = flat.reshape(b, JOINTS, -1).softmax(-1).reshape(b, JOINTS, h, w)
            deep = deep.reshape(b, JOINTS, -1).softmax(-1)
            deep = deep.reshape(b, JOINTS, DEPTH_BINS, h, w)
            grid = [torch.linspace(0, 1, n, device=maps.device) for n in (DEPTH_BINS, h, w)]
            across = [(flat.sum(2) * grid[2]).sum(-1), (flat.sum(3) * grid[1]).sum(-1)]
            inside = [
                (deep.sum((2, 3)) * grid[2]).sum(-1),
                (deep.sum((2, 4)) * grid[1]).sum(-1),
                (deep.sum((3, 4)) * grid[0]).sum(-1),
            ]
            return torch.stack(across + inside, dim=-1)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    eager = Network().eval().to(device, memory_format=torch.channels_last)

    def caller(model):
        def call(images, intrinsics):
            with torch.inference_mode():
                return model(torch.from_numpy(images).to(device)).cpu().numpy()

        return call

    print(f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads")
    return {"torch eager": caller(eager), "torch compiled": caller(torch.compile(eager))}


def in_turn(functions, arguments, repeats):
    """Median wall and processor seconds of functions, which are called in turn after a first call.

    A function that fails is left out. Processor time depends less on what else the machine does.
    """
    working = {}
    for name, function in functions.items():
        start = time.perf_counter()
        try:
            function(*arguments)
            working[name] = function
        except Exception as error:
            reason = str(error).strip().splitlines()[:1]
            print(f"  {name} does not run here: {type(error).__name__}: {reason}")
            continue
        print(f"  {name}: first call {time.perf_counter() - start:.1f} s", flush=True)
    times = {name: [] for name in working}
    for _ in range(repeats):
        for name, function in working.items():
            start, begun = time.perf_counter(), time.process_time()
            function(*arguments)
            times[name].append((time.perf_counter() - start, time.process_time() - begun))
    return {
        name: tuple(map(statistics.median, zip(*pairs, strict=True)))
        for name, pairs in times.items()
    }


def crop_models(models, repeats):
    def caller(model):
        def call(images, intrinsics):
            crops = [
                batches.Crop(cameras.create(k), partial(np.asarray, image))
                for image, k in zip(images, intrinsics, strict=True)
            ]
            return list(batches.predict(model.crop_model, crops, 64))

        return call

    functions = {name: caller(model) for name, model in models.items()} | torch_models()
    rng = np.random.default_rng(0)
    for batch in BATCHES:
        images = rng.integers(0, 256, (batch, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        focal, middle = 2.0 * SIDE_PX, (SIDE_PX - 1) / 2
        camera = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]], np.float32)
        medians = in_turn(functions, (images, np.tile(camera, (batch, 1, 1))), repeats)
        own, _ = medians["acae_jax"]
        for name, (median, processor) in medians.items():
            print(
                f"batch {batch:3} {name:15} {batch / median:8.1f} crops/s "
                f"({1e3 * median / batch:6.1f} ms each, "
                f"{1e3 * processor / batch:6.1f} of the processor), "
                f"acae_jax is {median / own:.2f} × as fast",
                flush=True,
            )


def whole_estimator(models, repeats):
    """Images per second of `estimate_poses`, and of the same without the network's time."""
    joints = np.zeros((64, JOINTS, 3), np.float32) + np.array([0, 0, 3000], np.float32)
    idle = models["acae_jax"]._replace(
        crop_model=lambda images, _: (joints[: len(images)], joints[: len(images), :, 0])
    )
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    detect = detection.load()
    medians = in_turn({"detector": lambda: detect([image], 0.3, 0.7, -1)}, (), repeats)
    print(f"detector: {1e3 * medians['detector'][0]:.1f} ms an image")
    for people in PEOPLE:
        corner = rng.uniform(0, [1000, 300], (people, 2))
        boxes = np.concatenate([corner, np.tile([180.0, 400.0], (people, 1))], axis=1)
        for num_aug in (1, 5):
            functions = {
                name: partial(Estimator(model).estimate_poses, image, boxes, num_aug=num_aug)
                for name, model in {**models, "without network": idle}.items()
            }
            medians = in_turn(functions, (), repeats)
            without, _ = medians.pop("without network")
            for name, (whole, _) in medians.items():
                print(
                    f"{people:3} people, {num_aug} variants, {name:15} {1 / whole:7.2f} images/s, "
                    f"{people * num_aug / whole:7.1f} crops/s; all but the network "
                    f"{1e3 * without:6.1f} ms, {100 * without / whole:.0f} % of it",
                    flush=True,
                )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--bundle", type=Path, help="keep the bundle of random weights here")
    parser.add_argument("--onnx", type=Path, help="its ONNX export, run by onnxruntime beside it")
    options = parser.parse_args()
    logging.getLogger("torch").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        path = options.bundle or Path(folder) / "bundle"
        write_bundle(path)
        start = time.perf_counter()
        models = {"acae_jax": bundle.load(path)}
        seconds = time.perf_counter() - start
        print(f"{jax.default_backend()}: bundle opened in {seconds:.1f} s")
        if options.onnx:
            models["onnxruntime"] = onnx_backend.load(options.onnx)
        crop_models(models, options.repeats)
        whole_estimator(models, options.repeats)


if __name__ == "__main__":
    main()
