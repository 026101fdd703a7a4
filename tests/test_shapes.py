"""Images of any number of channels, and of any height and width, from a network's file to the report."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import higan_fast as hf
from higan_fast.checkpoints import save_generator
from higan_fast.cli import main
from higan_fast.engine.scoring import score
from higan_fast.fingerprint import fingerprint
from higan_fast.generators.stylegan2 import StyleGAN2Config
from higan_fast.image_shapes import as_rgb, shape_in_words
from higan_fast.pictures import image_grid, shrunk, to_uint8
from higan_fast.predictors import Predictor, Semantic, load_predictor
from tests.checkpoints.writers import random_stylegan2
from tests.report.page import Page

# Channels, the size at which it starts, what is kept of the channels, and how a line says what comes out.
NETWORKS = {
    "tall RGBA": (4, (4, 2), None, "8×4 RGBA"),
    "wide gray, of six": (6, (2, 6), (4,), "4×12 gray"),
}


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def network(channels, start_size):
    config = StyleGAN2Config(
        {4: 8, 8: 6}, 12, 12, 1, image_channels=channels, start_size=start_size, conv_clamp=256.0
    )
    return random_stylegan2(config)


@pytest.fixture(scope="module", params=NETWORKS)
def probed(request, tmp_path_factory):
    channels, start_size, bands, words = NETWORKS[request.param]
    folder = tmp_path_factory.mktemp("shapes")
    file = folder / "network.safetensors"
    save_generator(network(channels, start_size), file, {"source": "a test"})
    result = run(
        "probe", "--network", file, *(["--bands", ",".join(map(str, bands))] if bands else []),
        "--predictor", "color", "--out", folder / "run", "--num", 192, "--chosen-num", 0.3, "--C", 0.1,
        "--max-samples", 16, "--decide", "effect", "--num-null", 4, "--confidence", 0.8,
        "--layer-samples", 4, "--quiet",
    )  # fmt: skip
    generator = hf.load_generator(file, bands=bands)
    assert shape_in_words(generator.image_shape) == words
    return SimpleNamespace(out=folder / "run", file=file, generator=generator, words=words, result=result)


def test_a_probe_runs_from_end_to_end(probed, tmp_path):
    page = Page((probed.out / "report.html").read_text())
    assert f"stylegan2, {probed.words}, 4 layers" in page.text
    _, height, width = probed.generator.image_shape
    strips = [picture for alt, picture in page.pictures() if " moved along " in alt]
    assert strips and all(picture.shape[0] % height == 0 == picture.shape[1] % width for picture in strips)
    assert probed.words in run("inspect", probed.out).stdout
    again = json.loads(run("inspect", probed.out, "--json").stdout)["network"]
    assert again["image_shape"] == list(probed.generator.image_shape)
    run("dose", probed.out, "--num", 12, "--steps=-2,0,2", "--semantic", "brightness", "--quiet")
    run("mix", probed.out, "--num", 24, "--quiet")


def test_pictures_and_animations_show_what_is_scored(probed, tmp_path):
    samples = hf.Samples.open(probed.out)
    boundary = hf.Boundaries.load(probed.out / "boundaries.safetensors")["brightness"]
    images = hf.manipulate(probed.generator, samples.codes[:2], boundary, steps=(-3, 0, 3))
    channels, height, width = probed.generator.image_shape
    assert images.shape == (2, 3, channels, height, width)
    tile = to_uint8(as_rgb(images[1, 2])).permute(1, 2, 0)
    factor = -(-64 // min(height, width))
    tile = tile.repeat_interleave(factor, 0).repeat_interleave(factor, 1).numpy()
    for ending in ("png", "gif", "webp", "mp4"):
        if ending == "mp4":
            pytest.importorskip("av")
        path = tmp_path / f"a.{ending}"
        moves = ["--steps=-3,0,3"] if ending == "png" else ["--frames", 2, "--steps=-3,3"]
        run(
            "manipulate", probed.out, "--semantic", "brightness", "--num", 2, *moves, "--out", path, "--quiet"
        )
        assert path.stat().st_size > 500
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture)
    margin = min(max(12, height * factor // 10), 40)
    found = pixels[-margin - height * factor : -margin]
    left = [at for at in range(found.shape[1] - width * factor) if (found[0, at] == tile[0, 0]).all()]
    places = [found[:, at : at + width * factor].astype(int) for at in left]
    assert any(np.abs(place - tile).max() <= 1 for place in places), "the last sample at the last step"


def test_gray_is_repeated_and_alpha_laid_over_white():
    gray = torch.tensor([-1.0, 0.5]).reshape(1, 1, 1, 2)
    assert as_rgb(gray).tolist() == [[[[-1.0, 0.5]]] * 3]
    seen = torch.tensor([[0.5, -1.0, 0.0, alpha] for alpha in (1.0, -1.0, 0.0)]).T[None, :, None]
    assert as_rgb(seen)[0, :, 0].T.tolist() == [[0.5, -1, 0], [1, 1, 1], [0.75, 0, 0.5]]
    assert torch.equal(as_rgb(torch.cat([gray, torch.ones_like(gray)], 1)), as_rgb(gray))
    many = torch.arange(7.0).reshape(1, 7, 1, 1)
    assert as_rgb(many).flatten().tolist() == [0, 1, 2]
    grid = image_grid(seen.transpose(0, 2)[None].transpose(1, 2).reshape(1, 1, 4, 1, 3))
    assert grid[0, 1].tolist() == [255, 255, 255] and grid[0, 0].tolist() == [191, 0, 128]


def test_large_images_keep_their_proportions():
    assert shrunk(torch.zeros(2, 4, 90, 40), 30).shape == (2, 3, 30, 13)
    assert shrunk(torch.zeros(1, 1, 400, 1), 30).shape == (1, 3, 30, 1)
    opaque, clear = torch.ones(1, 1, 8, 4), -torch.ones(1, 1, 8, 4)
    black = torch.cat([-torch.ones(1, 3, 8, 8), torch.cat([opaque, clear], 3)], 1)
    assert shrunk(black, 4)[0, 0, 0].tolist() == pytest.approx([-1, -0.75, 0.75, 1], abs=0.1)


class FirstChannels(Predictor):
    """Scores images by the means of their first channels, of which it takes some number."""

    def __init__(self, channels):
        super().__init__()
        self.channels, self.semantics = channels, (Semantic("first", "color"), Semantic("last", "color"))

    def forward(self, images):
        assert self.channels in (None, images.shape[1])
        return images.mean([2, 3])[:, [0, -1]]


def test_a_predictor_is_given_the_channels_that_it_takes():
    rgba = torch.tensor([0.5, -1.0, 0.0, 0.0])[None, :, None, None].expand(2, -1, 3, 5)
    assert score(FirstChannels(3), rgba)[0].tolist() == [0.75, 0.5]
    assert (
        score(FirstChannels(4), rgba)[0].tolist() == score(FirstChannels(None), rgba)[0].tolist() == [0.5, 0]
    )
    mean = lambda images: images.mean([2, 3])  # noqa: E731
    both = load_predictor([load_predictor(mean, list("abcd"), channels=4), FirstChannels(3)])
    assert score(both, rgba)[0].tolist() == [0.5, -1, 0, 0, 0.75, 0.5]
    five = torch.zeros(1, 5, 4, 4)
    for predictor in (FirstChannels(3), load_predictor("color")):
        with pytest.raises(
            ValueError, match=r"images: got 5 channels, and the predictor takes 3 channels"
        ) as error:
            score(predictor, five)
        assert "\n" not in str(error.value) and "--bands 0,1,2" in str(error.value)
    with pytest.raises(
        ValueError, match=r"got 3 channels \(RGB\), and the predictor takes 1 channel \(gray\)"
    ):
        score(FirstChannels(1), five[:, :3])
    with pytest.raises(ValueError, match=r"channels \(--channels\): 'color' says itself how many channels"):
        load_predictor("color", channels=4)
    given, without = (load_predictor(mean, ["a"], channels=channels) for channels in (3, None))
    assert given.channels == without.channels == 3 and fingerprint(given) != fingerprint(without)


def test_bands_are_those_channels_of_the_whole_network(tmp_path):
    whole = network(6, (4, 4))
    save_generator(whole, tmp_path / "a.safetensors", {})
    some = hf.load_generator(tmp_path / "a.safetensors", bands=(4, 0, 0))
    codes = torch.randn(2, 4, 12)
    torch.testing.assert_close(some.synthesize(codes), whole.synthesize(codes)[:, [4, 0, 0]])
    assert some.image_shape == (3, 8, 8) and fingerprint(some) != fingerprint(whole)
    for bands in ((), (6,), (-1,), (0.5,)):
        with pytest.raises(ValueError, match=r"bands \(--bands\): got .* expected channels from 0 to 5"):
            hf.load_generator(tmp_path / "a.safetensors", bands=bands)
    given = ("--network", tmp_path / "a.safetensors", "--predictor", "color", "--out", tmp_path / "run")
    refused = run("sample", *given, code=1).output
    assert "Error: images: got 6 channels, and the predictor takes 3 channels (RGB); choose" in refused
    assert not (tmp_path / "run").exists()


def test_what_is_not_square_is_refused_where_it_matters():
    with pytest.raises(ValueError, match="expected square ones"):
        score(load_predictor("layout"), torch.zeros(1, 1, 16, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_channels": 0}, "image_channels: got 0, expected at least 1"),
        ({"start_size": (4, 0)}, "start_size: got 0, expected at least 1"),
        ({"start_size": [4, 4]}, "start_size: got .*, expected a height and a width"),
        ({"start_size": (4,)}, "start_size: got .*, expected a height and a width"),
    ],
)
def test_wrong_architectures_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        StyleGAN2Config(**options)
