"""``invert``: known codes are found, gradients are exact, and an interrupted job comes to the same result."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import higan_fast as hf
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.inversion import Pixels, inverting, kept
from higan_fast.inversion.distances import Distance
from higan_fast.inversion.noise_maps import correlation, draw_with, noise_inputs, standardised
from higan_fast.inversion.problem import MAP, Problem
from higan_fast.inversion.results import comparison, psnr_of
from higan_fast.sampling.latents import make_codes
from tests.toy import toy
from tests.toy_families import CHUNK, ChunkedToy

QUICK = {"steps": 60, "samples": 32, "starts": 2, "progress": False}


@pytest.fixture(scope="module")
def small():
    """A StyleGAN2 of 16², with noise."""
    torch.manual_seed(0)
    generator = StyleGAN2(StyleGAN2Config(channels={4: 8, 8: 8, 16: 4}, latent_dim=8, code_dim=8))
    for conv in generator.synthesis.convs:
        conv.noise_strength.data.fill_(0.3)
    return generator.eval().requires_grad_(False)


def test_the_codes_of_images_that_a_generator_drew_are_found(drawn):
    images, codes = drawn
    found = hf.invert(toy()[0], images[:3], "w", **QUICK, batch_size=2)  # who is done makes room
    assert found.psnr.min() > 35 and np.array_equal(found.codes, found.codes[:, :1].repeat(5, axis=1))
    assert np.abs(found.codes - codes[:3].numpy()).max() > 0.01, (
        "others draw them too: much of w is decoration"
    )
    assert (found.percentile < 100).all() and (found.steps > 0).all() and (found.steps <= 60).all()
    text = repr(found)
    assert "3 images inverted in w" in text and f"mean PSNR {found.psnr.mean():.2f}" in text


def test_each_layer_goes_its_own_way_where_no_w_draws_an_image(drawn):
    _, codes = drawn
    generator, _ = toy()
    mixed = torch.cat([codes[:2, :2], codes[2:4, 2:]], dim=1)
    images = generator.synthesize(mixed)
    in_w, in_layers = (
        hf.invert(generator, images, space, **QUICK | {"starts": 1, "steps": 40}) for space in ("w", "w+")
    )
    assert (in_layers.psnr > in_w.psnr + 3).all()
    assert np.ptp(in_layers.codes, axis=1).max() > 0.01


def test_codes_that_are_no_copies_of_one_w_are_found_and_classes_are_named():
    generator = ChunkedToy()
    images = generator.synthesize(make_codes(generator, 5, 0, 2, label=1).codes).detach().clamp(-1, 1)
    for space in ("w", "w+"):
        found = hf.invert(generator, images, space, label=1, **QUICK | {"steps": 40})
        assert found.psnr.min() > 30 and found.codes.shape == (2, 5, generator.code_dim)
        assert np.abs(found.codes[:, 0, CHUNK:]).max() < 1e-3, "what is padding stays so"
    with pytest.raises(ValueError, match=r"label \(--class\): got 3, expected 0 to 2"):
        hf.invert(generator, images, label=3)


def test_too_large_a_batch_is_said_to_be(drawn, monkeypatch):
    def fail(*given):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(inverting, "step", fail)
    with pytest.raises(
        RuntimeError, match=r"not enough memory for the gradients of 10 images at once; take a sma"
    ):
        hf.invert(toy()[0], drawn[0], **QUICK)


@pytest.mark.parametrize("with_maps", [False, True])
def test_gradients_are_exact(small, with_maps):
    generator = StyleGAN2(small.config).double().eval()
    generator.load_state_dict(small.state_dict())
    generator.requires_grad_(False)
    targets = torch.rand(2, 3, 16, 16, dtype=torch.float64) * 2 - 1

    def to_codes(whitened):
        return generator.layer_codes(whitened[:, 0])

    problem = Problem(generator, targets, Pixels(), to_codes, pull=0.01)
    maps = {
        f"{MAP}{name}": each.repeat(2, 1, 1, 1)
        for name, each in list(noise_inputs(generator).items())[:2 if with_maps else 0]
    }  # fmt: skip
    names = ["codes", *maps]

    def total(*values):
        distance, penalty = problem(dict(zip(names, values, strict=True)), torch.arange(2))
        return distance, penalty * 1e-5  # of the regulariser, whose weight would hide everything

    given = [torch.randn(2, 1, 8, dtype=torch.float64), *maps.values()]
    assert torch.autograd.gradcheck(total, [value.requires_grad_() for value in given], fast_mode=True)


def test_noise_maps_are_found_and_draw_the_images(small):
    torch.manual_seed(1)
    targets = small.synthesize(small.map(torch.randn(2, 8))).clamp(-1, 1)
    found = hf.invert(small, targets, "w", noise_maps=True, steps=6, samples=8, starts=1, progress=False)
    assert set(found.noise) == set(noise_inputs(small))
    maps = {name: torch.from_numpy(each) for name, each in found.noise.items()}
    drawn = draw_with(small, torch.from_numpy(found.codes), maps)
    error = (drawn.clamp(-1, 1) - targets).square().flatten(1).mean(dim=1)
    assert np.allclose(10 * np.log10(4 / error.numpy()), found.psnr, atol=1e-3)
    for each in maps.values():
        assert each.mean().abs() < 1e-5 and each.square().mean().sub(1).abs() < 1e-3, "as white noise"


@pytest.mark.parametrize(("channels", "start_size"), [(1, (2, 4)), (6, (4, 1))])
def test_images_of_any_shape(channels, start_size, tmp_path):
    torch.manual_seed(0)
    config = StyleGAN2Config({4: 6, 8: 6}, 8, 8, 1, image_channels=channels, start_size=start_size)
    generator = StyleGAN2(config).eval()
    images = generator.synthesize(generator.map(torch.randn(2, 8))).detach().clamp(-1, 1)
    assert images.shape[1:] == generator.image_shape == (channels, 2 * start_size[0], 2 * start_size[1])
    found = hf.invert(generator, images, "w", **QUICK | {"steps": 30}, noise_maps=True, out=tmp_path)
    mean = generator.mapping(torch.randn(500, 8)).mean(dim=0, keepdim=True)
    without = psnr_of(generator.synthesize(generator.layer_codes(mean)), images)
    assert (found.psnr > without.detach().numpy() + 3).all()
    with Image.open(tmp_path / "progress.png") as picture:
        assert (picture.height > picture.width) == (start_size == (4, 1))
    with pytest.raises(ValueError, match=rf"images: got shape \[2, {channels}, .*expected \[N, {channels}, "):
        hf.invert(generator, images[..., 1:])


def test_what_a_comparison_shows_of_alpha():
    clear, opaque = -torch.ones(1, 1, 64, 64), torch.ones(1, 1, 64, 64)
    red = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    grid = comparison(["a"], torch.cat([red, opaque], 1), torch.cat([-red, clear], 1))
    middle = grid[grid.shape[0] - 40]
    seen = {tuple(pixel) for pixel in middle.tolist()}
    assert {(255, 0, 0), (255, 255, 255), (128, 255, 255)} <= seen, "white is found; blue and green lack"


def test_correlation_tells_pictures_from_noise():
    noise = standardised(torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)))
    smooth = standardised(torch.nn.functional.avg_pool2d(noise, 5, stride=1, padding=2))
    assert correlation(noise).max() < 0.05 < 0.5 < correlation(smooth).min()


def interrupted(monkeypatch, keeps, job):
    """Runs a job until it has kept its state so many times."""
    count, keep = 0, kept.Keeper.keep

    def counted(self, arrays):
        nonlocal count
        keep(self, arrays)
        count += 1
        if count == keeps:
            raise KeyboardInterrupt

    monkeypatch.setattr(kept, "SECONDS", 0.0)
    monkeypatch.setattr(kept, "TIMES", 0)
    monkeypatch.setattr(kept.Keeper, "keep", counted)
    with pytest.raises(KeyboardInterrupt):
        job()
    monkeypatch.undo()


@pytest.mark.parametrize("keeps", [5, 13, 19])  # in each of the three stages
def test_what_is_interrupted_comes_to_the_same_result(drawn, tmp_path, monkeypatch, keeps):
    images = drawn[0][:3]
    options = QUICK | {"steps": 6, "batch_size": 4}
    steps = []

    def job(out=None):
        steps.clear()
        with monkeypatch.context() as patch:
            patch.setattr(inverting, "FIRST_STEPS", 5)
            patch.setattr(inverting, "step", lambda *given, step=inverting.step: steps.append(step(*given)))
            return hf.invert(toy()[0], images, **options, out=out)

    whole, in_all = job(), len(steps)
    interrupted(monkeypatch, keeps, lambda: job(tmp_path))
    found = job(tmp_path)
    for name in ("codes", "psnr", "distance", "steps"):
        assert np.array_equal(getattr(found, name), getattr(whole, name)), name
    assert len(steps) == in_all - keeps, "it went on where it was"
    assert not (tmp_path / "search.npz").exists()
    assert np.array_equal(job(tmp_path).codes, whole.codes) and not steps, "what is done is not done again"


def test_the_folder_has_codes_a_table_and_a_picture(drawn, tmp_path):
    images, _ = drawn
    names = [f"{letter}.png" for letter in "abcde"]
    found = hf.invert(toy()[0], images, "w", names=names, out=tmp_path, **QUICK | {"steps": 8})
    with np.load(tmp_path / "codes.npz") as file:  # as NVlabs' scripts read theirs
        assert file["w"].dtype == np.float32 and file["w"].shape == (5, 5, 32)
    rows = json.loads((tmp_path / "invert.json").read_text())["images"]
    assert [row["image"] for row in rows] == names and rows[2]["psnr"] == float(found.psnr[2])
    assert (tmp_path / "invert.csv").read_text().splitlines()[
        0
    ] == "image,psnr,distance,from_mean,percentile,steps"
    with Image.open(tmp_path / "progress.png") as picture:
        assert picture.height > 5 * 64 and picture.width > 3 * 64
    again = hf.Inversion.load(tmp_path)
    assert again.names == found.names and np.array_equal(again.codes, found.codes)


class Blind(Distance):
    name = "blind"

    def features(self, images):
        return (images.detach(),)


def test_what_cannot_be_inverted_is_refused(drawn, tmp_path):
    images, _ = drawn
    generator, _ = toy()
    for given, message in (
        (images[:, :1], r"images: got shape \[5, 1, 16, 16\], expected \[N, 3, 16, 16\]"),
        (images[..., :8], r"images: got shape \[5, 3, 16, 8\]"),
        (images[:0], r"images: got shape \[0, 3, 16, 16\]"),
        (images * 300, r"images: got values outside of \[-1, 1\]"),
        ((images * 100).int(), "images: got 'torch.int32', expected uint8, or numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            hf.invert(generator, given)
    for options, message in (
        ({"space": "z"}, r"space \(--space\): got 'z', expected one of w, w\+"),
        ({"steps": 2}, r"steps \(--steps\): got 2, expected a whole number of at least 4"),
        ({"starts": 9, "samples": 4}, r"samples \(--samples\): got 4, expected a whole number of at least 8"),
        ({"names": ["a"]}, "names: got 1 for 5 images"),
        ({"label": 3}, "this generator is unconditional"),
    ):
        with pytest.raises(ValueError, match=message):
            hf.invert(generator, images, **options)
    with pytest.raises(ValueError, match="blind: carries no gradient"):
        hf.invert(generator, images, distance=Blind(), **QUICK)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"images": None}, r"images: got None, expected an array \[N, C, H, W\]; read_pictures reads files"),
        ({"images": "a.png"}, "images: got 'a.png', expected an array"),
        ({"images": Image.new("RGB", (16, 16))}, "images: got a Image, expected an array"),
        ({"distance": 5}, r"distance \(--distance\): got 5, expected a Distance, 'pixels', or what names"),
        ({"steps": 10**20}, r"steps \(--steps\): got 100000000000000000000, expected .* at most 16,777,216"),
        (
            {"samples": 10**40},
            r"samples \(--samples\): got more than 10\^30, expected a whole number of at most 16,777",
        ),
        ({"names": list("abcda")}, "names: got 'a' twice, expected each name once"),
        ({"names": "abcde"}, "names: got 'abcde', expected a list of texts"),
        ({"names": [1, 2]}, r"names: got \[1, 2\], expected a list of texts"),
        ({"names": ["a"]}, "names: got 1 for 5 images, expected one for each"),
    ],
)
def test_bad_arguments_are_named(drawn, arguments, message):
    with pytest.raises(ValueError, match=message):
        hf.invert(toy()[0], **{"images": drawn[0], "progress": False} | arguments)


def test_a_distance_is_named_and_training_ends(drawn):
    generator, _ = toy()
    options = {"steps": 4, "samples": 4, "starts": 1, "progress": False}
    expected = hf.invert(generator, drawn[0][:1], "w", **options)
    found = hf.invert(generator.train(), drawn[0][:1], "w", distance="pixels", **options)
    assert np.array_equal(found.codes, expected.codes) and not generator.training
