import copy
import json
import pickle
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from acae_jax.data import crop_record, schema, sources

COUNT = 12


def make(number):
    """A small 3D record with a noisy picture, so that every JPEG is long and different."""
    image = np.random.default_rng(number).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    return crop_record.CropRecord(
        image=cv2.imencode(".jpg", image)[1].tobytes(),
        intrinsics=np.array([[50, 0, 19.5], [0, 50, 23.5], [0, 0, 1]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        joints_mm=np.array([[number, 0, 3000], [np.nan] * 3], np.float32),
        joints_px=np.zeros((0, 2), np.float32),
        box=np.array([2, 3, 20, 18], np.float32),
        mask_rle=np.array([10, 20], np.uint32),
        format="coco_body",
        key=f"studio/{number:06d}",
    )


class Studio(tfds.core.GeneratorBasedBuilder):
    """What a dataset's builder looks like to TFDS."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = None

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=schema.features(crop_record.SCHEMA))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(COUNT):
            yield number, schema.to_dict(crop_record.SCHEMA, make(number))


@pytest.fixture
def data_dir(tmp_path):
    builder = Studio(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    return tmp_path


def shard(data_dir):
    (path,) = (data_dir / "studio" / "1.0.0").glob("*.array_record-*")
    return path


def number_of(record):
    return int(record.key.split("/")[1])


def test_every_record_comes_back_as_it_was_written(data_dir):
    source = sources.open("studio", data_dir, "train")
    assert len(source) == COUNT
    assert sorted(number_of(record) for record in source) == list(range(COUNT))
    for record in source:
        for have, want in zip(record, make(number_of(record)), strict=True):
            np.testing.assert_array_equal(have, want)
            assert type(have) is type(want)


def test_a_source_holds_records_and_travels_to_other_processes(data_dir):
    source = sources.open("studio", data_dir, "train")
    again = pickle.loads(pickle.dumps(source))  # our own bytes
    assert again[3].key == source[3].key == source[3 - COUNT].key
    assert isinstance(source, sources.Records) and isinstance([make(0)], sources.Records)
    with pytest.raises(IndexError, match="has 12 records; there is no record 12"):
        source[COUNT]


def test_the_newest_version_is_read(data_dir):
    old = data_dir / "studio" / "1.0.0"
    for version in ("1.9.0", "1.10.0"):
        new = old.with_name(version)
        new.mkdir()
        for file in old.iterdir():
            text = file.read_bytes().replace(b'"1.0.0"', f'"{version}"'.encode())
            (new / file.name).write_bytes(text)
    assert sources.open("studio", data_dir, "train").directory.name == "1.10.0"


def test_missing_dataset_says_what_is_there_and_how_to_prepare_it(data_dir):
    with pytest.raises(ValueError, match="did you mean 'studio'") as caught:
        sources.open("studoi", data_dir, "train")
    message = str(caught.value)
    assert "\n" not in message
    assert "prepare" not in message  # it is refused for datasets that are not the embedded ones
    with pytest.raises(ValueError, match=f"run: python -m acae_jax.prepare --out {data_dir}$"):
        sources.open("embedded_test", data_dir, "train")


def test_missing_folder_and_split(data_dir):
    with pytest.raises(ValueError, match=r"the folder does not exist; check data\.folder and"):
        sources.open("studio", data_dir / "nowhere", "train")
    with pytest.raises(ValueError, match="has no split 'test'; it has train"):
        sources.open("studio", data_dir, "test")


def test_available_lists_prepared_datasets_only(data_dir):
    (data_dir / "other").mkdir()
    assert sources.available(data_dir) == ("studio",)


def test_a_flipped_byte_is_found_and_named_and_harms_no_other_record(data_dir):
    path = shard(data_dir)
    damaged = bytearray(path.read_bytes())
    damaged[len(make(0).image) * 5] ^= 0xFF
    path.write_bytes(bytes(damaged))
    source, errors = sources.open("studio", data_dir, "train"), {}
    for index in range(COUNT):
        try:
            record = source[index]
        except ValueError as error:
            errors[index] = str(error)
        else:
            assert record.image == make(number_of(record)).image
    ((index, message),) = errors.items()
    assert f"dataset 'studio' (train), record {index}: " in message
    assert "hash mismatch" in message and "\n" not in message


@pytest.mark.parametrize("size", [0, 70_000])
def test_a_file_cut_short_is_named(data_dir, size):
    path = shard(data_dir)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"dataset 'studio' \(train\), record 11: ") as caught:
        sources.open("studio", data_dir, "train")[11]
    assert "prepare" in str(caught.value) and "\n" not in str(caught.value)


def test_a_dataset_from_elsewhere_cannot_import_a_module(data_dir, tmp_path, monkeypatch):
    """TFDS imports what a description names; a folder with such a name opens nothing here."""
    (tmp_path / "hostile_dataset.py").write_text("raise SystemExit('hostile code ran')")
    monkeypatch.syspath_prepend(tmp_path)
    path = data_dir / "studio" / "1.0.0" / "features.json"
    honest = json.loads(path.read_text())

    def changed(edit):
        content = copy.deepcopy(honest)
        edit(content, content["featuresDict"]["features"])
        return content

    name = "hostile_dataset.Feature"
    tensor = "tensorflow_datasets.core.features.tensor_feature.Tensor"
    for content in (
        changed(lambda top, fields: top.update(pythonClassName=name)),
        changed(lambda top, fields: fields["box"].update(pythonClassName=name)),
        changed(lambda top, fields: fields.update(box={"type": name, "content": {}})),
        changed(lambda top, fields: fields["box"].update(type=name)),
        changed(lambda top, fields: fields.update(extra={"pythonClassName": name, "text": {}})),
        changed(
            lambda top, fields: fields.update(
                extra={
                    "pythonClassName": tensor.replace("tensor_feature.Tensor", "sequence.Sequence"),
                    "sequence": {"feature": {"pythonClassName": name}},
                }
            )
        ),
        changed(lambda top, fields: top.update(type=name, content={})),
        {"type": name, "content": {}},
        [name],
        {"pythonClassName": tensor},
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"dataset 'studio': .* cannot be opened") as caught:
            sources.open("studio", data_dir, "train")
        assert "\n" not in str(caught.value)
    assert "hostile_dataset" not in sys.modules
    path.write_text(json.dumps(honest))
    info = path.with_name("dataset_info.json")
    info.write_text(json.dumps(json.loads(info.read_text()) | {"moduleName": "hostile_dataset"}))
    assert len(sources.open("studio", data_dir, "train")) == COUNT
    assert "hostile_dataset" not in sys.modules


def test_a_damaged_description_is_named(data_dir):
    (data_dir / "studio" / "1.0.0" / "features.json").write_text("{")
    with pytest.raises(ValueError, match=r"dataset 'studio': .* cannot be opened"):
        sources.open("studio", data_dir, "train")


def test_opening_allows_as_many_open_files_as_the_system_does(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, before[1]))
        sources.allow_many_files()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == min(hard, sources.MOST_FILES) and hard == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_name_with_a_slash_is_the_path_of_a_dataset(data_dir):
    source = sources.open(f"{data_dir}/studio", "data/elsewhere", "train")
    assert (source.name, source[0].key) == (
        "studio",
        sources.open("studio", data_dir, "train")[0].key,
    )
    assert sources.is_prepared(f"{data_dir}/studio/", "data/elsewhere")
    assert not sources.is_prepared("studio", "data/elsewhere")
    assert sources.plain_name(f"{data_dir}/studio/") == sources.plain_name("studio") == "studio"
    with pytest.raises(ValueError, match=f"no dataset 'studo' in {data_dir}; .*'studio'"):
        sources.open(f"{data_dir}/studo", "data/elsewhere", "train")
