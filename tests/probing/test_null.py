"""Random directions: as long as boundaries, and nowhere where no boundary can point."""

import numpy as np
import pytest
import torch

from higan_fast.boundaries.boundary import Boundary
from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.probing.null import null_directions
from higan_fast.probing.verification import verify
from higan_fast.sampling.latents import NULL, Codes, latents, make_codes
from higan_fast.statistics.nulls import random_directions
from tests.toy import CODE_DIM, LAYER_OF, toy
from tests.toy_families import CHUNK, EMBEDDED, chunked_toy


def unit(*shape, seed=0):
    normal = np.random.default_rng(seed).normal(size=shape)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def lengths(directions):
    return np.linalg.norm(directions, axis=-1)


@torch.inference_mode()
def test_where_all_entries_differ_they_are_the_plain_ones():
    generator, _ = toy()
    codes = make_codes(generator, 0, 0, 64)
    for space, normal in (("w", unit(CODE_DIM)), ("layers", unit(5, CODE_DIM)), ("z", unit(12))):
        boundary = Boundary("view", "layout", space, normal)
        found = null_directions([boundary, boundary], 6, 4, codes)
        noise = latents(4, 0, 6, normal.size, NULL).astype(np.float64).reshape(6, *normal.shape)
        np.testing.assert_array_equal(found, random_directions(np.stack([normal, normal]), noise))


@torch.inference_mode()
def test_they_leave_padding_and_a_fixed_class_alone():
    generator, _ = chunked_toy()
    boundary = Boundary("view", "layout", "layers", unit(5, CHUNK + EMBEDDED))
    of_all, of_one = (
        null_directions([boundary], 50, 0, make_codes(generator, 0, 0, 64, label=label))
        for label in (None, 1)
    )
    for found in (of_all, of_one):
        np.testing.assert_allclose(lengths(found), 1)
        assert (found[:, 0, CHUNK:] == 0).all() and (found[:, :, :CHUNK] != 0).all()
    assert (of_all[:, 1:, CHUNK:] != 0).all() and (of_one[:, 1:, CHUNK:] == 0).all()


@torch.inference_mode()
def test_they_leave_a_layer_alone_that_no_boundary_moves():
    generator, _ = chunked_toy()
    normal = unit(5, CHUNK + EMBEDDED)
    normal[[2, 4]] = 0
    codes = make_codes(generator, 0, 0, 64)
    found = null_directions([Boundary("view", "layout", "layers", normal)], 50, 0, codes)
    np.testing.assert_allclose(lengths(found), np.tile([1, 1, 0, 1, 0], (50, 1)))


@torch.inference_mode()
def test_they_move_each_layer_as_far_as_the_boundaries_do():
    generator, _ = chunked_toy()
    strengths = np.array([0.9, 0.0, 0.4, 0.1, 0.05])
    strengths /= np.linalg.norm(strengths)
    normal = unit(5, CHUNK + EMBEDDED) * strengths[:, None]
    codes = make_codes(generator, 0, 0, 64)
    found = null_directions([Boundary("view", "layout", "layers", normal)], 50, 0, codes)
    np.testing.assert_allclose(lengths(found), np.tile(strengths, (50, 1)), atol=1e-12)
    assert (found[:, 0, CHUNK:] == 0).all()  # padding, still


def test_where_all_codes_are_alike_there_is_nothing_to_tell():
    codes = Codes(torch.randn(8, 3), torch.ones(8, 4), torch.ones(8, 2, 4))
    for space, normal in (("w", unit(4)), ("layers", unit(2, 4))):
        found = null_directions([Boundary("view", "layout", space, normal)], 20, 0, codes)
        np.testing.assert_allclose(lengths(found), 1)
        assert (found != 0).all()


@torch.inference_mode()
@pytest.mark.parametrize("truncation", [(0.42, 2), (0.0, None)])
def test_they_leave_the_statistics_of_a_truncation_alone(truncation):
    config = BigGANDeepConfig((8, 8, 4), (False, True), 6, 4, 3, num_statistics=11)
    codes = make_codes(BigGANDeep(config), 0, 0, 64, *truncation, label=1)
    normal = np.pad(unit(3, 9), ((0, 0), (0, 1)))
    found = null_directions([Boundary("view", "layout", "layers", normal)], 20, 0, codes)
    np.testing.assert_allclose(lengths(found), 1)
    assert (found[..., -1] == 0).all() and (found[..., :6] != 0).all()


def test_one_normal_for_all_layers_moves_what_differs_on_any():
    of_layers = torch.ones(8, 2, 4)
    of_layers[:, 0, 0], of_layers[:, 1, 1] = torch.randn(8), torch.randn(8)
    codes = Codes(torch.randn(8, 3), torch.randn(8, 4), of_layers)
    found = null_directions([Boundary("view", "layout", "layers", unit(4))], 20, 0, codes)
    assert found.shape == (20, 4) and (found[:, :2] != 0).all() and (found[:, 2:] == 0).all()


def test_a_direction_in_wp_is_compared_with_random_ones_of_its_own_profile(boundaries):
    # Its deciding layer moves by 0.15: beside directions that move each layer by 1 that would be lost.
    layer = LAYER_OF["wood"]
    strengths = np.full(5, 0.02)
    strengths[layer] = 0.15
    strengths[0] = np.sqrt(1 - (strengths[1:] ** 2).sum())
    wood, view = (
        Boundary(name, "attribute", "layers", boundaries[name].normal * strengths[:, None])
        for name in ("wood", "view")
    )
    found = verify(*toy(), {"wood": wood}, num=64, confidence=0.95, progress=False)
    assert np.flatnonzero(found.layer_beats_null[0]).tolist() == [layer]
    each = Boundary("view", "layout", "layers", np.tile(boundaries["view"].normal, (5, 1)))
    together = verify(*toy(), {"wood": wood, "view": view}, num=4, progress=False)
    assert together.boundary_names == ("wood", "view")
    with pytest.raises(ValueError, match=r"'view' moves the layers by other lengths .* verify one at a time"):
        verify(*toy(), {"wood": wood, "view": each}, num=4, progress=False)
