"""The command line of several processes: shards, what merges them, and one line for whatever is wrong."""

import shlex

import pytest

from higan_fast.cli.crews import Asked, job_of
from higan_fast.sampling.samples import STORE
from tests.processes import ended, start
from tests.sampling.test_shards import contents
from tests.test_run_folder import LITTLE, refused, run, sample, write_networks

NUM = ("--num", 600, "--quiet")


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    write_networks(folder, 0)
    return folder


def test_shards_are_made_merged_and_verified(networks, tmp_path):
    one, shared = tmp_path / "one", tmp_path / "shared"
    sample(networks, one, *NUM)
    made = sample(networks, shared, *NUM, "--shard", "2/2").output
    assert f"2-of-2.json: shard 2/2 is complete; when all are: higan-fast merge {shared}" in made
    lines = run("merge", shared, "--quiet", code=1).output.strip().splitlines()
    assert lines[1] == f"Error: {shared}: 1 of 2 shards is missing: 1/2"
    words = shlex.split(lines[0])
    assert words[0] == "higan-fast" and words[-2:] == ["--shard", "1/2"]
    for stage in ("fit", "verify"):
        assert run(stage, shared, "--quiet", code=1).output.strip().splitlines() == lines
    seen = run("inspect", shared).output.splitlines()
    assert "samples       partial: 1 of 2 shards is missing: 1/2" in seen
    assert seen[-1] == f"next          {lines[0]}"
    run(*words[1:], "--quiet")
    assert f"{shared}: 600 samples, all shards are there and whole" in run("merge", shared, "--quiet").output
    assert contents(shared) == contents(one)
    for folder in (one, shared):
        run("fit", folder, "--quiet", "--boundary", "difference", "--chosen-num", 100)
    options = ("--null", "isotropic", *LITTLE, "--json", "--quiet")
    alone = run("verify", one, *options).output
    helper = start(run, "verify", str(shared), *options, "--shard", "2/2")
    assert run("verify", shared, *options, "--shard", "1/2").output == alone
    assert ended(helper) == 0


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--shard", "3/2"), "Error: shard (--shard): got '3/2', expected i/n with 1 <= i <= n, such as 2/4"),
        (
            ("--shard", "1/2", "--ray", "local"),
            "Error: --shard: got --shard and --ray, expected one of them",
        ),
        (("--workers", "2"), "Error: workers (--workers): is for --ray and --slurm; else use --shard i/n"),
        (
            ("--slurm", "gpu"),
            "Error: workers (--workers): --slurm needs to know how many jobs; give --workers N",
        ),
        (("--ray", "local", "--workers", "0"), "Error: workers (--workers): got 0, expected at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(networks, tmp_path, options, line):
    arguments = ("--network", networks / "generator.safetensors", "--predictor", "color", "--device", "cpu")
    assert refused("sample", *arguments, "--out", tmp_path / "run", *options) == line
    assert not (tmp_path / "run" / STORE).exists()


def test_a_folder_without_shards_says_so(tmp_path):
    expected = "no shard is complete here; make them with higan-fast sample … --shard i/n"
    assert expected in refused("merge", tmp_path)


def test_options_of_a_job_are_passed_on():
    asked = Asked(slurm="gpu", workers=2, minutes=30, settings=("account=vision", "qos=long"))
    assert job_of(asked, "cuda") == {
        "timeout_min": 30,
        "gpus_per_node": 1,
        "slurm_partition": "gpu",
        "slurm_additional_parameters": {"account": "vision", "qos": "long"},
    }
    assert job_of(Asked(slurm="local", workers=2, settings=("account=vision",)), "cpu") == {
        "timeout_min": 240,
        "gpus_per_node": 0,
    }
    assert job_of(Asked(slurm="default", workers=2, gpus=2), "cuda")["gpus_per_node"] == 2
    with pytest.raises(ValueError, match=r"settings \(--slurm-set\): got 'vision', expected NAME=VALUE"):
        job_of(Asked(slurm="gpu", workers=2, settings=("vision",)), "cuda")
