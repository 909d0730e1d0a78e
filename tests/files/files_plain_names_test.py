"""Names that FFmpeg and ezc3d would misread, or not survive."""

import os

import pytest

from acae_jax.files import plain_names

ODD = [os.fsdecode(b"caf\xe9.mp4"), "img_%03d.png", "a%d", "img_%*.png", os.fsdecode(b"a.m\xe9")]
EVERYDAY = [
    "take_12:30.mp4",
    "-i.mp4",
    "a b.mp4",
    "膝.mp4",
    "50%_speed.mp4",
    "a|b;c.mp4",
    "a\nb.mp4",
]


@pytest.mark.parametrize("name", [*ODD, *EVERYDAY])
def test_a_file_is_read_and_made_by_its_plain_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "name").mkdir()
    (tmp_path / name).write_text("content")
    with plain_names.plain_name(name) as plain:
        plain.encode()
        assert os.path.isabs(plain) and "%03d" not in plain  # noqa: PTH117
        assert (plain == str(tmp_path / name)) == (name in EVERYDAY)
        with open(plain) as file:  # noqa: PTH123
            assert file.read() == "content"
    with plain_names.plain_name(f"name/{name}") as plain, open(plain, "w") as file:  # noqa: PTH123
        pass
    assert os.listdir("name") == [name]  # noqa: PTH208


@pytest.mark.parametrize("name", ["a.mp4", "img_%03d.mp4", "b.caf\udce9"])
def test_the_kind_of_a_file_can_still_be_told(tmp_path, name):
    with plain_names.plain_name(tmp_path / name) as plain:
        assert plain.endswith(".mp4") or name.startswith("b")


def test_what_cannot_be_named_is_one_line(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    with (
        pytest.raises(OSError, match=r"%d\.mp4 has a name .* misread; rename it \(no links here"),
        plain_names.plain_name(tmp_path / "%d.mp4"),
    ):
        pass


def test_folders_of_checkpoints_and_datasets_are_refused_before_anything_is_made(tmp_path):
    pytest.importorskip("array_record")
    from acae_jax.datasets import writer
    from acae_jax.training import checkpoints

    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(ValueError, match=r"caf\\udce9.*' is no UTF-8.*rename the folder") as caught:
        checkpoints.Checkpoints(folder, {})
    str(caught.value).encode()  # can be told
    with pytest.raises(ValueError, match="is no UTF-8"):
        writer.write(folder, "a", "1.0.0", {"all": list}, description="", joint_names={})
    assert list(tmp_path.iterdir()) == []
