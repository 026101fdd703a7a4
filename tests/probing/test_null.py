"""Random directions: as long as boundaries, and nowhere where no boundary can point."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.boundaries.boundary import Boundary
from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.probing.null import kinds_of, null_directions
from higan_fast.probing.shuffled import shuffled_directions
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
        found = null_directions([boundary, boundary], "isotropic", 6, 4, codes)
        noise = latents(4, 0, 6, normal.size, NULL).astype(np.float64).reshape(6, *normal.shape)
        np.testing.assert_array_equal(found, random_directions(np.stack([normal, normal]), noise))


@torch.inference_mode()
def test_they_leave_padding_and_a_fixed_class_alone():
    generator, _ = chunked_toy()
    boundary = Boundary("view", "layout", "layers", unit(5, CHUNK + EMBEDDED))
    of_all, of_one = (
        null_directions([boundary], "isotropic", 50, 0, make_codes(generator, 0, 0, 64, label=label))
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
    found = null_directions([Boundary("view", "layout", "layers", normal)], "isotropic", 50, 0, codes)
    np.testing.assert_allclose(lengths(found), np.tile([1, 1, 0, 1, 0], (50, 1)))


@torch.inference_mode()
def test_they_move_each_layer_as_far_as_the_boundaries_do():
    generator, _ = chunked_toy()
    strengths = np.array([0.9, 0.0, 0.4, 0.1, 0.05])
    strengths /= np.linalg.norm(strengths)
    normal = unit(5, CHUNK + EMBEDDED) * strengths[:, None]
    codes = make_codes(generator, 0, 0, 64)
    found = null_directions([Boundary("view", "layout", "layers", normal)], "isotropic", 50, 0, codes)
    np.testing.assert_allclose(lengths(found), np.tile(strengths, (50, 1)), atol=1e-12)
    assert (found[:, 0, CHUNK:] == 0).all()  # padding, still


def test_where_all_codes_are_alike_there_is_nothing_to_tell():
    codes = Codes(torch.randn(8, 3), torch.ones(8, 4), torch.ones(8, 2, 4))
    for space, normal in (("w", unit(4)), ("layers", unit(2, 4))):
        found = null_directions([Boundary("view", "layout", space, normal)], "isotropic", 20, 0, codes)
        np.testing.assert_allclose(lengths(found), 1)
        assert (found != 0).all()


@torch.inference_mode()
@pytest.mark.parametrize("truncation", [(0.42, 2), (0.0, None)])
def test_they_leave_the_statistics_of_a_truncation_alone(truncation):
    config = BigGANDeepConfig((8, 8, 4), (False, True), 6, 4, 3, num_statistics=11)
    codes = make_codes(BigGANDeep(config), 0, 0, 64, *truncation, label=1)
    normal = np.pad(unit(3, 9), ((0, 0), (0, 1)))
    found = null_directions([Boundary("view", "layout", "layers", normal)], "isotropic", 20, 0, codes)
    np.testing.assert_allclose(lengths(found), 1)
    assert (found[..., -1] == 0).all() and (found[..., :6] != 0).all()


def test_one_normal_for_all_layers_moves_what_differs_on_any():
    of_layers = torch.ones(8, 2, 4)
    of_layers[:, 0, 0], of_layers[:, 1, 1] = torch.randn(8), torch.randn(8)
    codes = Codes(torch.randn(8, 3), torch.randn(8, 4), of_layers)
    found = null_directions([Boundary("view", "layout", "layers", unit(4))], "isotropic", 20, 0, codes)
    assert found.shape == (20, 4) and (found[:, :2] != 0).all() and (found[:, 2:] == 0).all()


@torch.inference_mode()
@pytest.mark.parametrize("space", ["w", "layers"])
def test_they_can_have_the_covariance_of_the_codes(space):
    generator, _ = chunked_toy()
    codes = make_codes(generator, 0, 0, 512)
    of_space = (codes.w if space == "w" else codes.codes).double().numpy()
    boundary = Boundary("view", "layout", space, unit(*of_space.shape[1:]))
    found = null_directions([boundary], "covariance", 4000, 0, codes)
    np.testing.assert_allclose(lengths(found), 1)
    again = null_directions([boundary], "isotropic", 4000, 0, codes)
    layers = (
        ([of_space], [found], [again])
        if space == "w"
        else (np.moveaxis(x, 1, 0) for x in (of_space, found, again))
    )
    for drawn, follow, even in zip(*layers, strict=True):
        values, vectors = np.linalg.eigh(np.cov(drawn.T, bias=True))
        ends = vectors[:, [-1, np.flatnonzero(values > 1e-9)[0]]]  # where codes vary most, and least
        most, least = np.square(follow @ ends).mean(axis=0)
        alike = np.square(even @ ends).mean(axis=0)
        # Directions have length 1, so the share of an eigenvector is about its part of the trace.
        assert most == pytest.approx(values[-1] / values.sum(), rel=0.25)
        assert least < most / 2 and alike[0] == pytest.approx(alike[1], rel=0.25)


def test_codes_that_are_all_alike_have_no_covariance_to_follow():
    codes = Codes(torch.randn(8, 3), torch.ones(8, 4), torch.ones(8, 2, 4))
    for space, normal in (("w", unit(4)), ("layers", unit(2, 4))):
        boundary = [Boundary("view", "layout", space, normal)]
        kinds = (null_directions(boundary, kind, 20, 0, codes) for kind in ("isotropic", "covariance"))
        np.testing.assert_array_equal(*kinds)


def test_in_z_both_are_one_kind():
    assert kinds_of("both", "z") == kinds_of("covariance", "z") == ("isotropic",)
    assert kinds_of("both", "w") == kinds_of("both", "layers") == ("isotropic", "covariance")
    assert kinds_of("shuffled", "z") == ("shuffled",)


def test_a_boundary_must_be_beyond_each_kind(samples):
    # Along the codes' widest direction every score changes by about as much as along such a boundary.
    fitted = fit_boundaries(samples, "view", chosen_num=800, progress=False)
    options = {"num": 32, "num_null": 64, "confidence": 0.9, "progress": False}
    p = {
        null: verify(*toy(), fitted, null=null, **options).p_values[0]
        for null in ("isotropic", "covariance", "both")
    }
    assert p["both"] == max(p["isotropic"], p["covariance"])


def test_boundaries_of_shuffled_scores_are_fitted_as_these_were(samples, boundaries):
    options = {"num": 32, "null": "shuffled", "num_null": 32, "confidence": 0.9, "progress": False}
    fitted = fit_boundaries(samples, chosen_num=800, method="difference", progress=False)
    found = verify(*toy(), fitted, samples=samples, **options)
    assert found.beats_null.all() and found.settings["null"] == "shuffled"
    first, *others = shuffled_directions(fitted, list(fitted), samples, 6, "norm", 0)
    assert len(others) == 5 and abs(first @ fitted["view"].normal) < 0.5
    np.testing.assert_array_equal(first, shuffled_directions(fitted, list(fitted), samples, 6, "norm", 0)[0])
    gradients = replace(fitted, settings=fitted.settings | {"method": "gradient"})
    fewer = replace(fitted, settings=fitted.settings | {"num_samples": 17})
    for given, of_samples, message in (
        (fitted, None, "there are no samples; give samples="),
        (dict(fitted), samples, "how these were fitted is not known"),
        (gradients, samples, "a gradient is fitted to no scores"),
        (fewer, samples, "they were fitted to other samples"),
    ):
        with pytest.raises(ValueError, match=message):
            verify(*toy(), given, samples=of_samples, **options)


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
    found = verify(*toy(), {"wood": wood}, num=64, num_null=64, confidence=0.9, progress=False)
    assert np.flatnonzero(found.layer_beats_null[0]).tolist() == [layer]
    each = Boundary("view", "layout", "layers", np.tile(boundaries["view"].normal, (5, 1)))
    together = verify(*toy(), {"wood": wood, "view": view}, num=4, num_null=2, progress=False)
    assert together.boundary_names == ("wood", "view")
    with pytest.raises(ValueError, match=r"'view' moves the layers by other lengths .* verify one at a time"):
        verify(*toy(), {"wood": wood, "view": each}, num=4, progress=False)
