from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.checkpoints import load_generator
from higan_fast.generators.stylegan2 import StyleGAN2Config
from tests.checkpoints.raw_weights import assert_same
from tests.checkpoints.tensorflow_damage import check_damage_is_told, written
from tests.checkpoints.tensorflow_writer import stylegan2_variables
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
    with pytest.raises(ValueError, match="makes images of 262144² pixels, expected at most 2048²"):
        load_generator(written(tmp_path, variables, {"use_noise": False}))


def test_a_file_and_its_images_are_our_own(tmp_path):
    generator = random_stylegan2(CONFIG)
    path = written(tmp_path, stylegan2_variables(generator))
    loaded, codes = load_generator(path), torch.randn(2, 6, 5)
    path.unlink()
    torch.testing.assert_close(loaded.synthesize(codes), generator.synthesize(codes), atol=1e-5, rtol=1e-5)
