"""Pivotal tuning: codes draw their images better, the network is kept, and belongs to its codes."""

import numpy as np
import pytest
import torch

import higan_fast as hf
from higan_fast.checkpoints import load_generator
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.inversion import read_codes
from tests.inversion.test_inverting import interrupted


@pytest.fixture(scope="module")
def inverted(tmp_path_factory):
    """A small generator, images that it does not draw, and codes that come nearest in a few steps."""
    torch.manual_seed(0)
    generator = StyleGAN2(StyleGAN2Config(channels={4: 8, 8: 8, 16: 8}, latent_dim=8, code_dim=8))
    generator.eval().requires_grad_(False)
    images = torch.nn.functional.interpolate(torch.rand(2, 3, 4, 4) * 2 - 1, size=16)
    out = tmp_path_factory.mktemp("run") / "invert"
    found = hf.invert(generator, images, steps=8, samples=8, starts=2, out=out, progress=False)
    return generator, images, found, out


def test_the_tuned_network_draws_the_images_better_and_is_kept(inverted):
    generator, images, found, out = inverted
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    tuned, reached = hf.tune_around(generator, found, images, 30, out=out, progress=False)
    assert (reached.psnr > found.psnr).all() and np.array_equal(reached.codes, found.codes)
    assert "2 images inverted in W+, drawn by the network that was tuned for 30 steps" in repr(reached)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert torch.equal(tuned.mapping_network.w_avg, generator.mapping_network.w_avg)
    codes = read_codes(out.parent, generator)
    assert codes.tuned == out / "tuned.safetensors"
    kept = load_generator(codes.tuned)
    images_of = [one.synthesize(torch.from_numpy(found.codes)) for one in (tuned, kept)]
    assert torch.equal(*images_of)
    hf.invert(generator, images, steps=9, samples=8, starts=2, out=out, progress=False)
    with pytest.raises(
        ValueError, match=r"tuned.safetensors: was tuned around other codes than .* --tune again"
    ):
        read_codes(out.parent, generator)


def test_an_interrupted_tuning_goes_on_to_the_same_network(inverted, tmp_path, monkeypatch):
    generator, images, found, _ = inverted
    whole, _ = hf.tune_around(generator, found, images, 12, progress=False)

    def job():
        return hf.tune_around(generator, found, images, 12, out=tmp_path, progress=False)

    interrupted(monkeypatch, 5, job)
    assert (tmp_path / "tuning.npz").exists() and not (tmp_path / "tuned.safetensors").exists()
    again, _ = job()
    state = whole.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
    assert not (tmp_path / "tuning.npz").exists()


def test_an_inversion_of_something_else_is_refused(inverted):
    generator, images, found, _ = inverted
    with pytest.raises(ValueError, match="inversion: is of 2 images, expected one of these 1, without"):
        hf.tune_around(generator, found, images[:1], 4)
    with pytest.raises(ValueError, match=r"steps \(--tune\): got 0"):
        hf.tune_around(generator, found, images, 0)
    other = StyleGAN2(generator.config).eval()
    with pytest.raises(ValueError, match="inversion: is of another generator"):
        hf.tune_around(other, found, images, 4)
