"""Where a folder is expected, an address is refused at once, and nothing is made."""

from pathlib import Path

import pytest

import acae_jax
from acae_jax import config as configs
from acae_jax import export, import_weights, predict, prepare, report, train
from acae_jax.data import sources
from acae_jax.datasets.synthetic import build
from acae_jax.files import paths
from acae_jax.own_skeletons import __main__ as own_skeletons
from acae_jax.training import checkpoints, loop

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs/estimation/embedded.py")
MAINS = [
    (train.main, ["--config", CONFIG, "--workdir", "gs://b/r"]),
    (prepare.main, ["--out", "gs://b/r"]),
    (predict.main, ["a.jpg", "--out", "gs://b/r"]),
    (predict.main, ["a.jpg", "--bundle", "gs://b/r"]),
    (report.main, ["gs://b/r"]),
    (report.main, ["runs/a", "--out", "gs://b/r"]),
    (export.main, ["gs://b/r", "--to", "onnx", "--out", "x"]),
    (export.main, ["runs/a", "--to", "onnx", "--out", "gs://b/r"]),
    (import_weights.main, ["timm", "a.pth", "--model", "m", "--out", "gs://b/r"]),
    (own_skeletons.main, ["fit", "--examples", "a.json", "--out", "gs://b/r"]),
]


@pytest.mark.parametrize(("main", "arguments"), MAINS)
def test_every_command_refuses_an_address_and_makes_nothing(
    main, arguments, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "gs://b/r is a bucket's address" in said
    assert "(gcsfuse" in said and said.endswith("b /mnt/b) and give /mnt/b/r")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "use",
    [
        lambda address: train.run(configs.load(CONFIG), address),
        lambda address: loop.fit(
            loop.Task(init=None, update=None, batches=None), address, steps=1, seed=0, save_every=1
        ),
        checkpoints.load_params,
        acae_jax.load,
        lambda address: sources.open("smpl", address, "train"),
        lambda address: build.build(address, size="tiny"),
        lambda address: configs.load(CONFIG, [f"data.folder={address}"]),
        lambda address: configs.load(CONFIG, [f"initial={address}"]),
    ],
)
def test_functions_refuse_an_address(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="gs://b/r is a bucket's address"):
        use("gs://b/r")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3://b/r", "mount the bucket and give the folder below it: /mnt/b/r"),
        ("gs:/b/r", "gs://b/r is a bucket"),  # what pathlib makes of it
        ("https://a.b/c.zip", "is an address, not a path of this machine: download it first"),
        ("FILE:///data/x", "give the path alone, /data/x"),
    ],
)
def test_the_line_says_what_to_do(text, message):
    with pytest.raises(paths.NotLocalError) as caught:
        paths.local(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["runs/a", "/mnt/b", "C:/data", "a:b", "take_12:30/x"])
def test_paths_are_paths(text):
    assert paths.local(text) == Path(text)
    assert paths.local(Path(text)) == Path(text)
