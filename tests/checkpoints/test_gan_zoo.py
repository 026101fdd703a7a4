import pytest
import torch

from higan_fast.checkpoints import describe, load_generator
from higan_fast.generators.pggan import PGGANConfig
from tests.checkpoints.genforce_writer import gan_zoo_file, gan_zoo_state
from tests.checkpoints.raw_weights import assert_same, random_pggan

CONFIG = PGGANConfig({4: 9, 8: 7, 16: 6}, latent_dim=6)


def with_a_bias_for_each_pixel(config):
    """As its first layer has it."""
    generator = random_pggan(config)
    generator.dense.bias.copy_(torch.randn_like(generator.dense.bias))
    return generator


@pytest.mark.parametrize("label_dim", [0, 3])
@pytest.mark.parametrize("sizes", [1, 3])
def test_comes_back_as_it_went(tmp_path, label_dim, sizes):
    channels = dict(list(CONFIG.channels.items())[:sizes])
    generator = with_a_bias_for_each_pixel(PGGANConfig(channels, 6, label_dim))
    path = gan_zoo_file(tmp_path / "a", generator)
    assert_same(load_generator(path), generator)
    assert describe(path).format == "pytorch_GAN_zoo PGAN"


@pytest.mark.parametrize("loss, tanh", [("Logistic", False), ("DCGAN", True), ("MSE", True)])
def test_the_loss_tells_whether_images_go_through_tanh(tmp_path, loss, tanh):
    generator = with_a_bias_for_each_pixel(PGGANConfig(CONFIG.channels, 6, tanh=tanh))
    assert_same(load_generator(gan_zoo_file(tmp_path / "a", generator, {"lossCriterion": loss})), generator)


def test_older_names_and_a_file_without_the_average(tmp_path):
    generator = with_a_bias_for_each_pixel(CONFIG)
    state = gan_zoo_state(generator, wrapped=False)
    assert_same(load_generator(gan_zoo_file(tmp_path / "a", generator, state=state)), generator)
    torch.save({"config": {}, "netG": state, "netD": {}}, tmp_path / "b")
    assert_same(load_generator(tmp_path / "b"), generator)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"alpha": 0.5}, "alpha is 0.5, expected 0; this variant cannot be read"),
        ({"perChannelNormalization": False}, "perChannelNormalization is False, expected True"),
        ({"leakyReluLeak": torch.ones(2)}, "leakyReluLeak is a Tensor, expected 0.2"),
        ({"lossCriterion": ["hinge"]}, "lossCriterion is .'hinge'., expected one of WGANGP"),
        ({"lossCriterion": "hinge"}, "lossCriterion is 'hinge', expected one of WGANGP"),
        ({"categoryVectorDim": 6}, "categoryVectorDim is 6, expected 0 to 5"),
    ],
)
def test_variants_are_told(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        load_generator(gan_zoo_file(tmp_path / "a", random_pggan(CONFIG), settings))


DAMAGE = {
    "formatLayer.module.bias": (None, "lacks formatLayer.module.bias"),
    "formatLayer.module.weight": (torch.ones(3), r"module.weight has shape \[3\], expected 2 axes"),
    "scaleLayers.0.1.module.weight": (
        torch.ones(7, 2, 3, 3), r"has shape \[7, 2, 3, 3\], expected \[7, 7, 3, 3\]",
    ),
    "toRGBLayers.2.module.bias": (torch.full([3], torch.inf), "toRGBLayers.2.module.bias has values"),
    "scaleLayers.0.2.module.weight": (torch.ones(1), "holds scaleLayers.0.2.module.weight, for which"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(tmp_path, name):
    value, message = DAMAGE[name]
    generator = random_pggan(CONFIG)
    state = gan_zoo_state(generator)
    state.pop(name, None)
    path = gan_zoo_file(
        tmp_path / "a.pth", generator, state=state if value is None else {**state, name: value}
    )
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(path)
    assert "a.pth" in str(raised.value)


def test_its_other_networks_and_odd_settings_are_told(tmp_path):
    torch.save({"config": {}, "netG": {"main.weight": torch.ones(2)}}, tmp_path / "a")
    with pytest.raises(ValueError, match="this is a DCGAN of pytorch_GAN_zoo, of which only PGAN can be"):
        load_generator(tmp_path / "a")
    state = {"formatLayer.weight": torch.ones(6, 8, 4, 4), "toRGBLayer.weight": torch.ones(4, 3, 4, 4)}
    torch.save({"config": {}, "netG": state}, tmp_path / "a")
    with pytest.raises(ValueError, match=r"this is a DCGAN of pytorch_GAN_zoo.*generators\.wrap\(network"):
        load_generator(tmp_path / "a")
    torch.save({"config": 3, "netG": gan_zoo_state(random_pggan(CONFIG))}, tmp_path / "a")
    with pytest.raises(ValueError, match="its config has no settings"):
        load_generator(tmp_path / "a")
