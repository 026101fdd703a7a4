"""The whole probe from the command line, for every family: on small generators with random weights."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from higan_fast.checkpoints import load_generator, save_generator
from higan_fast.cli import main
from higan_fast.generators.biggan import BigGAN, BigGANConfig
from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.generators.pggan import PGGAN, PGGANConfig
from higan_fast.generators.stylegan import StyleGAN, StyleGANConfig
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.generators.stylegan3 import StyleGAN3
from higan_fast.generators.stylegan3_config import StyleGAN3Config
from higan_fast.probing import Attribution, Boundaries, Samples, Verification
from tests.checkpoints.biggan import biggan_pytorch
from tests.report.page import Page

pytestmark = pytest.mark.usefixtures("quick_choice")

CHANNELS = {4: 8, 8: 8, 16: 4}
SMALL = {"channels": CHANNELS, "latent_dim": 24, "code_dim": 24, "mapping_depth": 1}
FAMILIES = {
    "stylegan": lambda: StyleGAN(StyleGANConfig(**SMALL)),
    "stylegan2": lambda: StyleGAN2(StyleGAN2Config(**SMALL, label_dim=3)),
    "stylegan3": lambda: StyleGAN3(
        StyleGAN3Config(16, (8, 4), latent_dim=24, code_dim=24, mapping_depth=1, num_critical=1, margin=2)
    ),
    "pggan": lambda: PGGAN(PGGANConfig(CHANNELS, latent_dim=24)),
    "biggan": lambda: BigGAN(
        BigGANConfig((8, 8, 4), latent_dim=72, label_dim=3, embed_dim=4, attention=(1,))
    ),
    "biggan-deep": lambda: BigGANDeep(
        BigGANDeepConfig((8, 8, 8, 4), (False, True, True), latent_dim=20, label_dim=3, embed_dim=4)
    ),
}
EXPECTED = {  # layers, space, question
    "stylegan": (6, "w", "top-layer"),
    "stylegan2": (6, "w", "top-layer"),
    "stylegan3": (4, "w", "top-layer"),
    "pggan": (1, "w", "effect"),
    "biggan": (3, "layers", "top-layer"),
    "biggan-deep": (4, "w", "top-layer"),
}


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def write(folder, name):
    """A file with the generator of a family; no tensor of it is zero."""
    torch.manual_seed(1)
    generator = FAMILIES[name]()
    with torch.no_grad():
        for entry, tensor in generator.state_dict().items():
            if "variance" in entry:
                tensor.uniform_(0.5, 1.5)
            elif "filter" not in entry:
                tensor += 0.1 * torch.randn_like(tensor)
    path = folder / f"{name}.safetensors"
    save_generator(generator, path, {"source": "a test"})
    return path


@pytest.fixture(scope="module", params=FAMILIES)
def probed(request, tmp_path_factory):
    """A probe of each family in turn."""
    folder = tmp_path_factory.mktemp("runs")
    network = write(folder, request.param)
    result = run(
        "probe", "--network", network, "--predictor", "color", "--out", folder / "run", "--num", 192,
        "--trunc", 0.8, "--chosen-num", 0.3, "--max-samples", 34, "--num-null", 4, "--confidence", 0.8,
        "--layer-samples", 20,
    )  # fmt: skip
    return SimpleNamespace(name=request.param, network=network, out=folder / "run", result=result)


def test_a_probe_runs_from_end_to_end(probed):
    layers, space, question = EXPECTED[probed.name]
    measured = Verification.load(probed.out / "verification.npz").layers_measured
    line = "mean layer, color" if measured else "no layer was moved alone: "
    assert line in probed.result.output
    page = Page((probed.out / "report.html").read_text()).text
    assert f"--trunc 0.8 --chosen-num 0.3 --space {space} --boundary logistic --C auto --step 2" in page
    assert f"--decide {question} --max-samples 34" in page
    assert ("Layers without a direction" in page) == (layers > 1) == (probed.out / "attribution.npz").exists()
    if layers == 1:
        assert "4/5 attributing to layers: there is one, which decides" in probed.result.stderr
        assert "attribution   none: the generator has one layer" in run("inspect", probed.out).stdout
        refused = run("layers", probed.out, code=1).stderr.strip()
        assert refused.splitlines()[-1].startswith("Error: generator: it has one layer")
    assert f"{probed.name}, 16², {layers} layer" in page
    generator = load_generator(probed.network)
    samples, boundaries = Samples.open(probed.out), Boundaries.load(probed.out / "boundaries.safetensors")
    assert samples.codes.shape == (192, layers, generator.code_dim)
    assert (samples.labels is None) == (generator.label_dim == 0)
    expected = (layers, generator.code_dim) if space == "layers" else (generator.w_dim,)
    assert {boundary.normal.shape for boundary in boundaries.values()} == {expected}
    with torch.inference_mode():
        labels = None if samples.labels is None else torch.tensor(samples.labels[:8])
        codes = generator.map(torch.tensor(samples.z[:8]), labels, 0.8)
    np.testing.assert_allclose(samples.codes[:8], codes, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_codes_hold_all_that_an_image_depends_on(probed):
    """Codes of two truncations, drawn in one batch, and each by a network that has seen no other."""
    generator = load_generator(probed.network)
    z = torch.randn(2, generator.latent_dim, generator=torch.Generator().manual_seed(3))
    label = torch.tensor([2, 0]) if generator.label_dim else None
    codes = [generator.map(z, label, psi) for psi in (0.7, 0.5)]
    together = generator.synthesize(torch.cat(codes)).split(2)
    for own, images in zip(codes, together, strict=True):
        alone = load_generator(probed.network).synthesize(own)
        # A batch of another size may be summed in another order, in float32.
        torch.testing.assert_close(images, alone, atol=1e-4, rtol=0)
    differ = bool((together[0] - together[1]).abs().max() > 1e-3)
    assert differ == (probed.name != "pggan"), "PGGAN normalises its latent, whatever its length"


@pytest.mark.parametrize("question", ["effect", "top-layer", "ranking"])
def test_every_question_can_be_asked(probed, question):
    options = ("--decide", question, "--max-samples", 34, "--num-null", 4, "--screening", 2, "--json")
    found = json.loads(run("verify", probed.out, *options, "--confidence", 0.8).stdout)
    assert found["settings"]["decide"] == question
    layers = EXPECTED[probed.name][0]
    assert all(
        [entry["layer"] for entry in row["profile"]] == list(range(layers)) for row in found["semantics"]
    )
    if layers == 1:
        assert all(row["profile"][0]["effect"] == row["effect"] for row in found["semantics"])
        assert all(row["best_layer"] == 0 for row in found["semantics"])


def test_an_exhaustive_verification_and_a_strip(probed, tmp_path):
    found = json.loads(
        run("verify", probed.out, "--exhaustive", "--max-samples", 3, "--num-null", 2, "--json").stdout
    )
    layers, num = EXPECTED[probed.name][0], len(found["semantics"])
    sets = 1 if layers == 1 else 1 + layers
    assert found["images"] == 3 * (1 + 2 * sets * (num + 2 * 2))
    name, out = found["semantics"][0]["name"], tmp_path / "strip.png"
    run("manipulate", probed.out, "--semantic", name, "--layers", "0", "--num", 2, "--out", out)
    with Image.open(out) as picture:
        assert picture.width > 3 * 16 and picture.height > 2 * 16


def test_a_probe_in_z(probed, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(probed.out, out)
    run("fit", out, "--chosen-num", 0.3, "--space", "z")
    found = json.loads(run("verify", out, "--max-samples", 8, "--num-null", 2, "--json").stdout)
    assert found["settings"]["decide"] == "effect" and found["semantics"][0]["profile"] == []
    run("report", out)
    assert "These boundaries were fitted in z" in (out / "report.html").read_text()


def test_a_probe_of_biggan_in_w(tmp_path):
    network, out = write(tmp_path, "biggan"), tmp_path / "run"
    run(
        "probe", "--network", network, "--predictor", "color", "--out", out, "--num", 192, "--trunc", 0.8,
        "--chosen-num", 0.3, "--space", "w", "--max-samples", 8, "--num-null", 2,
        "--layer-samples", 0,
    )  # fmt: skip
    found = Boundaries.load(out / "boundaries.safetensors")
    assert {boundary.normal.shape for boundary in found.values()} == {(72 + 4,)}
    page = Page((out / "report.html").read_text()).text
    assert "--space w" in page and "16², 3 layers" in page
    run("manipulate", out, "--semantic", next(iter(found)), "--num", 1, "--out", tmp_path / "strip.png")


def test_what_a_file_holds_and_its_conversion(probed, tmp_path):
    layers, generator = EXPECTED[probed.name][0], load_generator(probed.network)
    text = run("inspect", probed.network).stdout
    for part in (
        probed.name,
        "16 × 16",
        f"{layers} layer",
        "a test",
        generator.layers[-1].name,
        "higan_fast",
    ):
        assert part in text
    assert f"classes      {generator.label_dim or 'none'}\n" in text
    found = json.loads(run("inspect", probed.network, "--json").stdout)
    assert found["family"] == probed.name and len(found["layers"]) == layers
    assert found["layers"][0]["group"] == generator.layers[0].group
    converted = tmp_path / "converted.safetensors"
    assert run("convert", probed.network, converted).stdout == f"{converted}\n"
    again = json.loads(run("inspect", converted, "--json").stdout)
    assert again.pop("source")["source"] == probed.network.name
    found.pop("source")
    assert again == found


def test_one_class_alone(tmp_path):
    network, out = write(tmp_path, "biggan-deep"), tmp_path / "run"
    common = ("--network", network, "--predictor", "color", "--out", out, "--num", 192, "--class", 2)
    run(
        "probe", *common, "--trunc", 0.5, "--chosen-num", 0.3, "--exhaustive", "--max-samples", 3,
        "--num-null", 2, "--layer-samples", 4,
    )  # fmt: skip
    assert Attribution.load(out / "attribution.npz").settings["label"] == 2
    assert set(Samples.open(out).labels) == {2}
    page = Page((out / "report.html").read_text()).text
    assert "--trunc 0.5 --class 2 --chosen-num" in page and "4 layers, class 2" in page
    assert json.loads((out / "run.json").read_text())["settings"]["label"] == 2
    verified = run("verify", out, "--exhaustive", "--max-samples", 3, "--num-null", 2, "--json").stdout
    assert json.loads(verified)["settings"]["label"] == 2
    other = run("sample", *common[:-1], 1, "--trunc", 0.5, code=1)
    assert "was made with label = 2, and this run has 1" in other.output


def test_what_a_family_does_not_have_is_said_in_one_line(tmp_path):
    networks = {name: write(tmp_path, name) for name in ("stylegan", "biggan", "biggan-deep")}
    out = tmp_path / "run"

    def sample(name, *options):
        arguments = (
            "--network",
            networks[name],
            "--predictor",
            "color",
            "--out",
            out,
            "--num",
            128,
            *options,
        )
        return run("sample", *arguments, code=1)

    missing = tmp_path / "none.json"
    for name, options, message in [
        (
            "stylegan",
            ("--class", 1),
            "label (--class): got 1, but this generator is unconditional; leave it out",
        ),
        ("biggan", ("--class", 3), "label (--class): got 3, expected 0 to 2"),
        ("biggan-deep", ("--trunc", 1.5), "truncation_psi (--trunc): got 1.5, expected 0 to 1"),
        ("biggan", ("--config", missing), str(missing)),
    ]:
        result = sample(name, *options)
        assert message in result.output and len(result.output.strip().splitlines()) == 1
        assert not out.exists(), "nothing is left behind"


@pytest.mark.parametrize(("hierarchical", "options"), [(True, ()), (False, ("--class", 1))])
def test_what_a_format_does_not_store_is_given_in_a_file(tmp_path, hierarchical, options):
    network, config, out = tmp_path / "G_ema.pth", tmp_path / "config.json", tmp_path / "run"
    torch.save(dict(biggan_pytorch((8, 8, 4), 24, hierarchical=hierarchical)), network)
    config.write_text(json.dumps({"BN_eps": 1e-5}))
    assert "give a --config" in run("inspect", network, code=1).output
    assert "BigGAN-PyTorch" in run("inspect", network, "--config", config).output
    arguments = ("--network", network, "--config", config, "--predictor", "color", "--out", out, *options)
    run(
        "probe",
        *arguments,
        "--num",
        192,
        "--chosen-num",
        0.3,
        "--max-samples",
        8,
        "--num-null",
        2,
        "--layer-samples",
        20,
    )
    assert json.loads((out / "run.json").read_text())["settings"]["config"] == str(config)
    assert f"--config {config} --predictor color" in Page((out / "report.html").read_text()).text
    found = Boundaries.load(out / "boundaries.safetensors")
    # Without hierarchical latents the blocks read nothing but their class, and here that is always the same.
    moved = [True, hierarchical, hierarchical]
    assert found and all(boundary.normal.any(axis=1).tolist() == moved for boundary in found.values())
    converted = tmp_path / "converted.safetensors"
    run("convert", network, converted, "--config", config)
    assert json.loads(run("inspect", converted, "--json").stdout)["source"]["source"] == "G_ema.pth"
