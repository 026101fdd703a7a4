"""What a command refuses, it refuses before the first image, in one line, and leaves nothing behind."""

import math
import shutil

import pytest

import higan_fast.run_networks as run_networks
import higan_fast.sampling.samples as samples
from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.probing import sample, verify
from higan_fast.probing.manipulation import jitter, manipulate
from higan_fast.scenes.factors import SEMANTICS
from tests.test_cli import files, probed, run  # noqa: F401
from tests.toy import toy

SAMPLING = [
    ("--num", 0, "num (--num): got 0, expected a whole number of at least 1"),
    ("--seed", -1, "seed (--seed): got -1, expected an integer from 0 to 2^64 - 1"),
    ("--seed", 2**64, f"seed (--seed): got {2**64}, expected an integer from 0 to 2^64 - 1"),
    ("--trunc", "nan", "truncation_psi (--trunc): got nan, expected a finite number; 1 truncates nothing"),
    ("--trunc", "inf", "truncation_psi (--trunc): got inf, expected a finite number; 1 truncates nothing"),
    ("--trunc-layers", -1, "truncation_layers (--trunc-layers): got -1, expected a whole number of at least"),
    ("--class", -2, "label (--class): got -2, expected a whole number of at least 0"),
    ("--batch", 0, "batch_size (--batch): got 0, expected a whole number of at least 1"),
    ("--device", "abacus", "device (--device): got 'abacus'"),
    ("--out", "", "--out: got an empty path; '.' is the current folder"),
]
FITTING = [
    ("--chosen-num", number, f"chosen_num (--chosen-num): got {got}, expected a positive whole number, or a")
    for number, got in ((-4, -4.0), ("nan", math.nan), ("inf", math.inf), (0, 0.0), (2.5, 2.5))
] + [
    ("--C", 0, "C (--C): got 0.0, expected a positive number"),
    (
        "--boundary=difference --C",
        1,
        "C (--C): got 1.0, but 'difference' has nothing to regularise; leave",
    ),
    ("--recipe=higan --boundary", "ridge", "recipe (--recipe): 'higan' is the method 'svm' with C = 1 and"),
]
VERIFYING = [
    ("--step", -2, "step (--step): got -2.0, expected a positive number"),
    ("--step", "nan", "step (--step): got nan, expected a positive number"),
    ("--confidence", 99, "confidence (--confidence): got 99.0, expected a number between 0 and 1; did you"),
    ("--confidence", 1, "confidence (--confidence): got 1.0, expected a number between 0 and 1, such as"),
    ("--max-samples", 1, "max_samples (--max-samples): got 1, expected a whole number of at least 2"),
    ("--num-null", 1, "num_null (--num-null): got 1, expected a whole number of at least 2"),
    ("--screening", -1, "screening (--screening): got -1, expected a whole number of at least 0"),
    ("--batch", -1, "batch_size (--batch): got -1, expected a whole number of at least 1"),
]
LAYERS = [
    ("--num", 1, "num (--num): got 1, expected a whole number of at least 2"),
    ("--confidence", 99, "confidence (--confidence): got 99.0, expected a number between 0 and 1; did you"),
    ("--batch", 0, "batch_size (--batch): got 0, expected a whole number of at least 1"),
]
DOSE = [
    ("--num", 1, "num (--num): got 1, expected a whole number of at least 2"),
    ("--steps", "1,1", "steps (--steps): got 1, 1; expected different steps, one of them other than 0"),
    ("--part", 2, "part (--part): got 2.0, expected a number between 0 and 1, such as 0.25"),
]
DOSE_SAMPLES = ("--dose-samples", 1, "num (--num): got 1, expected a whole number of at least 2")
LAYER_SAMPLES = ("--layer-samples", 1, "layer_samples (--layer-samples): got 1, expected a whole number of")
NEEDS_NETWORKS = [
    ("--trunc-layers", 99, "truncation_layers (--trunc-layers): got 99, expected 0 to 6, or none for all"),
    ("--class", 2, "label (--class): got 2, but this generator is unconditional; leave it out"),
]

pytestmark = pytest.mark.usefixtures("quick_choice")


def refused(message, *arguments):
    output = run(*arguments, code=1).output.strip()
    assert output.startswith(f"Error: {message}") and len(output.splitlines()) == 1, output


@pytest.fixture
def no_networks(monkeypatch):
    def load(*arguments):
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(run_networks, "load_generator", load)
    monkeypatch.setattr(run_networks, "load_sources", load)


@pytest.mark.parametrize(
    ("command", "option", "value", "message"),
    [("sample", *case) for case in SAMPLING]
    + [("probe", *case) for case in [*SAMPLING, *FITTING, *VERIFYING, LAYER_SAMPLES, DOSE_SAMPLES]],
)
def test_options_are_checked_before_networks_are_loaded(
    no_networks, tmp_path, monkeypatch, command, option, value, message
):
    monkeypatch.chdir(tmp_path)
    *others, option = option.split()
    networks = ("--network", "n", "--predictor", "p")
    refused(message, command, *networks, "--out", "run", *others, f"{option}={value}")
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


def test_a_probe_that_asks_for_the_top_layer_in_z_is_refused_at_once(no_networks, tmp_path):
    options = ("--space", "z", "--decide", "top-layer", "--out", tmp_path / "run")
    refused(
        "decide (--decide): got 'top-layer', but a boundary in z moves all layers",
        "probe", "--network", "n", "--predictor", "p", *options,
    )  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["sample", "probe"])
