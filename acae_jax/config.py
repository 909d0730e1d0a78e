"""Configs: python files with `get_config(arg)`, and how a run chooses, changes and keeps one.

    --config configs/estimation/initial.py:runlocal,steps=100 --config.optimizer.rate=1e-3

Behind the colon stand the file's own arguments (`parse_arg`), then overrides of single values. Both
are strict: a name that does not exist, or a value of the wrong type, is a ValueError of one line
(ml_collections' config_flags answers a misspelt override with a traceback, and a missing file with
an object that fails later). A config is the user's own python and is run when it is loaded. It may
import its neighbours (`from configs import mixtures`), wherever the command runs.
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
    """Return a config's arguments: "runlocal,steps=100" over the defaults, in the defaults' types.

    A bare name stands for name=True. Raises ValueError for a name that is not among the defaults, a
    name given twice, or a value that is not of its default's type (bool, int, float or str).
    """
    values, seen = dict(defaults), set()
    for part in filter(None, (arg or "").split(",")):
        name, equals, text = part.partition("=")
        if name not in defaults:
            raise ValueError(
                f"config has no argument {name!r}; {messages.near_misses(name, defaults)}"
            )
        if name in seen:
            raise ValueError(f"config argument {name!r} is given twice")
        seen.add(name)
        if not equals and not isinstance(defaults[name], bool):
            raise ValueError(f"config argument {name!r} needs a value: {name}=…")
        values[name] = _parsed(name, text if equals else "true", defaults[name])
    return ConfigDict(values)


def load(path_with_arg: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """Load "file.py" or "file.py:args", then apply overrides such as "optimizer.rate=1e-3".

    The result is locked: it takes no new names. Raises ValueError for a file that is not there or
    has no get_config, for overrides of names that do not exist or of another type, and for folders
    that are a bucket's address.
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

    A ValueError for a name that the function does not take.
    """
    names = signature(function).parameters
    for key in block:
        if key not in names:
            raise ValueError(f"config.{name} has no {key!r}; {messages.near_misses(key, names)}")
    return dict(block)


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take every --config.a.b=value out of a command line.

    Returns the other arguments and the overrides "a.b=value", in the form that `load` takes.
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
    """Write the config to config.json in the run's folder, so that results keep what made them."""
    folder = Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config.to_dict(), indent=2)
    temporary = folder / "config.json.tmp"
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(folder / "config.json")  # complete or absent, whatever happens meanwhile


def read(workdir: str | Path) -> ConfigDict:
    """Read the config.json of a run's folder, locked. Tuples come back as tuples.

    A ValueError if there is none or it is damaged.
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
    """What differs from the config.json in a run's folder, as "name: old → new"; nothing if there
    is none.
    """
    if not (Path(workdir) / "config.json").is_file():
        return []
    as_read = _tuples(json.loads(json.dumps(config.to_dict())))  # lists come back as tuples
    before, now = dict(flat(read(workdir).to_dict())), dict(flat(as_read))
    return [
        f"{name}: {before.get(name, 'absent')} → {now.get(name, 'absent')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name, "absent") != now.get(name, "absent")
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Single values of nested blocks by dotted name, such as ("optimizer.rate", 1e-3)."""
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
    for done, part in enumerate([*blocks, name]):
        path = ".".join(["config", *blocks[:done]])
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
    """The text as a value of the default's type; any literal or text where the default is None."""
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
    """A hint at the config files near a missing one."""
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist"
    names = [file.name for file in path.parent.glob("*.py")]
    return f"; {messages.near_misses(path.name, names)}"


@contextlib.contextmanager
def _importable(path: Path) -> Iterator[None]:
    """While loading, let a config import from the `configs` folder that it lies in.

    What it imports from there is forgotten afterwards: the next config may lie in another one.
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
    """Lists of JSON as the tuples that they were."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
