from dataclasses import replace

import pytest
import torch

from higan_fast.checkpoints import describe, load_generator
from higan_fast.generators.pggan import PGGANConfig
from higan_fast.generators.stylegan import StyleGANConfig
from higan_fast.generators.stylegan2 import StyleGAN2Config
from tests.checkpoints.genforce_writer import (
    DISCRIMINATOR,
    genforce_file,
    pggan_state,
    stylegan2_state,
    stylegan_state,
)  # fmt: skip
from tests.checkpoints.raw_weights import assert_same, random_pggan, random_stylegan
from tests.checkpoints.writers import random_stylegan2

PGGAN = PGGANConfig({4: 9, 8: 7, 16: 6}, latent_dim=6)
STYLEGAN = StyleGANConfig({4: 9, 8: 7, 16: 6}, latent_dim=6, code_dim=5, mapping_depth=3, hidden_dim=8)
STYLEGAN2 = StyleGAN2Config({4: 9, 8: 7, 16: 6}, latent_dim=6, code_dim=5, mapping_depth=3, hidden_dim=8)


def saved(path, state):
    torch.save(state, path / "a.pth")
    return path / "a.pth"


@pytest.mark.parametrize("higan", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_pggan(tmp_path, higan, fused):
    generator = random_pggan(PGGAN)
    path = saved(tmp_path, pggan_state(generator, fused, higan))
    assert_same(load_generator(path), generator)
    assert describe(path).format == "genforce / higan .pth"


def test_where_no_shape_tells_that_pggan_is_fused_the_user_does(tmp_path):
    generator = random_pggan(PGGANConfig({4: 5, 8: 5}, latent_dim=4))
    path = saved(tmp_path, pggan_state(generator, fused=True))
    assert_same(load_generator(path, config={"fused_scale": True}), generator)
    other, code = load_generator(path), torch.randn(1, 1, 4)
    assert not torch.allclose(other.synthesize(code), generator.synthesize(code), atol=1e-2)


@pytest.mark.parametrize("higan", [True, False])
@pytest.mark.parametrize("fused", [(), (8, 16)])
def test_stylegan(tmp_path, higan, fused):
    generator = random_stylegan(STYLEGAN)
    path = saved(tmp_path, stylegan_state(generator, fused, higan))
    assert_same(load_generator(path, config=None if higan else {"fused_scale": bool(fused)}), generator)


def test_stylegan_fuses_from_128_on_of_itself(tmp_path):
    config = StyleGANConfig({4 * 2**i: 3 for i in range(6)}, latent_dim=4, code_dim=4, mapping_depth=1)
    generator = random_stylegan(config)
    assert_same(load_generator(saved(tmp_path, stylegan_state(generator, (128,)))), generator)


def test_stylegan_with_classes_and_another_rate_of_the_mapping(tmp_path):
    generator = random_stylegan(replace(STYLEGAN, label_dim=3))
    path = saved(tmp_path, stylegan_state(generator, lr_multiplier=0.1))
    assert_same(load_generator(path, config={"mapping_lr_multiplier": 0.1}), generator)


def test_truncation_settings_that_the_file_keeps_are_left(tmp_path):
    generator = random_stylegan(STYLEGAN)
    state = stylegan_state(generator, higan=True) | {"truncation.truncation": torch.ones(1, 6, 1)}
    assert_same(load_generator(saved(tmp_path, state)), generator)


@pytest.mark.parametrize("higan", [True, False])
@pytest.mark.parametrize("architecture", ["skip", "orig", "resnet"])
def test_stylegan2(tmp_path, higan, architecture):
    generator = random_stylegan2(replace(STYLEGAN2, architecture=architecture))
    assert_same(load_generator(saved(tmp_path, stylegan2_state(generator, higan))), generator)


@pytest.mark.parametrize("training", [True, False])
def test_of_three_networks_the_moving_average_is_read(tmp_path, training):
    generator = random_stylegan(STYLEGAN)
    path = genforce_file(tmp_path / "a.pth", stylegan_state(generator), training)
    assert_same(load_generator(path), generator)
    torch.save({"generator": stylegan_state(generator)}, path)
    assert_same(load_generator(path), generator)


def test_a_discriminator_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"a.pth: holds a discriminator and no generator"):
        load_generator(saved(tmp_path, {"discriminator": DISCRIMINATOR}))


DAMAGE = {
    ("pggan", "lod"): (torch.ones([]), "lod is 1.0, expected 0"),
    ("pggan", "layer0.weight"): (torch.ones(4, 4), r"layer0.weight has shape \[4, 4\], which does not fit"),
    ("pggan", "layer3.bias"): (None, "layer2.weight, layer2.bias, layer3.weight and 4 more"),
    ("stylegan", "synthesis.lod"): (torch.ones(2), r"lod is a tensor of shape \[2\], expected 0"),
    ("stylegan", "truncation.w_avg"): (None, "lacks truncation.w_avg"),
    ("stylegan", "synthesis.layer2.style.weight"): (None, "lacks synthesis.layer2.style.weight"),
    ("stylegan", "synthesis.layer3.weight"): (
        torch.ones(7, 6, 3, 3), r"layer3.weight has shape \[7, 6, 3, 3\], expected \[7, 7, 3, 3\]",
    ),
    ("stylegan", "synthesis.layer4.apply_noise.noise"): (
        torch.full([1, 1, 16, 16], torch.nan), "apply_noise.noise has values that are not finite",
    ),
    ("stylegan2", "mapping.label_weight"): (torch.ones(2, 3), "label_weight embeds classes as the first"),
    ("stylegan2", "synthesis.layer1.noise"): (None, "lacks synthesis.layer1.noise"),
    ("stylegan2", "synthesis.output1.bias"): (None, "lacks synthesis.output1.bias"),
    ("stylegan2", "encoder.weight"): (torch.ones(1), "holds encoder.weight, for which this arch"),
}  # fmt: skip


@pytest.mark.parametrize("where", DAMAGE, ids="-".join)
def test_damage_is_told(tmp_path, where):
    (family, name), (value, message) = where, DAMAGE[where]
    states = {
        "pggan": lambda: pggan_state(random_pggan(PGGAN)),
        "stylegan": lambda: stylegan_state(random_stylegan(STYLEGAN)),
        "stylegan2": lambda: stylegan2_state(random_stylegan2(STYLEGAN2)),
    }
    state = states[family]()
    state.pop(name, None)
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(saved(tmp_path, state if value is None else {**state, name: value}))
    assert "a.pth" in str(raised.value)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"resolution": 16}, "config: got 'resolution', expected fused_scale or mapping_lr_multiplier"),
        ({"fused_scale": 1}, 'fused_scale is 1, expected true, false or "auto"'),
        ({"mapping_lr_multiplier": "low"}, "mapping_lr_multiplier is 'low', expected a number"),
    ],
)
def test_a_wrong_configuration_is_told(tmp_path, config, message):
    path = saved(tmp_path, stylegan_state(random_stylegan(STYLEGAN)))
    with pytest.raises(ValueError, match=message):
        load_generator(path, config=config)
    path = saved(tmp_path, stylegan_state(random_stylegan(STYLEGAN), higan=True))
    with pytest.raises(ValueError, match="got fused_scale, but the names in a file of higan's tell it"):
        load_generator(path, config={"fused_scale": True})