@pytest.mark.parametrize(("option", "value", "message"), NEEDS_NETWORKS)
def test_what_depends_on_the_network_is_checked_before_the_folder_is_made(
    files, tmp_path, monkeypatch, command, option, value, message  # noqa: F811
):  # fmt: skip
    monkeypatch.setattr(samples, "make_codes", None)
    networks = ("--network", files[0], "--predictor", files[1])
    refused(message, command, *networks, "--out", tmp_path / "run", option, value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_file_is_no_run_folder(no_networks, tmp_path, out):
    (tmp_path / "file").write_text("mine")
    message = f"out (--out): cannot write {tmp_path / out}: {tmp_path / 'file'} is not a folder; choose"
    refused(message, "sample", "--network", "n", "--predictor", "p", "--out", tmp_path / out)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("command", "option", "value", "message"),
    [("fit", *case) for case in FITTING]
    + [("verify", *case) for case in VERIFYING]
    + [("layers", *case) for case in LAYERS]
    + [("dose", *case) for case in DOSE]
    + [
        ("verify", "--semantic", "cellar", "semantics (--semantic): 'cellar' is not one that this set of"),
        ("manipulate", "--steps", "-1,nan", "steps (--steps): got nan, expected finite numbers"),
        ("manipulate", "--steps", "inf", "steps (--steps): got inf, expected finite numbers"),
        ("manipulate", "--num", 0, "num (--num): got 0, expected a whole number of at least 1"),
        ("manipulate", "--seed", -1, "seed (--seed): got -1"),
        ("manipulate", "--jitter", 0, "num (--jitter): got 0, expected a whole number of at least 1"),
        (
            "manipulate",
            "--jitter=2 --scale",
            "nan",
            "scale (--scale): got nan, expected a number of at least",
        ),
        (
            "manipulate",
            "--jitter=2 --scale",
            -1,
            "scale (--scale): got -1.0, expected a number of at least 0",
        ),
        ("manipulate", "--layers", "4-9", "layers (--layers): got '4-9', but there is no layer 6"),
        ("manipulate", "--layers", "x", "layers (--layers): cannot read 'x'"),
        ("manipulate", "--out", "", "--out: got an empty path"),
    ],
)
def test_later_stages_check_before_networks_are_loaded(
    probed, no_networks, command, option, value, message  # noqa: F811
):  # fmt: skip
    out, _ = probed
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    semantic = ("--semantic", SEMANTICS[0].name) if command == "manipulate" else ()
    *others, option = option.split()
    refused(message, command, out, *semantic, *others, f"{option}={value}")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_semantic_is_known_and_named_once(probed, no_networks):  # noqa: F811
    name = SEMANTICS[0].name
    message = f"semantics (--semantic): got {name!r} twice, expected each name once"
    refused(message, "verify", probed[0], "--semantic", name, "--semantic", name)
    refused("'cellar': no such boundary; there are ", "manipulate", probed[0], "--semantic", "cellar")
    near = f"'{name}x': no such boundary (did you mean {name!r}?); there are "
    refused(near, "manipulate", probed[0], "--semantic", f"{name}x")


def test_an_empty_path_is_no_run_folder(probed, tmp_path, monkeypatch):  # noqa: F811
    shutil.copytree(probed[0], tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    for command in ("fit", "verify", "report"):
        refused("run: got an empty path; '.' is the current folder", command, "")


@pytest.mark.parametrize(
    ("call", "changed", "message"),
    [
        ("sample", {"out": ""}, r"out \(--out\): got an empty path"),
        ("sample", {"label": "2"}, r"label \(--class\): got '2'"),
        ("sample", {"truncation_psi": "1"}, r"truncation_psi \(--trunc\): got '1'"),
        ("fit", {"chosen_num": math.inf}, r"chosen_num \(--chosen-num\): got inf"),
        ("fit", {"C": math.inf}, r"C \(--C\): got inf, expected a positive number"),
        ("fit", {"loss": "log"}, "loss: got 'log', expected one of hinge, squared_hinge"),
        ("fit", {"held_out": 1.0}, "held_out: got 1.0"),
        ("verify", {"max_samples": math.nan}, r"max_samples \(--max-samples\): got nan"),
        ("verify", {"decide": "best"}, r"decide \(--decide\): got 'best', expected one of effect, top-layer"),
        ("verify", {"precision": "half"}, r"precision \(--precision\): got 'half', expected one of auto,"),
        ("verify", {"confidence": "0.99"}, r"confidence \(--confidence\): got '0.99', expected a number"),
        ("verify", {"step": "2"}, r"step \(--step\): got '2', expected a positive number"),
        ("verify", {"out": ""}, r"out \(--out\): got an empty path"),
        ("manipulate", {"steps": [math.nan]}, r"steps \(--steps\): got nan"),
        ("manipulate", {"steps": []}, r"steps \(--steps\): got none"),
        ("jitter", {"scale": -0.5}, r"scale \(--scale\): got -0.5"),
    ],
)
def test_the_library_checks_the_same(call, changed, message):
    generator, predictor = toy()
    drawn = sample(generator, predictor, 128, progress=False)
    boundaries = fit_boundaries(drawn, ["view"], chosen_num=60, progress=False)
    generator.image = None  # none can be made
    with pytest.raises(ValueError, match=f"^{message}"):
        if call == "sample":
            sample(generator, predictor, 64, progress=False, **changed)
        elif call == "fit":
            fit_boundaries(drawn, ["view"], progress=False, **changed)
        elif call == "verify":
            verify(generator, predictor, boundaries, progress=False, **changed)
        else:
            function = manipulate if call == "manipulate" else jitter
            function(generator, drawn.codes[:2], boundaries["view"], **changed)
