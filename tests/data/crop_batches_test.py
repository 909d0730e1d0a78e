"""Values in, batches out: by name, with each dataset's own chance of a new background."""

import numpy as np
import pytest
from examples_test import STILL, UNION, toy_record

from acae_jax.data import crop_batches, examples
from acae_jax.datasets import writer
from acae_jax.skeletons.union import of

LAYOUT = crop_batches.Layout(UNION, ("nose", "lhip", "rhip"), 96)


def test_datasets_have_their_own_chance_of_a_new_background():
    record = toy_record(mask=True)
    make = crop_batches.maker(
        LAYOUT,
        STILL._replace(background_probability=1.0),
        backgrounds=[np.full((64, 64, 3), 90, np.uint8)],
        background_probabilities=(None, 0.0),
    )
    plain = examples.make(record, (0, 0, 0), augmentation=None, **LAYOUT._asdict())["image"]
    changed, kept = (make(record, dataset, (0, 0, 0))["image"]() for dataset in (0, 1))
    assert not np.array_equal(changed, plain)
    np.testing.assert_array_equal(kept, plain)


def test_shapes_are_those_of_the_examples():
    example = examples.make(toy_record(), (0, 0, 0), augmentation=None, **LAYOUT._asdict())
    shapes = crop_batches.shapes(LAYOUT, batch_size=5)
    assert shapes.keys() == example.keys()
    for name, value in example.items():
        assert shapes[name].shape == (5, *value.shape) and shapes[name].dtype == value.dtype


def test_a_dataset_whose_joints_have_other_names_is_refused(tmp_path):
    record = toy_record(image=b"\xff\xd8\xff\xd9")
    names = UNION.member_joints["toy"]
    for name, joints in (("right", names), ("wrong", names[::-1])):
        splits = {"train": lambda: [record]}
        writer.write(tmp_path, name, "1.0.0", splits, description="", joint_names={"toy": joints})
    source = crop_batches.open_crops("right", tmp_path, "train", UNION)
    assert crop_batches.formats(source) == ("toy",) and source.joint_names == {"toy": names}
    with pytest.raises(ValueError, match=r"dataset 'wrong' labels toy with .*prepare the dataset"):
        crop_batches.open_crops("wrong", tmp_path, "train", UNION)
    only_other = of([])._replace(member_joints={"other": names[:4]})
    crop_batches.open_crops("wrong", tmp_path, "train", only_other)  # nothing to compare
    with pytest.raises(ValueError, match="already holds a dataset, and its content is unknown"):
        writer.write(tmp_path, "right", "1.0.0", splits, description="", joint_names={"toy": names})


def test_a_dataset_is_kept_only_where_its_metadata_are_the_same(tmp_path):
    record = toy_record(image=b"\xff\xd8\xff\xd9")

    def write(seed, records=(record,)):
        return writer.write(
            tmp_path,
            "toy",
            "1.0.0",
            {"train": lambda: records},
            description="",
            joint_names={"toy": UNION.member_joints["toy"]},
            metadata={"seed": seed},
        )

    folder = write(0)
    assert write(0, ()) == folder  # nothing is made again
    with pytest.raises(ValueError, match=r"toy/1.0.0 already .* it differs in seed: delete that"):
        write(1)
