"""`acae prepare` of official releases: the list, the refusals, and a build by the command."""

import sys

import pytest
import toy_release

from acae_jax import prepare
from acae_jax.data import sources
from acae_jax.datasets import building, official, release
from configs import mixtures


@pytest.fixture(autouse=True)
def with_toy(monkeypatch):
    monkeypatch.setattr(official, "NAMES", (*official.NAMES, "toy"))
    monkeypatch.setitem(sys.modules, "acae_jax.datasets.official.toy", toy_release)


@pytest.mark.parametrize("name", official.NAMES)
def test_what_builders_say_fits_the_catalogue_and_the_recipe(name):
    facts = building.load(name).RELEASE
    assert facts.name == name and facts.url.startswith("http")
    assert dict(mixtures.HUGE8 + mixtures.TWO_D).get(name, 0) == facts.quota
    assert len(release.joint_names(facts)) > 10
    assert facts.layout and facts.access and facts.size


def test_builders_stand_in_the_order_of_the_recipe():
    recipe = [name for name, _ in mixtures.HUGE8 + mixtures.TWO_D]
    known = [name for name in official.NAMES if name in recipe]
    assert known == sorted(known, key=recipe.index)


def test_the_list_has_what_a_user_needs(capsys):
    assert prepare.main(["--list"]) == 0
    told = capsys.readouterr().out
    assert told.count("\n\n") == len(official.NAMES) - 1
    for part in ("Human3.6M", "25 joints, 4 of 128 slots", "register there", "S*/Videos/*.mp4"):
        assert part in told


def test_a_build_by_the_command(tmp_path, capsys):
    toy_release.write(tmp_path / "raw")
    arguments = ["toy", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path), "--jobs", "1"]
    assert prepare.main([*arguments, "--shard", "2/2"]) == 0
    assert "toy: share 2/2 is done, others are missing" in capsys.readouterr().out
    assert prepare.main(arguments) == 0
    told = capsys.readouterr().out
    assert "30 records of 15 frames; left out: nothing; reprojection ≤ 0.00 px" in told
    assert len(sources.open("toy", tmp_path, "train")) == 20


def test_all_releases_of_a_file_are_looked_at_first(tmp_path, capsys):
    toy_release.write(tmp_path / "toy_raw")
    raws = tmp_path / "raws.yaml"
    raws.write_text(f"toy: {tmp_path / 'toy_raw'}\nh36m: {tmp_path / 'absent'}\n")
    arguments = ["--all", "--raws", str(raws), "--out", str(tmp_path / "out")]
    assert prepare.main(arguments) == 1
    assert "h36m: there is no folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    raws.write_text("- toy")
    assert prepare.main(arguments) == 1
    assert "must have lines such as h36m: /data/h36m" in capsys.readouterr().err


def test_wrong_folders_are_one_line_and_write_nothing(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    for name, raw, message in (
        ("h36n", "raw", "no official dataset 'h36n'; did you mean 'h36m'?"),
        ("toy", "absent", "toy: there is no folder"),
        ("toy", "raw", "fits */*.png; unpack the release there (https://toy.example: free)"),
    ):
        out = tmp_path / "out"
        code = prepare.main([name, "--raw", str(tmp_path / raw), "--out", str(out)])
        error = capsys.readouterr().err
        assert code == 1 and message in error and error.count("\n") == 1
        assert not out.exists()


def test_body_models_are_asked_for(tmp_path):
    toy_release.write(tmp_path)
    facts = toy_release.RELEASE._replace(body_models=("SMPL_NEUTRAL.pkl",))
    with pytest.raises(ValueError, match=r"no body model .*body_models/SMPL_NEUTRAL.pkl; get it"):
        release.check_layout(facts, tmp_path)
    (tmp_path / "body_models").mkdir()
    (tmp_path / "body_models/SMPL_NEUTRAL.pkl").touch()
    release.check_layout(facts, tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [["toy"], ["--all"], ["toy", "--all", "--raws", "a"], ["toy", "--raw", "a", "--shard", "3/2"]],
)
def test_wrong_options_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        prepare.main(arguments)
    assert "give a dataset and --raw" in (told := capsys.readouterr().err) or "is not i/n" in told
