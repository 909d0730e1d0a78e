"""The command `acae`, and what all mains share: light imports, one line of error, exit codes."""

import configparser
import errno
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import acae_jax
from acae_jax import __main__ as acae
from acae_jax import command_line, train

ROOT = Path(acae_jax.__file__).parents[1]
HEAVY = {"jax", "numpy", "absl", "ml_collections", "matplotlib", "cv2", "tensorflow_datasets"}


def python(*arguments, folder=None, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_all_mains_go_together_and_answer_help_at_once(capsys):
    """In one process, as in a notebook, and without the libraries that take seconds."""
    names = [module for module, _ in acae.COMMANDS.values()]
    for module in names:
        with pytest.raises(SystemExit, match="0"):
            importlib.import_module(module).main(["--help"])
        assert "usage: acae" in capsys.readouterr().out
    code = (
        "import importlib, sys, time\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    out, errors = python("-c", code).communicate(timeout=60)
    assert out == "[]\n", errors


def test_the_command_runs_from_another_folder(tmp_path):
    """From an installation's layout: the package alone on the path, as pip puts it there."""
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "acae_jax").symlink_to(ROOT / "acae_jax")
    script = "import sys; from acae_jax.__main__ import main; sys.exit(main())"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        [sys.executable, "-c", script, "predict", "nothing.jpg"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "error: there is no file or folder nothing.jpg\n"


def test_the_command_and_the_data_are_declared():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    (entry,) = setup["options.entry_points"]["console_scripts"].split("\n")[1:]
    name, _, target = entry.partition(" = ")
    module, _, function = target.partition(":")
    assert name == "acae" and getattr(importlib.import_module(module), function) is acae.main
    patterns = setup["options.package_data"]["acae_jax"].split()
    package = ROOT / "acae_jax"
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    others = {
        path
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path not in packed
    }
    assert not others and package / "py.typed" in packed


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--help"], 0, "import-weights"),
        (["--version"], 0, "acae_jax 0."),
        ([], 2, "give a command"),
        (["predcit"], 2, "there is no command 'predcit'"),
        (["export", "nothing", "--verify"], 1, "error: nothing is no"),
    ],
)
def test_what_the_command_answers(capsys, arguments, code, told):
    assert acae.main(arguments) == code
    captured = capsys.readouterr()
    assert told in (captured.err if code else captured.out)


def test_the_trainers_flags():
    given, others = train.parser().parse_known_args(
        ["--config=a.py:x=1", "--config.a.b=1", "--workdir", "w", "--config.c", "2"]
    )
    assert (given.config, given.workdir, given.verbosity) == ("a.py:x=1", Path("w"), None)
    assert others == ["--config.a.b=1", "--config.c", "2"]
    assert [train.level(text) for text in ("1", "-1", "Debug")] == [1, -1, "debug"]


def test_an_unknown_flag_of_the_trainer_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        train.main(["--config=a.py", "--workdir=w", "--config.a=1", "--wrokers=3"])
    assert "unknown arguments: --wrokers=3" in capsys.readouterr().err


def test_the_trainer_shows_where_if_asked(tmp_path, capsys):
    arguments = [f"--config={tmp_path}/none.py", f"--workdir={tmp_path}"]
    assert train.main(arguments) == 1
    error = capsys.readouterr().err
    assert "error: no config file" in error and "(--verbosity=1 shows where)" in error
    out, errors = python("-m", "acae_jax.train", *arguments, "--verbosity=1").communicate()
    assert "where it happened" in errors and "Traceback" in errors and not out


def failing(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("the fix"), "error: the fix (hint)"),
        (ImportError("pip install it"), "error: pip install it (hint)"),
        (FileNotFoundError(errno.ENOENT, "nothing there", "x"), "error: [Errno 2] nothing there"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.mp4"), "a.mp4; free space and run"),
        (OSError(errno.ENOSPC, "9 MB needed"), "error: disk full: 9 MB needed (hint)"),
    ],
)
def test_errors_that_the_user_can_mend_are_one_line_and_code_1(capsys, error, told):
    assert command_line.exit_code(failing(error), hint=lambda: " (hint)") == 1
    message = capsys.readouterr().err
    assert told in message and message.count("\n") == 1


def test_other_errors_are_not_hidden():
    with pytest.raises(KeyError):
        command_line.exit_code(failing(KeyError("a fault of the program")))
    assert command_line.exit_code(lambda: 3) == 3 and command_line.exit_code(lambda: None) == 0


@pytest.mark.parametrize("lost", [None, ImportError("numpy could not be imported")])
def test_ctrl_c_is_130_even_if_a_library_makes_another_error_of_it(capsys, lost):
    before = signal.getsignal(signal.SIGINT)

    def work():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if lost is None:
                raise
            raise lost from None

    assert command_line.exit_code(work, "stopped; run it again") == command_line.STOPPED == 130
    assert capsys.readouterr().err == "\nstopped; run it again\n"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("imported", ["numpy._core", "jax._src.config", "cv2"])
def test_ctrl_c_while_libraries_are_imported_is_no_traceback(tmp_path, imported):
    """A command that takes seconds to import what it needs, stopped meanwhile."""
    (tmp_path / "photo.jpg").write_bytes(b"no photograph")
    arguments = ("-X", "importtime", "-m", "acae_jax", "predict", "photo.jpg")
    process = python(*arguments, folder=tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if imported in line:
            process.send_signal(signal.SIGINT)
            break
    errors = process.stderr.read()
    process.communicate(timeout=60)
    told = [line for line in errors.splitlines() if not line.startswith("import time:")]
    assert process.returncode == 130 and "Traceback" not in errors
    assert told == ["", "stopped: poses up to here are in predictions; the same command continues"]


def test_names_that_are_no_utf8_can_be_told():
    # In a process of its own: stdout is changed for good.
    script = (
        "import os\nfrom acae_jax import command_line\n"
        "command_line.exit_code(lambda: print(os.fsdecode(b'caf\\xe9.mp4')))"
    )
    environment = os.environ | {"PYTHONUTF8": "1"}
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment)
    assert (told.stdout.strip(), told.stderr) == (rb"caf\udce9.mp4", b"")
