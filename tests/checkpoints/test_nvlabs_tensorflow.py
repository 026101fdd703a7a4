import numpy as np
import pytest

from higan_fast.checkpoints import describe, load_generator
from higan_fast.generators.pggan import PGGANConfig
from higan_fast.generators.stylegan import StyleGANConfig
from tests.checkpoints.raw_weights import assert_same, random_pggan, random_stylegan
from tests.checkpoints.tensorflow_writer import (
    DISCRIMINATOR,
    pggan_variables,
    stylegan_variables,
    tensorflow_pickle,
)  # fmt: skip

PGGAN = PGGANConfig({4: 9, 8: 7}, latent_dim=6)
STYLEGAN = StyleGANConfig({4: 9, 8: 7}, latent_dim=6, code_dim=5, mapping_depth=2)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_of_g_d_and_gs_the_average_is_read_and_nothing_executed(tmp_path, protocol):
    generator, mark = random_pggan(PGGAN), tmp_path / "mark"
    path = tensorflow_pickle(tmp_path / "a", pggan_variables(generator, True), mark, protocol=protocol)
    loaded = load_generator(path)
    path.write_bytes(bytes(path.stat().st_size))
    path.unlink()
    assert_same(loaded, generator)
    assert not mark.exists()


def test_a_network_alone(tmp_path):
    generator = random_stylegan(STYLEGAN)
    path = tensorflow_pickle(tmp_path / "a", stylegan_variables(generator), tmp_path / "mark", names=("Gs",))
    assert_same(load_generator(path), generator)
    found = describe(path)
    assert (found.family, found.format) == ("stylegan", "NVlabs TensorFlow pickle")


def test_a_discriminator_and_other_networks_are_told(tmp_path):
    path, mark = tmp_path / "a.pkl", tmp_path / "mark"
    tensorflow_pickle(path, DISCRIMINATOR, mark, names=("Gs",))
    with pytest.raises(ValueError, match=r"a.pkl: holds a discriminator, expected a generator"):
        load_generator(path)
    tensorflow_pickle(path, {"": {"conv/kernel": np.ones(3)}}, mark, names=("Gs",))
    with pytest.raises(
        ValueError, match=r"no PGGAN, StyleGAN or StyleGAN2 generator; .* variables are conv/kernel"
    ):
        load_generator(path)
    tensorflow_pickle(path, DISCRIMINATOR, mark, names=("G", "Gs"))
    with pytest.raises(ValueError, match="holds 2 networks, expected G, D and Gs"):
        load_generator(path)


def _without_variables(state):
    del state["variables"]


def _with_odd_variables(state):
    state["variables"] = [("lod", "zero")]


def _with_an_odd_component(state):
    state["components"]["mapping"] = 3


@pytest.mark.parametrize(
    "change, message",
    [
        (_without_variables, "a network in it has no list of variables"),
        (_with_odd_variables, "a network in it has no list of variables"),
        (_with_an_odd_component, "a component of its network is none"),
        (lambda state: state.update(components=None), "no PGGAN, StyleGAN or StyleGAN2 generator"),
    ],
)
def test_damage_is_told(tmp_path, change, message):
    variables = stylegan_variables(random_stylegan(STYLEGAN))
    path = tensorflow_pickle(tmp_path / "a.pkl", variables, tmp_path / "mark", change=change)
    with pytest.raises(ValueError, match=message) as raised:
        load_generator(path)
    assert "a.pkl" in str(raised.value)
