"""The command line, stage by stage, on small networks with random weights."""

import errno
import io
import json
import os
import shutil
import signal
import sys
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from higan_fast.checkpoints import save_generator
from higan_fast.cli import main
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.predictors.scenes import ScenePredictor, save_scene_predictor
from higan_fast.probing import Samples
from higan_fast.scenes.factors import CONTINUOUS, SEMANTICS
from tests.processes import ended, start
from tests.report.page import Page

pytestmark = pytest.mark.usefixtures("quick_choice")


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A generator of 16² with 6 layers, and a predictor of four semantics."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    config = StyleGAN2Config(channels={4: 8, 8: 8, 16: 8}, latent_dim=8, code_dim=8, mapping_depth=1)
    save_generator(StyleGAN2(config), folder / "generator.safetensors", {"origin": "a test"})
    predictor = ScenePredictor(SEMANTICS[::4], CONTINUOUS, widths=(8, 8, 8, 8))
    save_scene_predictor(predictor, folder / "predictor.safetensors", {})
    return folder / "generator.safetensors", folder / "predictor.safetensors"


@pytest.fixture(scope="module")
def probed(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "probe"
    network, predictor = files
    result = run(
        "probe", "--network", network, "--predictor", predictor, "--out", out, "--num", 256, "--seed", 3,
        "--trunc", 0.8, "--trunc-layers", 4, "--chosen-num", 0.4, "--exhaustive", "--max-samples", 4,
        "--num-null", 4, "--layer-samples", 10,
    )  # fmt: skip
    return out, result


def test_probe_leaves_everything(probed):
    out, result = probed
    assert "mean layer, layout" in result.output
    for name in (
        "run.json",
        "samples.zarr",
        "boundaries.safetensors",
        "verification.npz",
        "attribution.npz",
        "report.html",
        "report.csv",
        "report.layers.csv",
    ):
        assert (out / name).exists(), name
    begun = json.loads((out / "run.json").read_text())
    assert begun["settings"]["truncation_psi"] == 0.8 and begun["settings"]["seed"] == 3
    assert begun["made_with"]["torch"].startswith("2.")
    command = (
        "--num 256 --seed 3 --trunc 0.8 --trunc-layers 4 --chosen-num 0.4 --space w "
        "--boundary logistic --C auto --step 2 --step-unit norm --confidence 0.99 --exhaustive "
        "--max-samples 4 --null both --num-null 4 --precision exact "
        "--screening 0 --layer-samples 10"
    )
    assert command in Page((out / "report.html").read_text()).text


def test_stages_one_by_one_give_the_same(files, probed, tmp_path):
    network, predictor = files
    common = ("--network", network, "--predictor", predictor, "--out", tmp_path, "--seed", 3)
    run("sample", *common, "--num", 256, "--trunc", 0.8, "--trunc-layers", 4, "--batch", 7)
    run("fit", tmp_path, "--chosen-num", 0.4)
    result = run("verify", tmp_path, "--exhaustive", "--max-samples", 4, "--num-null", 4, "--json")
    found = json.loads(result.stdout)
    expected = json.loads(
        run("verify", probed[0], "--exhaustive", "--max-samples", 4, "--num-null", 4, "--json").stdout
    )
    assert [row["name"] for row in found["semantics"]] == [row["name"] for row in expected["semantics"]]
    # the scores differ by rounding between batch sizes, and so the boundaries do a little
    np.testing.assert_allclose(
        [row["effect"] for row in found["semantics"]],
        [row["effect"] for row in expected["semantics"]],
        atol=1e-3,
    )
    tables = {"semantics", "entanglement", "freed", "mean_layer_by_level", "hierarchy"}
    assert set(found) == tables | {"images", "images_fixed", "settings"}
    first = found["semantics"][0]
    assert {"name", "level", "effect", "low", "high", "null_low", "null_high", "beats_null"} <= set(first)
    assert [entry["layer"] for entry in first["profile"]] == list(range(6))


def test_verify_only_some(probed):
    out, _ = probed
    found = run(
        "verify",
        out,
        "--exhaustive",
        "--max-samples",
        4,
        "--num-null",
        4,
        "--semantic",
        SEMANTICS[4].name,
        "--json",
    )
    assert [row["name"] for row in json.loads(found.stdout)["semantics"]] == [SEMANTICS[4].name]


def test_verify_stops_when_its_question_is_answered(files, probed, tmp_path):
    shutil.copytree(probed[0], tmp_path / "run")
    options = ("verify", tmp_path / "run", "--max-samples", 40, "--num-null", 4)
    assert "were not needed to decide" in run(*options, "--precision", "fast", "--screening", 2).output
    found = json.loads(run(*options, "--decide", "effect", "--json").stdout)
    assert found["settings"]["decide"] == "effect" and found["settings"]["max_samples"] == 40
    assert found["images"] <= found["images_fixed"] == 40 * (1 + 2 * (len(found["semantics"]) + 2 * 4))
    assert all(row["best_layer"] is None for row in found["semantics"])
    run("report", tmp_path / "run")
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert "--decide effect --max-samples 40" in page.text


def test_manipulate_writes_strips(probed, tmp_path):
    out, _ = probed
    one, two = SEMANTICS[0].name, SEMANTICS[4].name
    run("manipulate", out, "--semantic", one, "--layers", "1-2", "--steps=-2,0,1,2", "--num", 3)
    with Image.open(out / f"manipulate-{one}_layers=1-2_steps=-2,0,1,2_samples=0-2.png") as picture:
        assert picture.width > 4 * 16 and picture.height > 3 * 16
    joint, jittered = tmp_path / "joint.png", tmp_path / "jittered.png"
    run("manipulate", out, "--semantic", one, "--semantic", two, "--num", 2, "--out", joint)
    run("manipulate", out, "--semantic", one, "--jitter", 5, "--num", 2, "--out", jittered)
    with Image.open(jittered) as picture:
        assert picture.width > 5 * 16
    assert joint.exists()


def test_inspect_says_what_a_file_is(files):
    output = run("inspect", files[0]).output
    for text in ("stylegan2", "16 × 16", "6 layers of 8", "b16.torgb", "a test"):
        assert text in output


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_its_help(command):
    output = run(command, "--help").output
    assert output.startswith(f"Usage: main {command}") and "Error" not in output


def test_doctor():
    found = json.loads(run("doctor", "--json").stdout)
    assert found["torch"] and found["cpu_cores"] >= 1
    assert found["ops"]["modulated_conv2d"]["cpu"] == "native"
    assert found["instruction_set"] in found["compiled_instruction_sets"]
    assert set(found["cuda"]) in ({"compiled"}, {"compiled", "runtime", "driver", "devices"})
    assert "cpu_capability" in run("doctor").output


def test_bad_input_ends_in_one_line(files, probed, tmp_path):
    network, predictor = files
    networks = ("--network", network, "--predictor", predictor)
    out, _ = probed
    cases = [
        (("inspect", tmp_path / "none.safetensors"), "there is no such file"),
        (("fit", tmp_path), "no probe was begun here"),
        (("sample", "--network", network, "--predictor", "nobody", "--out", tmp_path / "x"), "got 'nobody'"),
        (("sample", *networks, "--out", out), "was made with seed = 3, and this run has 0"),
        (("manipulate", out, "--semantic", "cellar"), "no such boundary"),
        (("sample", *networks, "--out", tmp_path / "x", "--device", "cuda:99"), "got 'cuda:99'"),
        (("sample", *networks, "--out", tmp_path / "x", "--device", "abacus"), "expected auto, cpu, cuda or"),
        (("manipulate", out, "--semantic", SEMANTICS[0].name, "--layers", "4-9"), "layers"),
        (("manipulate", out, "--semantic", SEMANTICS[0].name, "--layers", "1-99999999999"), "no layer 6"),
        (("manipulate", out, "--semantic", SEMANTICS[0].name, "--num", 10**20), "num (--num): got 1000000"),
        (("manipulate", out, "--semantic", SEMANTICS[0].name, "--num", 10**9), "got 256, and"),
        (("manipulate", out, "--semantic", SEMANTICS[0].name, "--jitter", 10**9), "at most 10,000"),
        (("manipulate", out, "--semantic", SEMANTICS[0].name, "--frames", 10**9), "at most 10,000"),
        (("dose", out, "--num", 10**20), "num (--num): got 1000000"),
        (
            ("verify", out, "--num-null", 10**9),
            "--num-null): got 1000000000, expected a whole number of at most",
        ),
        (("methods", out, "--gradients", 0), "num_gradients (--gradients): got 0"),
        (("fit", out, "--chosen-num", "1e-320"), "chosen_num (--chosen-num): got 1e-320, expected"),
        (("sample", *networks, "--out", tmp_path / "x", "--levels", ""), "levels (--levels): got an empty"),
    ]
    for arguments, message in cases:
        result = run(*arguments, code=1)
        assert message in result.output and "Traceback" not in result.output
        assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists(), "a wrong name leaves no folder behind"
    assert "--steps" in run("manipulate", out, "--semantic", SEMANTICS[0].name, "--steps=a", code=2).output
    with pytest.raises(FileNotFoundError):
        CliRunner().invoke(main, ["--debug", "fit", str(tmp_path)], catch_exceptions=False)


def test_a_stage_that_is_missing_is_named(files, tmp_path):
    network, predictor = files
    run("sample", "--network", network, "--predictor", predictor, "--out", tmp_path, "--num", 64)
    assert "make it with higan-fast fit" in run("verify", tmp_path, code=1).output
    few = "32 samples a side, and at least 50 are needed): draw more with higan-fast sample "
    for stage in ("fit", "verify"):
        *_, last = run(stage, tmp_path, code=1).output.strip().splitlines()
        assert last.startswith("Error: no boundary was fitted (") and few in last
        assert "--num 100" in last and last.endswith(", then fit again")


def test_a_probe_with_too_few_samples_still_reports(files, tmp_path):
    network, predictor = files
    few = ("--num", 64, "--layer-samples", 10)
    result = run("probe", "--network", network, "--predictor", predictor, "--out", tmp_path, *few)
    assert "skipped: 32 samples a side" in result.output and "4/5 attributing to layers" in result.output
    assert (tmp_path / "report.html").exists() and not (tmp_path / "verification.npz").exists()
    page = Page((tmp_path / "report.html").read_text()).text
    assert "Layers without a direction" in page and "between which the boundary was fitted" not in page
    lines = result.output.splitlines()
    assert sum("skipped" in line for line in lines) == 1, "all four have the same reason"
    (left,) = [line for line in lines if line.startswith("3/5")]
    assert "verifying: left out: no boundary was fitted (" in left and "--num 100" in left
    shown = run("show", tmp_path).output
    assert shown.startswith("verification: none") and "Layers without a direction" in shown
    assert json.loads(run("show", tmp_path, "--json").output)["attribution"]["semantics"]
    assert (
        "higan-fast sample" in (told := run("inspect", tmp_path).output.splitlines()[-1])
        and "--num 100" in told
    )
    assert "there is none at all" in run("manipulate", tmp_path, "--semantic", "view", code=1).output


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, _text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_closed_streams_and_a_full_output_end_well(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with pytest.raises(SystemExit) as ended_well:
        main(["--help"])
    assert ended_well.value.code == 0
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        assert str(stream.name) == os.devnull, "no file of a run gets the number of a stream"
        stream.close()
    told = io.StringIO()
    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", told)
    with pytest.raises(SystemExit) as ended_full:
        main(["--help"])
    assert ended_full.value.code == 1
    line = "Error: cannot write the output: No space left on device; free some space and run it again\n"
    assert told.getvalue() == line


def as_a_command(arguments):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[1:] = arguments
    main()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_says_how_to_go_on(files, tmp_path, number):
    network, predictor = map(str, files)
    out, log = tmp_path / "run", tmp_path / "log"
    arguments = ["sample", "--network", network, "--predictor", predictor, "--out", str(out)]
    job = start(as_a_command, [*arguments, "--num", "100000"], log=log)
    while job.is_alive() and not (out / "samples.zarr/scores/c/0/0").exists():
        time.sleep(0.02)
    os.kill(job.pid, number)
    assert ended(job) == 130
    message = log.read_text()
    assert message.rstrip().endswith("run the same command again to go on from here")
    assert "Traceback" not in message
    assert len(Samples.open(out)) >= 256
