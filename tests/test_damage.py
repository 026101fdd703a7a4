"""Damage to any file of a run folder ends in the right result, or in one line that says what mends it."""

import json
import shutil
import warnings

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

from higan_fast.cli import main
from higan_fast.files import DamagedError, read_arrays, write_arrays
from higan_fast.probing import Boundaries, Samples
from tests.damage import DAMAGES
from tests.test_run_folder import write_networks

FITTING = ("--chosen-num", "60")
VERIFYING = ("--max-samples", "8", "--num-null", "2", "--semantic", "view")
# Which stages read a part of a run folder; the last of them mends it.
READERS = {
    "run.json": ("show", "fit", "verify", "sample"),
    "samples.zarr": ("show", "fit", "sample"),
    "choice": ("fit",),
    "boundaries.safetensors": ("show", "verify", "fit"),
    "verification": ("show", "verify"),
    "verification.npz": ("show", "verify"),
}
STAGES = {"sample": (), "fit": FITTING, "verify": VERIFYING, "show": ("--json",)}

pytestmark = pytest.mark.usefixtures("quick_choice")


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    write_networks(folder, 0)
    return folder


@pytest.fixture
def stage(networks):
    """Runs a stage of a probe; returns the exit code, and what was printed."""

    def run(name, out):
        where = (str(out),)
        if name == "sample":
            paths = [str(networks / f"{one}.safetensors") for one in ("generator", "predictor")]
            where = ("--network", paths[0], "--predictor", paths[1], "--out", str(out), "--num", "128")
        quiet = () if name == "show" else ("--quiet",)
        device = () if name in ("fit", "show") else ("--device", "cpu")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = CliRunner().invoke(main, [name, *where, *STAGES[name], *quiet, *device])
        assert not [str(warning.message) for warning in caught]
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


@pytest.fixture(scope="module")
def cache():
    return {}


@pytest.fixture
def whole(stage, cache, tmp_path_factory):
    """An undamaged run, and what each stage gives there."""
    if not cache:
        folder = tmp_path_factory.mktemp("whole") / "run"
        for name in ("sample", "fit", "verify"):
            assert stage(name, folder)[0] == 0
        cache.update(folder=folder, found=found_in(folder, stage))
    return cache["folder"], cache["found"]


def found_in(folder, stage):
    """The results in a run folder."""
    samples, boundaries = Samples.open(folder), Boundaries.load(folder / "boundaries.safetensors")
    arrays = {name: getattr(samples, name).tobytes() for name in ("z", "w", "codes", "scores")}
    normals = {name: boundary.normal.tobytes() for name, boundary in boundaries.items()}
    code, output = stage("show", folder)
    assert code == 0, output
    return arrays, normals, json.loads(output)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "deleted"])
def test_every_file_of_a_run_gives_the_right_result_or_one_line(whole, stage, damage, tmp_path):
    folder, expected = whole
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "writer.lock"]
    assert {path.relative_to(folder).parts[0] for path in files} == set(READERS)
    for number, file in enumerate(files):
        copy = tmp_path / str(number)
        shutil.copytree(folder, copy)
        damaged = copy / file.relative_to(folder)
        DAMAGES[damage](damaged, number)
        for name in READERS[damaged.relative_to(copy).parts[0]]:
            code, output = stage(name, copy)
            if code:
                assert code == 1 and len(output.strip().splitlines()) == 1, (damaged, name, output)
                assert "higan-fast" in output, (damaged, name, output)
                assert str(damaged) in output or damage == "deleted", (damaged, name, output)
            elif name == "show":
                assert json.loads(output) == expected[2], damaged
            elif str(damaged) in output:
                assert "is damaged" in output and "measured again" in output
        assert found_in(copy, stage) == expected, damaged
        shutil.rmtree(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda begun: begun["settings"].update(colour=1), "settings.colour: unknown key"),
        (lambda begun: begun.update(colour=1), "colour: unknown key"),
        (lambda begun: begun["settings"].update(seed="three"), "settings.seed: Input should be a valid int"),
        (lambda begun: begun["settings"].update(network=[]), "settings.network: Input should be a valid str"),
        (lambda begun: begun.pop("settings"), "settings: Field required"),
        (lambda begun: begun.pop("made_with"), "made_with: Field required"),
    ],
)
def test_run_json_says_what_is_wrong_and_is_written_anew(whole, stage, change, message, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    begun = json.loads(file.read_text())
    change(begun)
    file.write_text(json.dumps(begun))
    for name in ("fit", "verify", "show"):
        code, output = stage(name, tmp_path / "run")
        assert code == 1 and output.startswith(f"Error: {file}: cannot be read ({message}"), output
        assert len(output.strip().splitlines()) == 1 and "run higan-fast sample again" in output
    assert stage("sample", tmp_path / "run") == (0, "")
    assert found_in(tmp_path / "run", stage) == whole[1]


def test_a_damaged_run_json_is_not_written_anew_with_other_settings(whole, stage, monkeypatch, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{")
    monkeypatch.setitem(STAGES, "sample", ("--seed", "7"))
    code, output = stage("sample", tmp_path / "run")
    assert code == 1 and "was made with seed = 0, and this run has 7" in output
    assert (tmp_path / "run" / "run.json").read_text() == "{"


def test_arrays_under_a_checksum_never_differ_in_silence(tmp_path):
    path, random = tmp_path / "arrays.npz", np.random.default_rng(0)
    written = {"a": random.normal(size=(4, 7)), "b": np.arange(3), "text": np.array("key")}
    write_arrays(path, written)
    content, harmless = path.read_bytes(), 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(flipped))
        try:
            found = read_arrays(path)
            harmless += 1
            assert found.keys() == written.keys()
            assert all(np.array_equal(found[name], written[name]) for name in written), place
        except DamagedError as error:
            assert str(path) in str(error) and "\n" not in str(error)
    assert harmless < len(content) / 3  # dates and the like


def test_boundaries_under_a_checksum_never_differ_in_silence(whole, tmp_path):
    path, random = tmp_path / "boundaries.safetensors", np.random.default_rng(0)
    content = (whole[0] / "boundaries.safetensors").read_bytes()
    expected = Boundaries.load(whole[0] / "boundaries.safetensors")
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(flipped))
        try:
            found = Boundaries.load(path)
            assert found.settings == expected.settings and found.skipped == expected.skipped
            assert all(np.array_equal(found[name].normal, one.normal) for name, one in expected.items())
        except DamagedError as error:
            assert str(path) in str(error) and "\n" not in str(error)


def test_a_file_of_other_tensors_is_no_file_of_boundaries(tmp_path):
    safetensors.numpy.save_file({"weights": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(DamagedError, match="not a file of boundaries, or a damaged one"):
        Boundaries.load(tmp_path / "weights.safetensors")
