import json

import pytest

from acae_jax.files import json_files
from acae_jax.skeletons import skeleton


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_json_is_read(tmp_path, encoding):
    content = {"name": "größe", "list": [1, 2.5, None]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    assert json_files.read(path) == json_files.read_object(path) == content


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2", b"\xff\xfe\xff", b"[" * 100_000])
def test_what_is_no_json_is_one_line_with_the_file(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json is not JSON ") as raised:
        json_files.read(path)
    assert "\n" not in str(raised.value)


def test_an_object_is_no_list(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"a\.json must hold one JSON object"):
        json_files.read_object(tmp_path / "a.json")


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        json_files.read(tmp_path / "none.json")


def test_skeleton_files_have_the_same_reader(tmp_path):
    path = tmp_path / "mine.json"
    content = {"name": "mine", "joint_names": ["pelv", "neck"], "edges": [["pelv", "neck"]]}
    path.write_text(json.dumps(content), encoding="utf-8-sig")
    assert skeleton.read(path).joint_names == ("pelv", "neck")
