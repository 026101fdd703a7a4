"""``higan-fast inspect RUN``: what is there, what is stale or missing, and what to run next."""

import json
import shutil

import numpy as np
import pytest

from tests.test_cli import files, run

__all__ = ["files"]
PARTS = ("network", "predictor", "samples", "boundaries", "verification", "report")
LINES = (*PARTS[:5], "attribution", "comparison", "sweep", "directions", "experiments", "report")
VERIFY = ("--exhaustive", "--max-samples", 4, "--num-null", 4, "--quiet")

pytestmark = pytest.mark.usefixtures("quick_choice")


def described(out):
    return json.loads(run("inspect", out, "--json").stdout)


def states(found):
    return [found[part]["state"] for part in PARTS]


@pytest.fixture(scope="module")
def probed(files, tmp_path_factory):
    """A complete run of 512 samples, and what was said of it after each stage."""
    folder = tmp_path_factory.mktemp("runs")
    network, out = folder / "generator.safetensors", folder / "probe"
    shutil.copy(files[0], network)
    commands = [
        (
            "sample",
            "--network",
            network,
            "--predictor",
            "color",
            "--out",
            out,
            "--num",
            512,
            "--seed",
            3,
            "--quiet",
        ),
        ("fit", out, "--chosen-num", 0.4, "--quiet"),
        ("verify", out, *VERIFY),
        ("report", out, "--quiet"),
    ]
    said = []
    for command in commands:
        run(*command)
        said.append(described(out))
    return out, said


@pytest.fixture
def copied(probed, tmp_path):
    shutil.copytree(probed[0].parent, tmp_path / "copy")
    return tmp_path / "copy" / "probe"


def test_each_stage_is_followed_by_the_next(probed):
    out, said = probed
    assert [states(found).count("complete") for found in said] == [3, 4, 5, 6]
    assert [found["next"] for found in said] == [
        *(f"higan-fast {stage} {out}" for stage in ("fit", "verify", "report")),
        None,
    ]
    found = said[-1]
    assert found["network"]["family"] == "stylegan2" and found["settings"]["seed"] == 3
    assert found["predictor"]["semantics"][:3] == ["brightness", "contrast", "saturation"]
    assert found["samples"]["num"] == found["samples"]["num_asked"] == 512
    low, high = found["boundaries"]["accuracy"]
    assert 0.5 < low <= high <= 1
    assert sum(found["verification"]["statuses"].values()) == len(found["verification"]["names"]) == 9
    assert found["made_with"]["torch"] and found["begun"]


def test_people_read_a_line_for_each_part(probed):
    lines = run("inspect", probed[0]).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["settings", *LINES, "next"]
    text = "\n".join(lines)
    for part in (
        "stylegan2, 16², 6 layers",
        "9 semantics",
        "512",
        "held-out accuracy",
        "all effects at 99 %",
    ):
        assert part in text
    assert text.endswith("nothing; all stages are complete")


def test_looking_changes_nothing(copied):
    def listing():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in copied.rglob("*")}

    before = listing()
    described(copied)
    assert listing() == before


def test_an_interrupted_sampling_is_partial_and_goes_on(copied):
    shutil.rmtree(copied / "samples.zarr/scores/c/1")
    found = described(copied)
    assert states(found)[2:4] == ["partial", "stale"]
    assert found["samples"]["what"] == "256 of 512; sampling was interrupted"
    assert found["next"].startswith("higan-fast sample --network") and "--num 512 --seed 3" in found["next"]


def test_what_is_stale_is_named_with_its_remedy(copied):
    run("fit", copied, "--chosen-num", 0.3, "--quiet")
    found = described(copied)
    assert states(found)[3:] == ["complete", "stale", "stale"]
    assert "run higan-fast verify" in found["verification"]["problem"]
    assert found["next"] == f"higan-fast verify {copied}"
    run("verify", copied, *VERIFY)
    found = described(copied)
    assert states(found)[4:] == ["complete", "stale"] and found["next"] == f"higan-fast report {copied}"
    assert "report.html: is of other results; run higan-fast report" in run("inspect", copied).stdout
    run("report", copied, "--quiet")
    assert described(copied)["next"] is None
    run("verify", copied, *VERIFY, "--step", 1)
    found = described(copied)
    assert states(found)[4:] == ["complete", "stale"]
    assert [other["settings"]["step"] for other in found["verification"]["beside"]] == [2.0]
    assert "1 more: higan-fast show prints all" in run("inspect", copied).stdout


def test_a_begun_verification_and_a_network_that_is_gone(copied):
    (copied / "verification.npz").unlink()
    assert described(copied)["verification"] == {"state": "partial", "what": "begun, and not finished"}
    network = copied.parent / "generator.safetensors"
    stored = json.loads((copied / "run.json").read_text())
    stored["settings"]["network"] = "../gone.safetensors"
    (copied / "run.json").write_text(json.dumps(stored))
    found = described(copied)
    assert found["network"]["state"] == "missing" and "--network" in found["network"]["problem"]
    assert network.exists()


def test_what_another_version_wrote_is_stale(copied):
    with np.load(copied / "verification.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "even"}
    np.savez(copied / "verification.npz", **arrays)
    found = described(copied)["verification"]
    assert found["state"] == "stale" and "verification.npz" in found["problem"]


def test_what_is_no_run_is_a_file(files, tmp_path):
    assert "stylegan2" in run("inspect", files[0]).stdout
    assert run("inspect", tmp_path, code=1).output.count("\n") == 1
