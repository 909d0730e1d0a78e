"""Configs: Python files with `get_config(arg)`; loading, changing, saving and comparing them.

    --config configs/estimation/initial.py:runlocal,steps=100 --config.optimizer.rate=1e-3

The arguments of the file stand after the colon (`parse_arg`); overrides of single values follow.
Both are strict: an unknown name or a value of the wrong type is a ValueError of one line.
(ml_collections' config_flags answers a misspelt override with a traceback, and a missing file with
an object that fails later.) A config is the user's own Python code, which runs when it is loaded.
It may import its neighbours (`from configs import mixtures`) from any working directory.
"""

import ast
import contextlib
import itertools
import json
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from acae_jax import messages, systems
from acae_jax.files import paths

_WORDS = {"true": True, "1": True, "false": False, "0": False}


def parse_arg(arg: str | None, **defaults: Any) -> ConfigDict:
    """Return the arguments of a config: `defaults`, changed by text such as "runlocal,steps=100".

    A bare name stands for name=True. Raises ValueError for a name that is not in the defaults, a
    name given twice, or a value of another type than the default (bool, int, float or str).
    """
    values, names = dict(defaults), set()
    for part in filter(None, (arg or "").split(",")):
        name, equals, text = part.partition("=")
        if name not in defaults:
            raise ValueError(
                f"config has no argument {name!r}; {messages.near_misses(name, defaults)}"
            )
        if name in names:
            raise ValueError(f"config argument {name!r} is given twice")
        names.add(name)
        if not equals and not isinstance(defaults[name], bool):
            raise ValueError(f"config argument {name!r} needs a value: {name}=…")
        values[name] = _parsed(name, text if equals else "true", defaults[name])
    return ConfigDict(values)


def load(path_with_arg: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """Load "file.py" or "file.py:args", then apply overrides such as "optimizer.rate=1e-3".

    The result is locked: no names can be added. Raises ValueError for a file that is missing or has
    no get_config, for overrides with an unknown name or of another type, and for folders that are
    addresses of buckets.
    """
    path_text, _, arg = path_with_arg.partition(":")
    path = Path(path_text).expanduser()
    if not path.is_file():
        raise ValueError(f"no config file {path_text}{_beside(path)}")
    with _importable(path):
        names = runpy.run_path(str(path))
    if "get_config" not in names:
        raise ValueError(f"config {path_text} must define get_config(arg) -> ConfigDict")
    try:
        config = names["get_config"](arg)
    except ValueError as error:
        raise ValueError(f"{path_text}: {error}") from error
    if not isinstance(config, ConfigDict):
        raise ValueError(f"config {path_text}: get_config must return an ml_collections ConfigDict")
    for override in overrides:
        _override(config, override)
    for name, value in flat(config.to_dict()):
        if isinstance(value, str) and paths.is_in_store(value):
            _as_folder(name, value)
    return config.lock()


def keywords(
    function: Callable[..., Any], block: ConfigDict | Mapping[str, Any], name: str
) -> dict[str, Any]:
    """The block `config.NAME` as keyword arguments of a function or a NamedTuple.

    Raises ValueError for a name that the function does not take.
    """
    names = signature(function).parameters
    for key in block:
        if key not in names:
            raise ValueError(f"config.{name} has no {key!r}; {messages.near_misses(key, names)}")
    return dict(block)


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate the overrides --config.a.b=value from the other arguments of a command line.

    Returns the other arguments, and the overrides as "a.b=value", for `load`.
    """
    rest, overrides = [], []
    remaining = iter(arguments)
    for argument in remaining:
        dashes, dot, override = argument.partition("config.")
        if not dot or dashes not in ("-", "--"):
            rest.append(argument)
        elif "=" in override:
            overrides.append(override)
        else:  # --config.a.b value; without a value, `load` complains
            overrides.append("=".join((override, *itertools.islice(remaining, 1))))
    return rest, overrides


def save(config: ConfigDict, workdir: str | Path) -> None:
    """Write the config to config.json in the run's folder, so that it stays with the results."""
    folder = Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config.to_dict(), indent=2)
    temporary = folder / "config.json.tmp"
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(folder / "config.json")  # so the file is complete or absent


