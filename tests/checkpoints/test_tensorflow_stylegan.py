from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.checkpoints import load_generator
from higan_fast.generators.stylegan import StyleGANConfig
from tests.checkpoints.raw_weights import assert_same, random_stylegan
from tests.checkpoints.tensorflow_damage import check_damage_is_told, written
from tests.checkpoints.tensorflow_writer import stylegan_variables

CONFIG = StyleGANConfig({4: 9, 8: 7, 16: 6}, latent_dim=6, code_dim=5, mapping_depth=3)


@pytest.mark.parametrize(
    "fused_scale, fused", [("auto", ()), (True, (8, 16)), (False, ())], ids=["auto", "on", "off"]
)
def test_comes_back_as_it_went(tmp_path, fused_scale, fused):
    generator = random_stylegan(replace(CONFIG, hidden_dim=8))
    path = written(tmp_path, stylegan_variables(generator, fused), {"fused_scale": fused_scale})
    loaded = load_generator(path)
    assert_same(loaded, generator)
    codes = generator.map(torch.randn(2, 6))
    torch.testing.assert_close(loaded.synthesize(codes), generator.synthesize(codes), atol=1e-4, rtol=1e-4)
    assert not (tmp_path / "mark").exists()


def test_of_itself_it_fuses_from_128_on(tmp_path):
    config = StyleGANConfig({4 * 2**i: 3 for i in range(6)}, latent_dim=4, code_dim=4, mapping_depth=1)
    generator = random_stylegan(config)
    assert_same(load_generator(written(tmp_path, stylegan_variables(generator, (128,)))), generator)


def test_classes_and_another_rate_of_the_mapping(tmp_path):
    generator = random_stylegan(replace(CONFIG, label_dim=3))
    variables = stylegan_variables(generator, lr_multiplier=0.1)
    loaded = load_generator(written(tmp_path, variables, {"mapping_lrmul": 0.1, "label_size": 3}))
    assert_same(loaded, generator)


MAPPING, SYNTHESIS = "mapping", "synthesis"
DAMAGE = {
    ("", "lod"): (np.float32(2), "lod is 2.0, expected 0"),
    ("", "dlatent_avg"): (None, "lacks dlatent_avg"),
    (MAPPING, "Dense0/weight"): (np.ones([2, 5, 1]), r"has shape \[2, 5, 1\], which does not fit"),
    (MAPPING, "Dense1/bias"): (None, "lacks mapping/Dense1/bias"),
    (MAPPING, "LabelConcat/weight"): (np.ones([2, 9]), "Dense0/weight reads 6 values, and 9 of them are"),
    (SYNTHESIS, "4x4/Const/const"): (np.ones([1, 9, 4, 3]), r"noise0 has shape .*, expected \[4, 3\]"),
    (SYNTHESIS, "8x8/Conv0_up/Noise/weight"): (None, "lacks synthesis/8x8/Conv0_up/Noise/weight"),
    (SYNTHESIS, "noise5"): (np.ones([1, 1, 8, 8]), r"noise5 has shape \[1, 1, 8, 8\], expected \[16, 16\]"),
    (SYNTHESIS, "8x8/Conv1/weight"): (np.ones([0, 3, 7, 7]), r"8x8/Conv1/weight has shape \[0, 3, 7, 7\]"),
    (SYNTHESIS, "16x16/Conv1/StyleMod/bias"): (np.full(12, np.inf), "StyleMod/bias has values that"),
    (SYNTHESIS, "32x32/Conv0_up/weight"): (np.ones(2), "holds synthesis/32x32/Conv0_up/weight, for which"),
}  # fmt: skip


@pytest.mark.parametrize("where", DAMAGE, ids="/".join)
def test_damage_is_told(tmp_path, where):
    check_damage_is_told(tmp_path, stylegan_variables(random_stylegan(CONFIG)), where, DAMAGE[where])


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"use_instance_norm": False},
            "use_instance_norm is False, expected True; this variant cannot be read",
        ),
        ({"blur_filter": None}, r"blur_filter is None, expected \[1, 2, 1\]"),
        ({"mapping_nonlinearity": "relu"}, "mapping_nonlinearity is 'relu', expected 'lrelu'"),
        ({"fused_scale": "often"}, "fused_scale is 'often', expected true, false or"),
        ({"blur_filter": [1, np.ones(2), 1]}, "blur_filter is a list, expected"),
        ({"use_noise": np.ones(2)}, "use_noise is a ndarray, expected True"),
        ({"mapping_lrmul": float("inf")}, "mapping_lrmul is inf, expected a number above 0"),
        ({"mapping_lrmul": None}, "mapping_lrmul is None, expected a number above 0"),
    ],
)
def test_variants_are_told(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        load_generator(written(tmp_path, stylegan_variables(random_stylegan(CONFIG)), settings))


def test_settings_that_say_the_default_are_read(tmp_path):
    generator = random_stylegan(CONFIG)
    settings = {"blur_filter": (1, 2, 1), "use_styles": True, "structure": "fixed", "resolution": 16}
    assert_same(load_generator(written(tmp_path, stylegan_variables(generator), settings)), generator)
