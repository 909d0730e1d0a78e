"""The published recipe – 28 + 4 datasets, 555 joints, ghost groups of 16 – takes two steps."""

import cv2
import numpy as np

from acae_jax import config as configs
from acae_jax import train
from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets import writer
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions
from acae_jax.training import checkpoints, logs, loop


def make_record(key, label_format, joints, labels):
    rng = np.random.default_rng(len(key))
    image = cv2.imencode(".jpg", rng.integers(0, 255, (96, 96, 3), np.uint8))[1].tobytes()
    return CropRecord(
        image=image,
        intrinsics=np.array([[300, 0, 47.5], [0, 300, 47.5], [0, 0, 1]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        joints_mm=(300 * rng.normal(size=(joints, 3)) + [0, 0, 4000]).astype(np.float32),
        joints_px=rng.uniform(10, 80, (labels, 2)).astype(np.float32),
        box=np.array([8, 8, 80, 80], np.float32),
        mask_rle=np.zeros(0, np.uint32),
        format=label_format,
        key=key,
    )


def write_all(folder, config):
    """Every dataset of the quota table, with two records of its own shape."""
    union = unions.mixture("huge8")
    for name, _ in config.data.quotas:
        is_3d = name in union.members
        label_format = name if is_3d else f"{name}_2d"
        joints = len(union.members[name]) if is_3d else 0
        labels = 0 if is_3d else len(catalogue.load(label_format).joint_names)
        made = [make_record(f"{name}/{i}", label_format, joints, labels) for i in range(2)]
        joints_of = union.member_joints[name] if is_3d else catalogue.load(label_format).joint_names
        writer.write(
            folder,
            name,
            "1.0.0",
            {"train": lambda m=made: m},
            description="for a test",
            joint_names={label_format: joints_of},
        )


def test_two_steps_of_the_28_datasets(tmp_path):
    data, workdir = tmp_path / "data", tmp_path / "run"
    config = configs.load(f"configs/estimation/dozens.py:runlocal,data={data}")
    assert sum(quota for _, quota in config.data.quotas[:28]) == 96
    assert sum(quota for _, quota in config.data.quotas[28:]) == 32
    write_all(data, config)
    train.run(config, str(workdir))
    params = checkpoints.load_params(workdir)["params"]
    assert params["head"]["bias"].shape == (9 * 555,)
    rows = logs.read(workdir / loop.LOG)
    assert rows[-1]["step"] == 2
    for name in ("relative", "projected", "labels_2d"):
        assert rows[-1][name] > 0
