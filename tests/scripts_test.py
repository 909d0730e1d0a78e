"""Scripts that people run by hand import what the package has."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [
    path.relative_to(ROOT)
    for folder in ("launch", "tests/speed")
    for path in ROOT.glob(f"{folder}/*.py")
]


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_its_imports_exist(script, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "launch"))
    imports = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse((ROOT / script).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if node.module.partition(".")[0] in ("acae_jax", "planning", "photographs")
    ]
    for module, name in imports:
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")
