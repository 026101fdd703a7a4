"""StyleGAN3 as NVlabs' code pickles it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.checkpoints import describe, load_generator, save_generator
from tests.checkpoints.stylegan3_writer import stylegan3_tree
from tests.checkpoints.writers import persistent
from tests.generators.test_stylegan3 import CONFIG, KINDS, random_stylegan3

CONFIGS = {
    **KINDS,
    "unconditional": replace(CONFIG, label_dim=0, num_critical=1, first_stopband=4.0, image_channels=6),
}


def written(folder, generator, change=lambda tree: None):
    tree = stylegan3_tree(generator)
    change(tree)
    return persistent(folder / "network.pkl", tree, folder / "mark", "G_ema")


def generator_of(config):
    return random_stylegan3(config, torch.float32)


def assert_same(loaded, generator):
    state = loaded.state_dict()
    assert list(state) == list(generator.state_dict())
    for name, tensor in generator.state_dict().items():
        assert torch.equal(state[name], tensor), name
    z = torch.randn(2, generator.latent_dim)
    label = torch.tensor([0, 2]) if generator.label_dim else None
    codes = generator.map(z, label, 0.7, 3)
    assert torch.equal(loaded.map(z, label, 0.7, 3), codes)
    torch.testing.assert_close(loaded.synthesize(codes), generator.synthesize(codes), atol=1e-6, rtol=0)


def layer(tree, index):
    layers = tree[3]["synthesis"][3]
    return layers[list(layers)[index + 1]]


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_read_and_nothing_executed(tmp_path, name):
    generator = generator_of(CONFIGS[name])
    loaded = load_generator(written(tmp_path, generator))
    assert_same(loaded, generator)
    assert loaded.family == "stylegan3" and loaded.num_layers == 7
    assert loaded.image_shape == (CONFIGS[name].image_channels, 16, 16)
    unsaid = {"embed_dim": None, "hidden_dim": None, "last_stopband": CONFIG.last_stopband}
    assert replace(loaded.config, **unsaid) == CONFIGS[name]
    assert loaded.config.last_stopband == pytest.approx(CONFIG.last_stopband)
    assert not (tmp_path / "mark").exists()
    save_generator(loaded, tmp_path / "converted.safetensors", {})
    assert_same(load_generator(tmp_path / "converted.safetensors"), generator)


def test_without_an_average_it_is_computed(tmp_path):
    generator = generator_of(CONFIGS["unconditional"])
    loaded = load_generator(
        written(tmp_path, generator_of(CONFIG), lambda tree: tree[3]["mapping"][2].clear())
    )
    assert loaded.mapping_network.w_avg.abs().max() > 0 and generator.num_layers == loaded.num_layers


def test_some_channels_of_images(tmp_path):
    generator = generator_of(CONFIGS["unconditional"])
    loaded = load_generator(written(tmp_path, generator), bands=(5, 0))
    codes = torch.randn(2, 7, 12)
    assert loaded.image_shape == (2, 16, 16)
    torch.testing.assert_close(loaded.synthesize(codes), generator.synthesize(codes)[:, [5, 0]])


def test_images_are_moved_as_asked(tmp_path):
    generator = generator_of(CONFIG)
    path = written(tmp_path, generator)
    loaded = load_generator(path, config={"rotate": 30, "translate": [0.25, -0.1]})
    generator.move_image(30, (0.25, -0.1))
    assert_same(loaded, generator)
    for message, config in {
        "rotate: got 'x', expected a number": {"rotate": "x"},
        r"translate: got \[1\], expected two numbers": {"translate": [1]},
        "config: got the setting BN_eps, expected rotate or translate": {"BN_eps": 1.0},
    }.items():
        with pytest.raises(ValueError, match=message):
            load_generator(path, config=config)


def test_it_is_described(tmp_path):
    found = describe(written(tmp_path, generator_of(CONFIG)))
    assert (found.family, found.resolution, found.latent_dim, found.code_dim) == ("stylegan3", 16, 10, 12)
    assert (found.label_dim, len(found.layers), found.format) == (3, 7, "NVlabs PyTorch pickle")


# Which layer, its attribute, what it is, and what the line says was expected.
SETTINGS = [
    (1, "in_size", np.array([14, 22]), r"\[14, 14\]"), (1, "out_size", np.array([20, 20]), r"\[22, 22\]"),
    (2, "up_factor", 4, "2"), (2, "down_factor", 4, "2"), (2, "conv_clamp", 256, "0.5"),
    (3, "padding", [1, 2, 3, 4], r"\["), (2, "in_sampling_rate", 8, "16"), (2, "is_torgb", True, "False"),
    (5, "conv_kernel", 3, "1"), (5, "conv_clamp", None, "0.5"), (0, "up_factor", 1.5, "a whole number"),
    (5, "out_half_width", float("nan"), "a number"), (0, "in_cutoff", "2", "a number above 0"),
]  # fmt: skip


@pytest.mark.parametrize("index, attribute, value, expected", SETTINGS)
def test_an_attribute_that_makes_one_layer_another_is_told(tmp_path, index, attribute, value, expected):
    def change(tree):
        layer(tree, index)[1][attribute] = value

    path = written(tmp_path, generator_of(CONFIG), change)
    with pytest.raises(
        ValueError, match=rf"synthesis\.L{index}_\w+\.{attribute} is .*, expected .*{expected}"
    ):
        load_generator(path)


def of_network(**changes):
    return lambda tree: tree[3]["synthesis"][1].update(changes)


DAMAGE = {
    "margin": (of_network(margin_size=70_000), "margin: got 70000, expected 0 to 65536"),
    "large margin": (of_network(margin_size=60_000), "no generator of that size is so small|is .*, expected"),
    "critical": (of_network(num_critical=9), "num_critical: got 9, expected 0 to 4"),
    "scale": (of_network(output_scale=None), "synthesis.output_scale is None, expected a number above 0"),
    "stopband": (
        of_network(_init_kwargs={"first_stopband": "x"}),
        "synthesis.first_stopband is 'x', expected a number",
    ),
    "resolution": (of_network(img_resolution=32), "synthesis.img_resolution is 32, expected 16"),
    "rate of the input": (
        lambda tree: tree[3]["synthesis"][3]["input"][1].update(sampling_rate=np.float64(16)),
        "synthesis.input.sampling_rate is 16.0, expected 8",
    ),
    "layer": (lambda tree: tree[3]["synthesis"][3].pop("L2_22_8"), "has the layers L0, L1, L3 and 2 more"),
    "filter": (
        lambda tree: layer(tree, 1)[2].update(up_filter=torch.ones(5)),
        r"up_filter has shape \[5\], expected \[24\]",
    ),
    "gray": (
        lambda tree: layer(tree, 5)[2].update(weight=torch.ones(1, 6, 1, 1)),
        "synthesis.img_channels is 3, expected 1",
    ),
    "kernel": (
        lambda tree: layer(tree, 0)[2].update(weight=torch.ones(9, 9, 5, 5)),
        "kernel: got 5, expected 1 to 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(tmp_path, name):
    change, message = DAMAGE[name]
    path = written(tmp_path, generator_of(CONFIG), change)
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(path)
    assert str(path) in str(raised.value) and str(raised.value).isprintable()
