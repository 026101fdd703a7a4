import numpy as np
import pytest
import torch

from higan_fast.checkpoints import load_generator
from higan_fast.generators.pggan import PGGANConfig
from tests.checkpoints.raw_weights import assert_same, random_pggan
from tests.checkpoints.tensorflow_damage import check_damage_is_told, written
from tests.checkpoints.tensorflow_writer import pggan_variables

CONFIG = PGGANConfig({4: 9, 8: 7, 16: 6}, latent_dim=6)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("sizes", [1, 3])
def test_comes_back_as_it_went(tmp_path, fused, sizes):
    config = PGGANConfig(dict(list(CONFIG.channels.items())[:sizes]), latent_dim=6)
    generator = random_pggan(config)
    assert_same(load_generator(written(tmp_path, pggan_variables(generator, fused))), generator)
    assert not (tmp_path / "mark").exists()


def test_classes_are_the_end_of_the_input(tmp_path):
    generator = random_pggan(PGGANConfig(CONFIG.channels, latent_dim=6, label_dim=3))
    path = written(tmp_path, pggan_variables(generator, True), {"label_size": np.int64(3)})
    loaded = load_generator(path)
    assert_same(loaded, generator)
    assert loaded.map(torch.randn(2, 6), torch.tensor([1, 2]))[:, 0, 6:].tolist() == [[0, 1, 0], [0, 0, 1]]


DAMAGE = {
    "lod": (np.float32(1.5), r"lod is 1.5, expected 0: the network was saved before it had grown"),
    "4x4/Dense/weight": (np.ones(9), r"4x4/Dense/weight has shape \[9\], which does not fit"),
    "4x4/Dense/bias": (np.ones(8), r"4x4/Dense/bias has shape \[8\] \(ours: \[128\]\), expected \[144\]"),
    "8x8/Conv1/bias": (None, "holds 8x8/Conv0_up/weight, 8x8/Conv0_up/bias, 8x8/Conv1/weight and 4 more"),
    "16x16/Conv0_up/bias": (None, "lacks 16x16/Conv0_up/bias"),
    "ToRGB_lod0/weight": (np.ones([1, 1, 6, 1]), r"ToRGB_lod0/weight has shape \[1, 1, 6, 1\]"),
    "16x16/Conv1/weight": (np.full([3, 3, 6, 6], np.nan), "Conv1/weight has values that are not finite"),
    "8x8/Extra/weight": (np.ones(2), "holds 8x8/Extra/weight, for which this architecture has no place"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(tmp_path, name):
    check_damage_is_told(tmp_path, pggan_variables(random_pggan(CONFIG), True), ("", name), DAMAGE[name])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"use_pixelnorm": False}, "use_pixelnorm is False, expected True; this variant cannot be read"),
        ({"num_channels": 1}, "num_channels is 1, expected 3"),
        ({"label_size": 6}, "label_size is 6, expected 0 to 5"),
        ({"label_size": "many"}, "label_size is 'many', expected 0 to 5"),
    ],
)
def test_variants_are_told(tmp_path, settings, message):
    path = written(tmp_path, pggan_variables(random_pggan(CONFIG), True), settings)
    with pytest.raises(ValueError, match=message):
        load_generator(path)
