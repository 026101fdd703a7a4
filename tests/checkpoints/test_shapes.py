"""Files of networks whose images are gray, have alpha or more channels, or are not square."""

from dataclasses import replace

import pytest
import torch

from higan_fast.checkpoints import convert, describe, load_generator
from higan_fast.generators.stylegan2 import StyleGAN2Config
from tests.checkpoints.writers import random_stylegan2, rosinality, stylegan2_ada

CONFIG = StyleGAN2Config({4: 9, 8: 7, 16: 5}, latent_dim=8, code_dim=8, mapping_depth=2, hidden_dim=8)
# StyleGAN-Human starts at 4×2, and eps696's stylegan2ada at any size, in blocks that are named alike.
SHAPES = {
    "gray": {"image_channels": 1},
    "RGBA": {"image_channels": 4, "architecture": "resnet"},
    "of six channels": {"image_channels": 6, "start_size": (3, 5)},
    "twice as high": {"start_size": (4, 2)},
    "twice as wide": {"start_size": (4, 8), "image_channels": 4},
}
SIZES = {(4, 4): (16, 16), (3, 5): (12, 20), (4, 2): (16, 8), (4, 8): (16, 32)}


def assert_same(loaded, generator):
    codes = torch.randn(2, generator.num_layers, 8)
    expected = generator.synthesize(codes)
    assert loaded.image_shape == generator.image_shape == expected.shape[1:]
    torch.testing.assert_close(loaded.synthesize(codes), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_nvlabs_pickles_and_our_own(tmp_path, name):
    config = replace(CONFIG, conv_clamp=64.0, **SHAPES[name])
    generator, path = random_stylegan2(config), tmp_path / "a.pkl"
    loaded = load_generator(stylegan2_ada(path, generator, tmp_path / "mark"))
    assert loaded.config == replace(config, embed_dim=None)
    assert loaded.image_shape[1:] == SIZES[config.start_size]
    assert_same(loaded, generator)
    convert(path, tmp_path / "a.safetensors")
    assert_same(load_generator(tmp_path / "a.safetensors"), generator)
    assert describe(tmp_path / "a.safetensors").image_shape == generator.image_shape


@pytest.mark.parametrize("name", [name for name in SHAPES if "architecture" not in SHAPES[name]])
def test_rosinalitys(tmp_path, name):
    generator = random_stylegan2(replace(CONFIG, **SHAPES[name]))
    assert_same(load_generator(rosinality(tmp_path / "a.pt", generator)), generator)


@pytest.mark.parametrize("name", SHAPES)
def test_layer_by_layer_and_by_styles(name):
    """Forks from any layer, and styles in place of codes, draw what the whole network draws."""
    generator = random_stylegan2(replace(CONFIG, **SHAPES[name]))
    codes = torch.randn(2, generator.num_layers, 8)
    expected, activation = generator.synthesize(codes), generator.start(2)
    for index in range(generator.num_layers):
        torch.testing.assert_close(generator.draw(codes, index, activation), expected, atol=1e-5, rtol=1e-5)
        activation = generator.layer(index, activation, codes[:, index])
        height, width = generator.layers[index].shape
        if index < generator.num_layers - 1:
            assert activation.features.shape[2:] == (height, width)
            assert generator.features_of(index) == activation.features[0].numel()
    torch.testing.assert_close(generator.image(activation), expected, atol=1e-5, rtol=1e-5)
    styles = generator.styles(codes)
    drawn = generator.draw_styles(torch.zeros_like(styles[0]), styles, 0, generator.start(2))
    torch.testing.assert_close(drawn, expected, atol=1e-4, rtol=1e-4)
