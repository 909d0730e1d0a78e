import json
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from acae_jax import config as configs

TEXT = """
from ml_collections import ConfigDict
from acae_jax import config as configs
from configs import shared


def get_config(arg=""):
    given = configs.parse_arg(arg, runlocal=False, steps=100, rate=1e-3, run="here")
    return ConfigDict({
        "steps": 4 if given.runlocal else given.steps,
        "quotas": shared.QUOTAS,
        "optimizer": {"rate": given.rate, "warmup": 10, "name": "adam", "frozen": False},
        "resume": None,
    })
"""


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "shared.py").write_text('QUOTAS = (("a", 3), ("b", 5))\n')
    (folder / "first.py").write_text(TEXT)
    return str(folder / "first.py")


@pytest.fixture(autouse=True)
def forget_imports(monkeypatch):
    """Every test's `configs` folder is another one."""
    for name in [name for name in sys.modules if name.split(".")[0] == "configs"]:
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "configs"]:
        del sys.modules[name]


def test_arguments_take_their_defaults_types():
    given = configs.parse_arg(
        "runlocal,steps=7,rate=2,name=a=b", runlocal=False, steps=1, rate=1.0, name="x", other="y"
    )
    want = {"runlocal": True, "steps": 7, "rate": 2.0, "name": "a=b", "other": "y"}
    assert given.to_dict() == want
    assert isinstance(given.rate, float)
    for empty in ("", None):
        assert configs.parse_arg(empty, steps=1).steps == 1
    assert configs.parse_arg("runlocal=0", runlocal=True).runlocal is False
    assert configs.parse_arg("at=3", at=None).at == 3


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("setps=3", "no argument 'setps'; did you mean 'steps'?"),
        ("zzz", "no argument 'zzz'; it is one of: "),
        ("steps=many", "steps must be int, got 'many'"),
        ("steps=1.5", "steps must be int, got '1.5'"),
        ("runlocal=perhaps", "runlocal must be bool, got 'perhaps'"),
        ("steps", "'steps' needs a value"),
        ("steps=1,steps=2", "'steps' is given twice"),
    ],
)
def test_bad_arguments_are_named(arg, message):
    with pytest.raises(ValueError) as caught:
        configs.parse_arg(arg, runlocal=False, steps=1)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_load_with_arguments_and_overrides(path):
    config = configs.load(f"{path}:runlocal,rate=0.5")
    assert (config.steps, config.optimizer.rate) == (4, 0.5)
    assert config.quotas == (("a", 3), ("b", 5))
    config = configs.load(
        path,
        [
            "steps=9",
            "optimizer.rate=1",
            "optimizer.frozen=true",
            "quotas=(('c', 1),)",
            "resume=x/y",
        ],
    )
    assert config.steps == 9 and config.optimizer.rate == 1.0 and config.optimizer.frozen is True
    assert config.quotas == (("c", 1),) and config.resume == "x/y"


def test_a_loaded_config_takes_no_new_names(path):
    config = configs.load(path)
    with pytest.raises(AttributeError):
        config.optimizer.rat = 1.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.rate=1", "config has no 'optimiser'; did you mean 'optimizer'?"),
        ("optimizer.rat=1", "config.optimizer has no 'rat'; did you mean 'rate'?"),
        ("optimizer.rate=fast", "config.optimizer.rate must be float, got 'fast'"),
        ("optimizer=1", "config.optimizer is a block of values; choose from"),
        ("steps.more=1", "config.steps is the value 100; it has no 'more'"),
        ("quotas=3", "config.quotas must be tuple, got '3'"),
        ("steps", "needs a value: --config.steps=…"),
    ],
)
def test_bad_overrides_are_named(path, override, message):
    with pytest.raises(ValueError) as caught:
        configs.load(path, [override])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_bad_files_are_named(path):
    with pytest.raises(ValueError, match=r"no config file .*frist\.py; did you mean 'first\.py'"):
        configs.load(path.replace("first", "frist"))
    with pytest.raises(ValueError, match=r"the folder .* does not exist"):
        configs.load("nowhere/at/all.py")
    with pytest.raises(ValueError, match=r"shared\.py must define get_config"):
        configs.load(path.replace("first", "shared"))
    with pytest.raises(
        ValueError, match=r"first\.py: config has no argument 'setps'; did you mean"
    ):
        configs.load(f"{path}:setps=3")


def test_a_block_is_taken_as_keywords_or_the_wrong_name_is_told():
    block = ConfigDict({"first": 1, "second": 2.0})

    def function(*, first, second, third=0):
        return first, second, third

    assert function(**configs.keywords(function, block, "block")) == (1, 2.0, 0)
    with pytest.raises(ValueError, match=r"config.block has no 'frist'; did you mean 'first'\?"):
        configs.keywords(function, {"frist": 1}, "block")


def test_two_trees_have_configs_of_their_own(tmp_path):
    """What a config imports from its own tree, another tree's config does not get."""
    for tree in ("a", "b"):
        folder = tmp_path / tree / "configs"
        folder.mkdir(parents=True)
        (folder / "shared.py").write_text(f"TREE = {tree!r}\n")
        (folder / "main.py").write_text(
            "from ml_collections import ConfigDict\nfrom configs import shared\n"
            "def get_config(arg): return ConfigDict({'tree': shared.TREE})\n"
        )
    for tree in ("a", "b", "a"):
        assert configs.load(str(tmp_path / tree / "configs" / "main.py")).tree == tree
    assert "configs" not in sys.modules


def test_lists_of_a_config_are_no_change(tmp_path):
    config = ConfigDict({"sizes": [1, 2], "pairs": (("a", [1]),)})
    configs.save(config, tmp_path)
    assert configs.changes(config, tmp_path) == []
    config.sizes = [1, 3]
    assert configs.changes(config, tmp_path) == ["sizes: (1, 2) → (1, 3)"]


def test_overrides_are_taken_out_of_the_command_line():
    line = ["train", "--config", "a.py:x=1", "--config.a.b=1", "-config.c", "2", "--workdir=w"]
    rest, overrides = configs.split_overrides([*line, "--config.d"])
    assert rest == ["train", "--config", "a.py:x=1", "--workdir=w"]
    assert overrides == ["a.b=1", "c=2", "d"]


def test_a_config_is_kept_with_the_run(path, tmp_path):
    config = configs.load(path)
    configs.save(config, tmp_path / "run")
    assert configs.read(tmp_path / "run").to_dict() == config.to_dict()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 100
    with pytest.raises(ValueError, match=r"no config\.json in .*empty"):
        configs.read(tmp_path / "empty")


def test_configs_of_the_repository_may_import_the_quota_tables(tmp_path, monkeypatch):
    folder = Path(__file__).parents[1] / "configs"
    monkeypatch.chdir(tmp_path)
    with configs._importable(folder / "estimation" / "any.py"):
        from configs import mixtures  # pyright: ignore

    assert sum(quota for _, quota in mixtures.HUGE8 + mixtures.TWO_D) == 128
    assert ConfigDict({"quotas": mixtures.HUGE8}).quotas == mixtures.HUGE8
