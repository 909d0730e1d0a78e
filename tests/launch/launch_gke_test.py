"""GKE: the manifest against the published models of JobSet, and a watched JobSet's three ends."""

import re
import shlex

import gke
import pytest
import rental
import yaml
from fake_programs import BIG
from kubeflow_trainer_api.models.jobset_v1alpha2_job_set import JobsetV1alpha2JobSet

TPU = ["--tpu", "tpu-v5-lite-podslice", "--topology", "2x2", "--slices", "2"]
GPU = ["--gpu", "nvidia-h100-80gb", "--nodes", "2", "--gpus-per-node", "4", "--spot"]
BASE = ["--image", "example/acae:1", "--claim", "runs", "--hours", "24", "--poll-seconds", "0"]
TRAIN = ["--config", BIG, "--workdir", "/mnt/runs/x", "--config.seed=3"]
# Each look at the JobSet is answered by the next outcome.
KUBECTL = """
case "$*" in
*apply*) cat > "$here/manifest"; [[ ! -e $here/denied ]] ;;
*get*) outcome ;;
esac
"""


@pytest.fixture
def cluster(fakes):
    fakes.add("kubectl", KUBECTL)
    return fakes


def command(*options):
    return rental.guarded(gke.LAUNCHER.main, [*BASE, *options, "--", *TRAIN])


def rendered(*options):
    parsed = gke.parser().parse_args([*BASE, *options])
    return yaml.safe_load(gke.manifest(parsed, rental.training(TRAIN)))


@pytest.mark.parametrize("kind", [TPU, GPU])
def test_manifest_is_a_jobset_by_the_published_schema(kind):
    manifest = rendered(*kind)
    parsed = JobsetV1alpha2JobSet.from_dict(manifest)  # checks types and required fields
    assert parsed
    assert parsed.to_dict() == manifest  # a field that the schema does not know would be lost


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("maxRestarts: 3", "maxRestart: 3"),
        ("backoffLimit: 0", "backoffLimits: 0"),
        ("claimName:", "claim:"),
        ("maxRestarts: 3", "maxRestarts: three"),
        ("action: FailJobSet", "act: FailJobSet"),
    ],
)
def test_the_schema_finds_mistakes(line, wrong):
    parsed = gke.parser().parse_args([*BASE, *TPU])
    text = gke.manifest(parsed, rental.training(TRAIN))
    assert line in text
    manifest = yaml.safe_load(text.replace(line, wrong))
    try:
        found = JobsetV1alpha2JobSet.from_dict(manifest)
    except ValueError:
        return
    assert found and found.to_dict() != manifest


def test_words_that_the_schema_leaves_open():
    """The models hold these as free text; the controllers take only certain words."""
    spec = rendered(*TPU)["spec"]
    job = spec["replicatedJobs"][0]["template"]["spec"]
    assert {rule["action"] for rule in spec["failurePolicy"]["rules"]} == {"FailJobSet"}
    assert [rule["action"] for rule in job["podFailurePolicy"]["rules"]] == ["Count", "FailJob"]
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # podFailurePolicy needs it
    assert job["completionMode"] == "Indexed"  # JAX needs it
    assert re.fullmatch(r"[A-Za-z]\w*", spec["failurePolicy"]["rules"][0]["name"])


def test_tpu_slices_are_whole_hosts_and_stop_in_time():
    manifest = rendered(*TPU)
    job = manifest["spec"]["replicatedJobs"][0]
    spec = job["template"]["spec"]
    assert (job["replicas"], spec["completions"], spec["parallelism"]) == (2, 1, 1)
    assert spec["activeDeadlineSeconds"] == 24 * 3600
    pod = spec["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"google.com/tpu": 4}
    assert pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"] == "2x2"
    command = pod["containers"][0]["command"]
    assert command[:4] == ["python", "-m", "acae_jax.train", "--distributed"]
    assert command[-1] == "--config.seed=3"


def test_a_slice_of_several_hosts_has_a_pod_on_each():
    spec = rendered("--tpu", "t", "--topology", "4x4")["spec"]["replicatedJobs"][0]["template"]
    assert (spec["spec"]["completions"], spec["spec"]["parallelism"]) == (4, 4)


def test_gpu_nodes_are_spot_if_asked():
    spec = rendered(*GPU)["spec"]["replicatedJobs"][0]["template"]["spec"]
    pod = spec["template"]["spec"]
    assert spec["parallelism"] == 2
    assert pod["nodeSelector"]["cloud.google.com/gke-spot"] == "true" and pod["tolerations"]
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 4}


def test_success(cluster, capsys):
    cluster.outcomes("/0", "/0", "Completed/0")
    assert command(*TPU, "--confirm", "768") == 0  # 2 slices x 4 chips x 24 h x 4 runs
    assert [call[2] for call in cluster.calls()] == ["apply", "get", "get", "get"]
    said = capsys.readouterr().out
    assert "2 x node with 4 of tpu-v5-lite-podslice 2x2 = 8 chip(s), at most 24 h" in said
    assert "delete jobset acae-mnt-runs-x" in said and "completed" in said


def test_preemption_is_restarted_and_told(cluster, capsys):
    cluster.outcomes("/0", "/1", "/1", "/2", "Completed/2")
    assert command(*TPU, "--confirm", "768") == 0
    assert capsys.readouterr().out.count("restarted after a preemption") == 2


def test_failure_ends_with_1_and_says_what_is_left(cluster, capsys):
    cluster.outcomes("/0", "Failed/0")
    assert command(*GPU, "--confirm", "768") == 1
    assert "Nodes cost until the pool scales down" in capsys.readouterr().err


def test_a_refused_manifest_costs_nothing(cluster, capsys):
    cluster.file("denied").touch()
    assert command(*GPU, "--confirm", "768") == 1
    assert "nothing was created, nothing costs" in capsys.readouterr().err


def test_a_lost_watcher_says_that_the_job_goes_on(cluster, capsys):
    cluster.add("kubectl", "[[ $* != *get* ]] || exit 1\n")
    assert command(*GPU, "--confirm", "768") == 2
    assert "continues and costs; to end it: kubectl" in capsys.readouterr().err


def test_detach_and_delete(cluster):
    assert command(*GPU, "--confirm", "768", "--detach") == 0
    assert command(*GPU, "--delete") == 0
    assert [call[2] for call in cluster.calls()] == ["apply", "delete"]


def test_dry_run_prints_exactly_what_runs(cluster, capsys):
    assert command(*TPU, "--dry-run") == 0
    assert cluster.calls() == []
    lines = capsys.readouterr().out.splitlines(keepends=True)[1:]
    first, text = lines[0], "".join(lines[1:-1])
    assert lines[-1] == "END\n"
    cluster.outcomes("Completed/0")
    command(*TPU, "--confirm", "768")
    assert shlex.split(first)[:-1] == cluster.calls()[0]
    assert cluster.file("manifest").read_text() == text
