"""A run folder serves nothing stale: what no longer belongs together is refused in one line that helps."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from higan_fast.checkpoints import save_generator
from higan_fast.cli import main
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.predictors.scenes import ScenePredictor, save_scene_predictor
from higan_fast.probing import Samples
from higan_fast.scenes.factors import CONTINUOUS, SEMANTICS

LITTLE = ("--exhaustive", "--max-samples", 2, "--num-null", 2)
NAME = SEMANTICS[0].name

pytestmark = pytest.mark.usefixtures("quick_choice")


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def refused(*arguments):
    """The one line with which a command ends."""
    result = run(*arguments, code=1)
    lines = [line for line in result.output.strip().splitlines() if " on cpu" not in line]
    assert len(lines) == 1 and "Traceback" not in result.output, result.output
    return lines[0]


def write_networks(folder, seed):
    """A generator of 8² and a predictor of four semantics; their weights follow from the seed."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = StyleGAN2Config(channels={4: 8, 8: 8}, latent_dim=8, code_dim=8, mapping_depth=1)
    save_generator(StyleGAN2(config), folder / "generator.safetensors", {"origin": "a test"})
    predictor = ScenePredictor(SEMANTICS[::4], CONTINUOUS, widths=(8, 8, 8, 8))
    save_scene_predictor(predictor, folder / "predictor.safetensors", {})


def sample(folder, out, *options):
    networks = (
        "--network",
        folder / "generator.safetensors",
        "--predictor",
        folder / "predictor.safetensors",
    )
    return run("sample", *networks, "--out", out, "--device", "cpu", *options)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Networks, and beside them a run folder with every stage."""
    folder = tmp_path_factory.mktemp("made")
    write_networks(folder, 0)
    sample(folder, folder / "run", "--num", 256, "--seed", 3, "--trunc", 0.8)
    run("fit", folder / "run", "--chosen-num", 60)
    run("verify", folder / "run", *LITTLE)
    run("report", folder / "run")
    return folder


@pytest.fixture
def probe(made, tmp_path):
    """A copy of both; the settings still name the networks' first place."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def edit(folder, **settings):
    path = folder / "run" / "run.json"
    begun = json.loads(path.read_text())
    begun["settings"] |= settings
    path.write_text(json.dumps(begun))


def test_settings_that_were_edited_are_refused(probe):
    for name, value, drawn in (
        ("seed", 4, "3"),
        ("truncation_psi", 1.0, "0.8"),
        ("truncation_layers", 1, "None"),
    ):
        before = (probe / "run" / "run.json").read_text()
        edit(probe, **{name: value})
        for stage in ("fit", "verify", "report"):
            line = refused(stage, probe / "run")
            assert f"run.json: says {name} = {value!r}, and the samples were drawn with {drawn}" in line
        line = refused("manipulate", probe / "run", "--semantic", NAME)
        assert "write that there, or sample into another folder" in line
        (probe / "run" / "run.json").write_text(before)
    run("report", probe / "run")


def test_replaced_weights_are_refused(probe):
    networks = {name: str(probe / f"{name}.safetensors") for name in ("generator", "predictor")}
    edit(probe, network=networks["generator"], predictor=networks["predictor"])
    run("verify", probe / "run", *LITTLE)
    write_networks(probe / "other", 1)
    shutil.copy(probe / "other" / "generator.safetensors", networks["generator"])
    for stage in (("verify",), ("report",), ("manipulate", "--semantic", NAME)):
        line = refused(stage[0], probe / "run", *stage[1:])
        assert "generator.safetensors: is not the generator of" in line
    edit(probe, network=str(probe / "other" / ".." / ".." / "none.safetensors"))
    assert "no such file" in refused("report", probe / "run")


def test_a_replaced_predictor_is_refused(probe):
    write_networks(probe / "other", 1)
    edit(probe, predictor=str(probe / "other" / "predictor.safetensors"))
    line = refused("verify", probe / "run")
    assert "predictor.safetensors: is not the predictor of" in line


def test_boundaries_fitted_anew_make_the_verification_stale(probe):
    run("fit", probe / "run", "--chosen-num", 80)
    line = refused("report", probe / "run")
    assert "is of other boundaries; run higan-fast verify" in line
    run("verify", probe / "run", *LITTLE)
    run("report", probe / "run")


def test_samples_added_after_the_fit_make_the_boundaries_stale(made, probe):
    sample(made, probe / "run", "--num", 512, "--seed", 3, "--trunc", 0.8)
    for stage in (("verify",), ("report",), ("manipulate", "--semantic", NAME)):
        line = refused(stage[0], probe / "run", *stage[1:])
        assert "was fitted to 256 samples, and there are 512 now; run higan-fast fit" in line
    assert "fitted to 512 samples" in run("fit", probe / "run", "--chosen-num", 60).output
    run("verify", probe / "run", *LITTLE)
    run("report", probe / "run")


