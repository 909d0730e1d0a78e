"""Evaluations on stored crops: what partly labelled sets say of a network that is always right."""

import logging

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from acae_jax.benchmarks.stored_crops import CropModel, StoredCrops
from acae_jax.data import crop_batches
from acae_jax.data.crop_batches import Layout
from acae_jax.data.crop_record import CropRecord
from acae_jax.estimation.evaluation import crop_evals, per_format
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.skeleton import Skeleton
from acae_jax.training.state import TrainState

NAMES = ("pelv", "lhip", "rhip", "lank", "rank", "htop")
UNION = unions.of([Skeleton("first", NAMES, ()), Skeleton("second", NAMES[:5], ())])
MERGED = unions.merged_by_name([Skeleton("first", NAMES, ()), Skeleton("second", NAMES[:5], ())])
LAYOUT = Layout(UNION, (), 32)
COUNT = 11
METRICS = {"mpjpe_mm", "pa_mpjpe_mm", "absolute_mpjpe_mm", "pck150", "auc150"}
BETWEEN = {"disagreement_depth_mm", "disagreement_plane_mm"}
STATE = TrainState(jnp.zeros((), jnp.int32), {}, {}, ())


def world_poses():
    """Both formats' joints side by side; neighbours of the formats are 20 mm apart."""
    rng = np.random.default_rng(0)
    first = rng.normal(0, 300, (COUNT, 6, 3)) + np.array([0, 0, 3000])
    second = first[:, :5] + np.array([0, 20, 0])
    return np.concatenate([first, second], axis=1).astype(np.float32)


def records(valid, format_name=None):
    """Records of both formats, or of one, that label what is `valid`."""
    poses = np.where(valid[..., None], world_poses(), np.float32(np.nan))
    image = cv2.imencode(".jpg", np.full((64, 64, 3), 128, np.uint8))[1].tobytes()
    at = list(UNION.members[format_name]) if format_name else list(range(11))
    return [
        CropRecord(
            image=image,
            intrinsics=np.array([[60, 0, 32], [0, 60, 32], [0, 0, 1]], np.float32),
            rotation=np.eye(3, dtype=np.float32),
            position_mm=np.zeros(3, np.float32),
            joints_mm=pose[at],
            joints_px=np.zeros((0, 2), np.float32),
            box=np.array([0, 0, 64, 64], np.float32),
            mask_rle=np.zeros(0, np.uint32),
            format=format_name or "first+second",
            key=str(number),
        )
        for number, pose in enumerate(poses)
    ]


def right(valid=None):
    """What a network that is always right says, batch by batch, padded as its input is."""
    everything = np.ones((COUNT, 11), bool)
    stored = StoredCrops(records(everything), LAYOUT, 4, 1)
    truth = [crops.true_mm for crops in stored]

    def predict(variables, inputs):
        # The crops all look alike: they come in their order.
        poses = truth[predict.calls % len(truth)]
        predict.calls += 1
        padded = np.concatenate([poses, np.repeat(poses[-1:], len(inputs["image"]), axis=0)])
        return jnp.asarray(padded[: len(inputs["image"])] + np.float32(predict.error))

    predict.calls, predict.error = 0, np.zeros(3)
    return predict


def evaluate(monkeypatch, stored, predict=None, members=UNION.members, **settings):
    monkeypatch.setattr(crop_batches, "open_crops", lambda name, folder, split, union: stored)
    model = CropModel(predict or right(), members, LAYOUT, "", 1)
    entry = {"dataset": "mine", "batch_size": 4} | settings
    return crop_evals.build(model, **entry)(STATE)


def labelled(change=lambda valid: None):
    valid = np.ones((COUNT, 11), bool)
    change(valid)
    return valid


def test_a_right_network_has_no_error_and_a_shift_is_only_absolute(monkeypatch):
    predict = right()
    scores, picture, higher = evaluate(monkeypatch, records(labelled()), predict)
    each = {"mpjpe_mm/first", "mpjpe_mm/second"}
    assert set(scores) == METRICS | BETWEEN | each and set(higher) == {"pck150", "auc150"}
    for name, value in scores.items():
        assert value == pytest.approx(100 if name in higher else 0, abs=0.1)
    assert picture.startswith(b"\x89PNG")
    predict.error = np.array([30, 0, 40])
    scores, *_ = evaluate(monkeypatch, records(labelled()), predict)
    assert scores["absolute_mpjpe_mm"] == pytest.approx(50, abs=0.1)
    assert scores["mpjpe_mm"] == pytest.approx(0, abs=0.1)


def test_poses_without_a_root_are_left_out_and_told(monkeypatch, caplog):
    def no_root(valid):
        valid[::2, 0] = False

    with caplog.at_level(logging.WARNING, logger="absl"):
        scores, *_ = evaluate(monkeypatch, records(labelled(no_root)))
    for name, value in scores.items():
        assert value == pytest.approx(100 if name in ("pck150", "auc150") else 0, abs=0.1)
    told = "mine: 6 of 11 poses in first lack the root: MPJPE, PCK and AUC leave them out."
    assert told in caplog.text


@pytest.mark.parametrize("stored", ["one format", "both, one unlabelled"])
def test_a_format_without_labels_is_named_and_has_no_score(monkeypatch, caplog, stored):
    def first_only(valid):
        valid[:, 6:] = False

    given = records(labelled(first_only), "first" if stored == "one format" else None)
    with caplog.at_level(logging.WARNING, logger="absl"):
        scores, picture, _ = evaluate(monkeypatch, given)
    assert "mine: No pose is labelled in second: not scored." in caplog.text
    assert set(scores) == METRICS | {"mpjpe_mm/first"}  # and no disagreement
    assert all(np.isfinite(value) for value in scores.values()) and picture
    assert scores["mpjpe_mm"] == scores["mpjpe_mm/first"] == pytest.approx(0, abs=0.1)


