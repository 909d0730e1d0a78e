"""Where compiled programs are kept, and when they are not."""

import jax
import pytest

from acae_jax.bundles import compiling


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.delenv(compiling.SWITCH, raising=False)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_it_lies_in_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = compiling.keep()
    assert folder is not None and folder.parent == tmp_path / "acae_jax"
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert compiling.keep() is None  # chosen already


def test_a_folder_is_named_by_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(compiling.SWITCH, str(tmp_path / "mine"))
    folder = compiling.keep()
    assert folder is not None and folder.parent == tmp_path / "mine"


@pytest.mark.parametrize("off", ["0", "off", ""])
def test_the_variable_switches_it_off(off, monkeypatch):
    monkeypatch.setenv(compiling.SWITCH, off)
    assert compiling.keep() is None
    assert jax.config.jax_compilation_cache_dir is None


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(compiling.SWITCH, str(tmp_path / "file" / "cache"))
    assert compiling.keep() is None
    assert jax.config.jax_compilation_cache_dir is None


def test_a_folder_that_others_may_write_to_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv(compiling.SWITCH, str(tmp_path))
    folder = compiling.keep()
    jax.config.update("jax_compilation_cache_dir", None)
    assert folder is not None
    folder.chmod(0o777)
    assert compiling.keep() is None
    assert jax.config.jax_compilation_cache_dir is None


def test_a_folder_that_others_may_exchange_is_not_trusted(tmp_path, monkeypatch):
    """Its own rights say nothing if somebody may rename it from the folder above."""
    monkeypatch.setenv(compiling.SWITCH, str(tmp_path / "shared" / "mine"))
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    assert compiling.keep() is None
    assert jax.config.jax_compilation_cache_dir is None
    (tmp_path / "shared").chmod(0o1777)  # sticky, as /tmp
    assert compiling.keep() is not None