def test_boundaries_of_another_run_are_refused(made, probe, tmp_path):
    for folder, options in ((made, ("--seed", 9)), (tmp_path / "other", ("--seed", 3, "--trunc", 0.8))):
        write_networks(tmp_path / "other", 1)  # of the same shape
        other = tmp_path / f"run{folder.name}"
        sample(folder, other, "--num", 256, *options)
        run("fit", other, "--chosen-num", 60)
        shutil.copy(other / "boundaries.safetensors", probe / "run")
        line = refused("verify", probe / "run", *LITTLE)
        assert "boundaries.safetensors: was fitted to samples with" in line and "run higan-fast fit" in line


def test_partial_samples_are_named(probe):
    shutil.rmtree(probe / "run")
    write_networks(probe, 0)
    sample(probe, probe / "run", "--num", 512)
    (probe / "run" / "samples.zarr" / "scores" / "c" / "1" / "0").unlink()  # as if it had been interrupted
    expected = "fitted to 256 of 512 samples; sampling was interrupted"
    assert expected in run("fit", probe / "run", "--chosen-num", 60).output
    run("verify", probe / "run", *LITTLE)
    run("report", probe / "run")
    assert expected in (probe / "run" / "report.html").read_text()


def test_a_run_folder_travels(made, probe, monkeypatch):
    """To another place, with networks elsewhere, and from a machine with a GPU to one without."""
    begun = json.loads((made / "run" / "run.json").read_text())
    assert begun["settings"]["network"] == str(made / "generator.safetensors")
    assert set(begun["networks"]) == {"generator", "predictor"}
    gone = {"network": "/gone/generator.safetensors", "predictor": "/gone/predictor.safetensors"}
    edit(probe, device="cuda:7", **gone)
    line = refused("report", probe / "run")
    assert "no such file" in line and "if it is elsewhere now, give its place with --network" in line
    network = ("--network", probe / "generator.safetensors")
    places = (*network, "--predictor", probe / "predictor.safetensors")
    assert "with --predictor" in refused("verify", probe / "run", *network)
    assert "on cpu" in run("verify", probe / "run", *places, *LITTLE).output
    run("report", probe / "run", *places, "--device", "cpu")
    run("manipulate", probe / "run", "--semantic", NAME, "--num", 1, *places)
    monkeypatch.chdir(probe)
    drawn = ("--num", 512, "--seed", 3, "--trunc", 0.8)
    run("sample", *places, "--out", "run", *drawn, "--device", "cpu")
    assert len(Samples.open("run")) == 512, "goes on, with networks from another place"
    assert "got 'cuda:7'" in refused("verify", "run", *places, "--device", "cuda:7")
    fitted = ("--chosen-num", 60, "--device", "cpu", "--layer-samples", 4)
    edit(probe, **gone)
    run("probe", *places, "--out", "run", *drawn, *fitted, *LITTLE)


def test_networks_given_anew_must_be_those_of_the_run(probe):
    write_networks(probe / "other", 1)
    for name, file in (("network", "generator"), ("predictor", "predictor")):
        path = probe / "other" / f"{file}.safetensors"
        for stage in (("verify",), ("report",), ("manipulate", "--semantic", NAME)):
            line = refused(stage[0], probe / "run", *stage[1:], f"--{name}", path)
            assert f"{path}: is not the {file} of" in line and f"give its place with --{name}" in line


def test_networks_in_the_run_folder_move_with_it(tmp_path, monkeypatch):
    write_networks(tmp_path / "here" / "run" / "networks", 0)
    monkeypatch.chdir(tmp_path / "here")
    sample(Path("run/networks"), "run", "--num", 128)
    stored = json.loads(Path("run/run.json").read_text())["settings"]
    assert stored["network"] == "networks/generator.safetensors"
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path)
    run("fit", "there/run", "--chosen-num", 60)
    run("verify", "there/run", *LITTLE)


def test_another_network_cannot_go_on_where_one_began(probe):
    write_networks(probe / "other", 1)
    shutil.rmtree(probe / "run" / "samples.zarr")  # run.json alone knows
    networks = ("--network", probe / "other" / "generator.safetensors")
    networks += ("--predictor", probe / "predictor.safetensors", "--device", "cpu")
    line = refused("sample", *networks, "--out", probe / "run", "--seed", 3, "--trunc", 0.8)
    assert "is not the generator of" in line
