from dataclasses import replace

import pytest
import torch

from higan_fast.checkpoints import describe, load_generator
from higan_fast.checkpoints.formats.stylegan2_names import track_average
from higan_fast.generators.stylegan2 import StyleGAN2Config
from tests.checkpoints.writers import random_stylegan2, rosinality, rosinality_state

CONFIG = StyleGAN2Config({4: 9, 8: 7, 16: 5}, latent_dim=8, code_dim=8, mapping_depth=3)


def assert_same(loaded, generator):
    state, expected = loaded.state_dict(), generator.state_dict()
    assert list(state) == list(expected)
    for name, tensor in expected.items():
        # Weights and filters are stored times a gain, which costs a rounding.
        torch.testing.assert_close(state[name], tensor, atol=0, rtol=1e-6)
    codes = torch.randn(2, 6, 8)
    torch.testing.assert_close(loaded.synthesize(codes), generator.synthesize(codes), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("archive", [True, False])
def test_converted_files(tmp_path, archive):
    generator = random_stylegan2(CONFIG)
    path = rosinality(tmp_path / "a.pkl", generator, archive)
    loaded = load_generator(path)
    assert_same(loaded, generator)
    assert loaded.config == replace(CONFIG, hidden_dim=8)
    assert describe(path).format == "rosinality's stylegan2-pytorch"
    path.unlink()
    assert_same(loaded, generator)


@pytest.mark.parametrize("archive", [True, False])
def test_trained_files_get_their_average_anew(tmp_path, archive):
    generator = random_stylegan2(CONFIG)
    path = rosinality(tmp_path / "a.pt", generator, archive, trained=True)
    loaded = load_generator(path)
    mean = generator.mapping(torch.randn(200_000, 8)).mean(0)
    torch.testing.assert_close(loaded.mapping_network.w_avg, mean, atol=0.02, rtol=0)
    assert torch.equal(loaded.mapping_network.w_avg, load_generator(path).mapping_network.w_avg)
    generator.mapping_network.w_avg.copy_(loaded.mapping_network.w_avg)
    assert_same(loaded, generator)


def test_a_bare_state_and_one_without_noise_images(tmp_path):
    generator, path = random_stylegan2(CONFIG), tmp_path / "a.pt"
    state = {name: value for name, value in rosinality_state(generator).items() if "noises" not in name}
    torch.save(state, path)
    one, two = load_generator(path), load_generator(path)
    codes = torch.randn(2, 6, 8)
    assert torch.equal(one.synthesize(codes), two.synthesize(codes))
    one.noise_mode = generator.noise_mode = "none"
    torch.testing.assert_close(one.synthesize(codes), generator.synthesize(codes), atol=1e-5, rtol=1e-5)


def test_a_discriminator_is_told(tmp_path):
    torch.save({"d": {"final_linear.0.weight": torch.ones(2)}}, tmp_path / "a.pt")
    with pytest.raises(
        ValueError, match="holds rosinality's discriminator and no generator; expected g_ema or g"
    ):
        load_generator(tmp_path / "a.pt")


DAMAGE = {
    "conv1.activate.bias": (None, "lacks conv1.activate.bias"),
    "convs.1.conv.weight": (
        torch.ones(1, 7, 6, 3, 3),
        r"conv.weight has shape \[1, 7, 6, 3, 3\] \(ours: \[7, 6, 3, 3\]\), expected \[7, 7, 3, 3\]",
    ),
    "conv1.conv.weight": (torch.ones(9), r"conv1.conv.weight has shape \[9\], expected 5 axes"),
    "style.1.weight": (None, "style.1.weight is missing"),
    "style.3.bias": (torch.full([8], torch.nan), "style.3.bias has values that are not finite"),
    "to_rgbs.0.upsample.kernel": (torch.ones(3, 3), r"upsample.kernel has shape \[3, 3\]"),
    "iwt.ll": (torch.ones(2), "holds iwt.ll, for which this architecture has no place"),
    "noises.noise_4": (torch.ones(4, 4), r"noises.noise_4 has shape \[4, 4\], expected \[16, 16\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(tmp_path, name):
    value, message = DAMAGE[name]
    state = rosinality_state(random_stylegan2(CONFIG))
    state.pop(name, None)
    torch.save({"g_ema": state if value is None else {**state, name: value}}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(tmp_path / "a.pt")
    assert "a.pt" in str(raised.value)


@pytest.mark.parametrize("label_dim, most", [(0, 2**14), (2**15, 2**13)])
def test_the_average_of_a_file_that_lacks_it_takes_bounded_work(label_dim, most):
    """With many classes, labels alone would take gigabytes."""
    config = StyleGAN2Config({4: 1}, 2, 2, 1, mapping_lr_multiplier=1.0, label_dim=label_dim)
    generator, batches = random_stylegan2(config), []
    mapping = generator.mapping
    generator.mapping = lambda z, label: batches.append(len(z)) or mapping(z, label)
    track_average(generator)
    assert sum(batches) == most and max(batches) * max(1, label_dim) <= 2**24