def read(workdir: str | Path) -> ConfigDict:
    """Read the config.json of a run's folder; the config is locked, and its lists are tuples.

    Raises ValueError if the file is missing or damaged.
    """
    path = Path(workdir) / "config.json"
    if not path.is_file():
        raise ValueError(f"no config.json in {workdir}; is it the folder of a run?")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if isinstance(values, dict) and isinstance(values.get("task"), str):
        values["task"] = systems.today(values["task"])
    return ConfigDict(_tuples(values)).lock()


def changes(config: ConfigDict, workdir: str | Path) -> list[str]:
    """The differences from the config.json in a run's folder, as "name: old → new"; none if there
    is no such file.
    """
    if not (Path(workdir) / "config.json").is_file():
        return []
    as_read = _tuples(json.loads(json.dumps(config.to_dict())))  # `read` turns lists into tuples
    before, now = dict(flat(read(workdir).to_dict())), dict(flat(as_read))
    return [
        f"{name}: {before.get(name, 'absent')} → {now.get(name, 'absent')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name, "absent") != now.get(name, "absent")
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The single values of nested blocks, with dotted names: ("optimizer.rate", 1e-3)."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _override(config: ConfigDict, override: str) -> None:
    """Change one value in place; it keeps its type."""
    dotted, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"override {override!r} needs a value: --config.{dotted}=…")
    *blocks, name = dotted.split(".")
    block = config
    for depth, part in enumerate([*blocks, name]):
        path = ".".join(["config", *blocks[:depth]])
        if not isinstance(block, ConfigDict):
            raise ValueError(f"{path} is the value {block!r}; it has no {part!r}")
        if part not in block:
            raise ValueError(f"{path} has no {part!r}; {messages.near_misses(part, list(block))}")
        parent, block = block, block[part]
    if isinstance(block, ConfigDict):
        raise ValueError(f"config.{dotted} is a block of values; choose from {', '.join(block)}")
    parent[name] = _parsed(f"config.{dotted}", text, block)


def _as_folder(name: str, text: str) -> Path:
    """A value as a path of this machine."""
    try:
        return paths.local(text)
    except ValueError as error:
        raise ValueError(f"config.{name}: {error}") from error


def _parsed(name: str, text: str, default: Any) -> Any:
    """The text as a value of the default's type; any literal or text if the default is None."""
    kind = type(default)
    try:
        if kind is bool:
            return _WORDS[text.lower()]
        if kind in (int, float, str):
            return kind(text)
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, KeyError) as error:
        if default is None:
            return text
        raise ValueError(f"{name} must be {kind.__name__}, got {text!r}") from error
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if default is not None and not isinstance(value, kind):
        raise ValueError(f"{name} must be {kind.__name__}, got {text!r}")
    return value


def _beside(path: Path) -> str:
    """A hint at config files in the folder of a missing one."""
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist"
    names = [file.name for file in path.parent.glob("*.py")]
    return f"; {messages.near_misses(path.name, names)}"


@contextlib.contextmanager
def _importable(path: Path) -> Iterator[None]:
    """Let a config import from the `configs` folder around it while it is loaded.

    These modules are forgotten afterwards, because the next config may lie in another such folder.
    """
    roots = [str(p.parent) for p in path.resolve().parents if p.name == "configs"]
    others = {name: sys.modules.pop(name) for name in _configs_modules()}
    sys.path[:0] = roots
    try:
        yield
    finally:
        for root in roots:
            sys.path.remove(root)
        for name in _configs_modules():
            del sys.modules[name]
        sys.modules.update(others)


def _configs_modules() -> list[str]:
    return [name for name in sys.modules if name == "configs" or name.startswith("configs.")]


def _tuples(value: Any) -> Any:
    """The lists of JSON as tuples."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
