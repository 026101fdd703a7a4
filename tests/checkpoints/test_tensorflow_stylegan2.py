from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.checkpoints import load_generator
from higan_fast.generators.stylegan2 import StyleGAN2Config
from tests.checkpoints.raw_weights import assert_same
from tests.checkpoints.tensorflow_damage import check_damage_is_told, written
from tests.checkpoints.tensorflow_writer import stylegan2_variables, tensorflow_pickle
from tests.checkpoints.writers import random_stylegan2

CONFIG = StyleGAN2Config({4: 9, 8: 7, 16: 6}, latent_dim=6, code_dim=5, mapping_depth=3)


@pytest.mark.parametrize("architecture", ["skip", "orig", "resnet"])
def test_comes_back_as_it_went(tmp_path, architecture):
    generator = random_stylegan2(replace(CONFIG, architecture=architecture, hidden_dim=8))
    path = written(tmp_path, stylegan2_variables(generator), {"architecture": architecture})
    assert_same(load_generator(path), generator)
    assert not (tmp_path / "mark").exists()


def test_the_progressively_grown_variant_makes_rgb_at_the_end(tmp_path):
    generator = random_stylegan2(replace(CONFIG, architecture="orig"))
    assert_same(load_generator(written(tmp_path, stylegan2_variables(generator, grown=True))), generator)


def test_what_stylegan2_ada_added(tmp_path):
    generator = random_stylegan2(
        replace(CONFIG, label_dim=3, embed_dim=4, conv_clamp=256, mapping_lr_multiplier=0.1)
    )
    settings = {"label_size": 3, "label_fmaps": 4, "conv_clamp": 256, "mapping_lrmul": 0.1, "num_fp16_res": 4}
    assert_same(load_generator(written(tmp_path, stylegan2_variables(generator), settings)), generator)


def test_without_noise(tmp_path):
    generator = random_stylegan2(CONFIG)
    for name, tensor in generator.state_dict().items():
        if "noise" in name:
            tensor.zero_()
    path = written(tmp_path, stylegan2_variables(generator, noise=False), {"use_noise": False})
    assert_same(load_generator(path), generator)


SETTINGS = [
    ({"use_noise": False}, "use_noise is False, expected True"),
    ({"architecture": "orig"}, "architecture is 'orig', expected 'skip'"),
    ({"architecture": "odd\n"}, r"architecture is 'odd\\n', expected 'skip'"),
    ({"conv_clamp": float("nan")}, "conv_clamp is nan, expected a number above 0"),
    ({"mapping_lrmul": [[0.1]]}, "mapping_lrmul is a list, expected a number above 0"),
]


@pytest.mark.parametrize("settings, message", SETTINGS)
def test_settings_that_the_variables_contradict_are_told(tmp_path, settings, message):
    path = written(tmp_path, stylegan2_variables(random_stylegan2(CONFIG)), settings)
    with pytest.raises(ValueError, match=message):
        load_generator(path)


def test_settings_of_components_are_read_and_must_agree(tmp_path):
    """A network hands its own to them, where they prevail."""
    generator = random_stylegan2(replace(CONFIG, conv_clamp=0.5))

    def write(own, **of_components):
        def change(state):
            for name, settings in of_components.items():
                state["components"][name].__dict__["static_kwargs"] = settings

        path, variables = tmp_path / "a.pkl", stylegan2_variables(generator)
        return tensorflow_pickle(path, variables, tmp_path / "mark", own, change=change)

    assert_same(load_generator(write({}, synthesis={"conv_clamp": 0.5})), generator)
    both = {"mapping": {"conv_clamp": 9}, "synthesis": {"conv_clamp": 0.5}}
    assert_same(load_generator(write({"conv_clamp": 0.5}, **both)), generator)
    with pytest.raises(ValueError, match=r"conv_clamp is 0\.5 in one component and 9 in another"):
        load_generator(write({}, **both))
    with pytest.raises(ValueError, match="mapping_nonlinearity is 'relu', expected 'lrelu'"):
        load_generator(write({}, mapping={"mapping_nonlinearity": "relu"}))


DAMAGE = {
    ("", "lod"): (np.float32(2), "lod is 2.0, expected 0"),
    ("mapping", "LabelConcat/weight"): (np.ones([2, 6]), "LabelConcat/weight embeds classes as the"),
    ("mapping", "LabelEmbed/weight"): (np.ones([2, 4]), "lacks mapping/LabelEmbed/bias"),
    ("synthesis", "noise3"): (None, "holds synthesis/16x16/Conv0_up/noise_strength"),
    ("synthesis", "16x16/ToRGB/weight"): (np.ones([1, 1, 6, 1]), r"ToRGB/weight has shape \[1, 1, 6, 1\]"),
    ("synthesis", "8x8/ToRGB/bias"): (None, "lacks synthesis/8x8/ToRGB/bias"),
    ("synthesis", "8x8/Conv1/mod_bias"): (np.full(7, np.nan), "mod_bias has values that are not finite"),
}  # fmt: skip


@pytest.mark.parametrize("where", DAMAGE, ids="/".join)
def test_damage_is_told(tmp_path, where):
    check_damage_is_told(tmp_path, stylegan2_variables(random_stylegan2(CONFIG)), where, DAMAGE[where])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"resample_kernel": [1, 2, 1]}, r"resample_kernel is \[1, 2, 1\], expected \[1, 3, 3, 1\]"),
        ({"conv_clamp": "hard"}, "conv_clamp is 'hard', expected a number"),
    ],
)
def test_variants_are_told(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        load_generator(written(tmp_path, stylegan2_variables(random_stylegan2(CONFIG)), settings))


def test_more_layers_than_memory_has_room_for_are_refused(tmp_path):
    variables = stylegan2_variables(random_stylegan2(CONFIG), noise=False)
    block = {k.split("/", 1)[1]: v for k, v in variables["synthesis"].items() if k.startswith("16x16/")}
    for size in (2**power for power in range(5, 19)):
        variables["synthesis"] |= {f"{size}x{size}/{name}": value for name, value in block.items()}
    with pytest.raises(ValueError, match="resolution 4096, expected 4, 8, 16 and so on up to 2048"):
        load_generator(written(tmp_path, variables, {"use_noise": False}))


def test_a_file_and_its_images_are_our_own(tmp_path):
    generator = random_stylegan2(CONFIG)
    path = written(tmp_path, stylegan2_variables(generator))
    loaded, codes = load_generator(path), torch.randn(2, 6, 5)
    path.unlink()
    torch.testing.assert_close(loaded.synthesize(codes), generator.synthesize(codes), atol=1e-5, rtol=1e-5)
