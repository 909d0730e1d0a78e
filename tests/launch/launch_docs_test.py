"""The shell scripts are clean, and the commands of launch/README.md are accepted as they stand."""

import re
import shlex
import subprocess
import sys

import gke
import local
import pytest
import rental
import slurm
import sweep
import tpu_vm
from fake_programs import ROOT
from launch_refusals_test import MAINS

TEXT = (ROOT / "launch/README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    words
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if (words := shlex.split(line, comments=True))[:1] == ["python"]
]
SCRIPTS = [*sorted((ROOT / "launch").glob("*.sh")), ROOT / ".ci/run"]


def test_shell_scripts_are_clean():
    checker = f"{sys.prefix}/bin/shellcheck"
    done = subprocess.run([checker, "-x", *SCRIPTS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_documented_command_is_accepted_and_its_cost_is_right(fakes, words, capsys):
    name = words[1].removeprefix("launch/").removesuffix(".py")
    assert rental.guarded(MAINS[name], ["--dry-run", *words[2:]]) == 0
    said = capsys.readouterr().out
    if "--confirm" in words:
        total = words[words.index("--confirm") + 1]
        assert re.search(rf"at most {total} \w+-hours\n", said)
    assert fakes.calls() == []


@pytest.mark.parametrize("module", [local, slurm, tpu_vm, gke, sweep, rental])
def test_help_shows_a_command_that_is_accepted(fakes, module, capsys):
    text = (module.__doc__ or "").replace("\\\n", "")
    shown = re.search(rf"^python launch/{module.__name__}\.py (.*?)\n\n", text, re.M | re.DOTALL)
    if not shown and module is not rental:
        shown = re.search(rf"^python launch/{module.__name__}\.py (.*)\Z", text, re.M | re.DOTALL)
    if module is rental:
        assert not shown
        return
    assert shown
    command = shown[1].split("\n\n")[0]
    assert rental.guarded(MAINS[module.__name__], ["--dry-run", *shlex.split(command)]) == 0
    if "--confirm" in command:
        assert f"at most {command.split('--confirm ')[1].split()[0]} " in capsys.readouterr().out


def test_every_launcher_is_documented():
    for name in MAINS:
        assert f"launch/{name}.py" in TEXT