def test_formats_that_no_pose_labels_together_have_no_disagreement(monkeypatch):
    def apart(valid):
        valid[:5, 6:] = False
        valid[5:, :6] = False

    scores, *_ = evaluate(monkeypatch, records(labelled(apart)))
    assert set(scores) == METRICS | {"mpjpe_mm/first", "mpjpe_mm/second"}
    assert scores["mpjpe_mm"] == pytest.approx(0, abs=0.1)


def test_chosen_formats_are_scored(monkeypatch):
    scores, picture, _ = evaluate(monkeypatch, records(labelled()), formats=("second",))
    assert set(scores) == METRICS | {"mpjpe_mm/second"} and picture
    with pytest.raises(ValueError, match="formats names third; the model has first, second"):
        evaluate(monkeypatch, records(labelled()), formats=("third",))


def test_a_model_with_shared_outputs_is_scored_format_by_format(monkeypatch):
    """Joints of equal name are one: what it says of the second format is 20 mm off."""
    everything = right()
    scores, *_ = evaluate(
        monkeypatch,
        records(labelled()),
        lambda variables, inputs: everything(variables, inputs)[:, :6],
        MERGED.members,
    )
    assert scores["absolute_mpjpe_mm"] == pytest.approx(10, abs=0.1)
    assert scores["disagreement_plane_mm"] == pytest.approx(20, abs=0.1)


def test_nothing_labelled_is_refused(monkeypatch):
    def two_d(valid):
        valid[:] = False

    with pytest.raises(ValueError, match="no pose of mine is labelled in any of the formats first"):
        evaluate(monkeypatch, records(labelled(two_d)))
    with pytest.raises(ValueError, match="batch_size is 0; it must be at least 1"):
        evaluate(monkeypatch, records(labelled()), batch_size=0)


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_are_made_batch_by_batch_and_kept_only_if_asked(in_memory):
    class Counted(list):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            return super().__getitem__(index)

    source = Counted(records(labelled()))
    stored = StoredCrops(source, LAYOUT, 4, 2, in_memory=in_memory)
    first, *others = stored
    assert len(first.inputs["image"]) == 4 and len(others[-1].true_mm) == 3
    assert first.inputs["image"].shape == (4, 32, 32, 3) and len(stored) == COUNT
    once, again = source.reads, list(stored)
    assert source.reads - once == (0 if in_memory else COUNT)
    np.testing.assert_array_equal(again[2].inputs["image"], others[1].inputs["image"])
    iterator = iter(StoredCrops(fresh := Counted(source), LAYOUT, 4, 2))
    next(iterator)
    assert fresh.reads == 4
    true_mm, valid = (np.concatenate(part) for part in zip(*stored.labels(), strict=True))
    np.testing.assert_array_equal(true_mm, np.concatenate([crops.true_mm for crops in again]))
    assert valid.all()
    assert (stored.image(5) == again[1].inputs["image"][1]).all()
    np.testing.assert_array_equal(stored.intrinsics()[4:8], again[1].inputs["intrinsics"])


def test_the_mean_pose_is_that_of_labelled_joints_of_poses_with_a_root():
    poses, valid = world_poses(), labelled()
    poses[:] = poses[0]  # all alike, at different places
    poses += np.arange(COUNT, dtype=np.float32)[:, None, None] * 100
    valid[:4, 0] = valid[4:, 3] = valid[:, 6:] = False
    stored = np.where(valid[..., None], poses, np.float32(1e5))
    mean = per_format.mean_poses([(stored[:6], valid[:6]), (stored[6:], valid[6:])], UNION)
    assert list(mean) == ["first"]
    assert mean["first"].labelled.tolist() == [True, True, True, False, True, True]
    apart = poses[0, :6] - poses[0, 0]
    np.testing.assert_allclose(
        mean["first"].joints_mm[[1, 2, 4, 5]], apart[[1, 2, 4, 5]], atol=1e-2
    )
    first_only = stored, valid
    assert per_format.mean_pose_mpjpe_mm(mean, first_only, UNION) == pytest.approx(0, abs=0.1)
    # Of two formats that are labelled, training has one: a mean over other formats says nothing.
    assert per_format.mean_pose_mpjpe_mm(mean, (poses, labelled()), UNION) is None


def config(**values):
    return ConfigDict({"data": {"test": "old_test"}} | values)


def test_configs_of_version_0_1_have_one_evaluation():
    assert crop_evals.entries(config(evaluation={"batch_size": 7})) == {
        "test": {"dataset": "old_test", "batch_size": 7, "in_memory": True}
    }
    assert crop_evals.reported(config()).dataset == "old_test"
    assert crop_evals.entries(config(data={"test": ""})) == {}
    assert (
        crop_evals.entries(config(data={})) == {} and crop_evals.reported(config(data={})) is None
    )


def test_reports_measure_by_the_entry_called_test_or_the_first():
    evals = {
        "b": {"dataset": "x"},
        "a": {"builder": "other.kind", "words": 3},
        "c": {"dataset": ""},
    }
    both = config(evals=evals)
    assert list(crop_evals.entries(both)) == ["a", "b"]
    assert crop_evals.reported(both) == crop_evals.CropTest("x")
    named = config(evals=evals | {"test": {"dataset": "y", "split": "val"}})
    assert crop_evals.reported(named) == crop_evals.CropTest("y", "val")
    with pytest.raises(ValueError, match="'dataset'; there are dataset, split, batch_size"):
        crop_evals.reported(config(evals={"test": {"datset": "y"}}))
