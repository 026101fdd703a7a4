"""Screening: gradients of all layers at once equal small differences of plain forward passes."""

import numpy as np
import pytest
import torch

from higan_fast.boundaries.displacement import displacements
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.predictors.base import ModulePredictor
from higan_fast.probing import Boundary, verify
from higan_fast.probing.screening import profile_correlation, screen
from higan_fast.sampling.latents import VERIFICATION, make_codes
from tests.toy import LAYER_OF, NUM_LAYERS, toy


class Reader(torch.nn.Module):
    """Two smooth scores of an image."""

    def forward(self, images):
        x = images.tanh()
        return torch.stack([x[:, 0, :, ::2].mean((1, 2)), (x[:, 1] * x[:, 2]).mean((1, 2))], dim=1)


def unit(*shape, seed=0):
    normal = np.random.default_rng(seed).normal(size=shape)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


@pytest.fixture
def stylegan2():
    torch.manual_seed(0)
    generator = StyleGAN2(StyleGAN2Config({4: 8, 8: 8}, latent_dim=6, code_dim=6, mapping_depth=1)).double()
    predictor = ModulePredictor(Reader(), ["left", "right"])
    with torch.no_grad():
        codes = make_codes(generator, 0, 0, 5, 0.7, 2).codes
    return generator, predictor, codes


def difference(generator, predictor, codes, boundary, layer, step, psi=1.0, truncated=None):
    """The mean score difference of a step on one layer, by two plain forward passes."""
    (move,) = displacements(generator, boundary.space, [boundary.normal], step, [layer], psi, truncated)
    column = predictor.names.index(boundary.name)
    with torch.no_grad():
        plus, minus = (
            predictor(generator.synthesize(moved).clamp(-1, 1))[:, column]
            for moved in (codes + move, codes - move)
        )
    return float((plus - minus).mean() / 2)


def test_profiles_are_the_derivative_of_the_score(stylegan2):
    generator, predictor, codes = stylegan2
    assert all(parameter.requires_grad for parameter in generator.parameters())
    boundaries = {
        "left": Boundary("left", "object", "w", unit(6)),
        "layered": Boundary("right", "object", "layers", unit(4, 6, seed=1)),
        "left again": Boundary("left", "object", "w", unit(6, seed=2)),
    }
    options = {"truncation_psi": 0.7, "truncation_layers": 2, "progress": False}
    profiles = screen(generator, predictor, codes, boundaries, step=3.0, batch_size=2, **options)
    assert profiles.shape == (3, 4)
    assert profiles.dtype == np.float64
    small = 1e-4
    for row, boundary in zip(profiles, boundaries.values(), strict=True):
        differences = [
            difference(generator, predictor, codes, boundary, layer, small, 0.7, 2) for layer in range(4)
        ]
        # Central differences err by step² relatively, and rounding leaves 1e-16 / 1e-4 of the score.
        np.testing.assert_allclose(row, np.array(differences) * 3.0 / small, rtol=1e-6, atol=1e-10)
    whole = screen(generator, predictor, codes, boundaries, step=3.0, batch_size=8, **options)
    np.testing.assert_allclose(whole, profiles, rtol=1e-12)


def test_gradients_of_the_parameters_stay_as_they_are(stylegan2):
    generator, predictor, codes = stylegan2
    kept = torch.ones_like(generator.synthesis.const)
    generator.synthesis.const.grad = kept
    generator.train()
    screen(generator, predictor, codes, {"left": Boundary("left", "object", "w", unit(6))}, progress=False)
    assert generator.synthesis.const.grad is kept
    torch.testing.assert_close(kept, torch.ones_like(kept))
    assert all(p.grad is None for p in generator.parameters() if p is not generator.synthesis.const)
    assert not generator.training


def test_one_forward_pass_serves_all_semantics(boundaries):
    generator, predictor = toy()
    forwards, plain = [], predictor.forward
    predictor.forward = lambda images: forwards.append(len(images)) or plain(images)
    codes = generator.map(torch.randn(7, generator.latent_dim))
    screen(generator, predictor, codes, boundaries, batch_size=3, progress=False)
    assert forwards == [3, 3, 1]


def test_it_works_inside_inference_mode_and_on_numpy_codes(boundaries):
    generator, predictor = toy()
    with torch.inference_mode():
        codes = make_codes(generator, 1, 0, 8, stream=VERIFICATION).codes
        inside = screen(generator, predictor, codes, boundaries, progress=False)
        outside_codes = codes.numpy()
    outside = screen(generator, predictor, outside_codes, boundaries, progress=False)
    np.testing.assert_array_equal(inside, outside)


def test_screened_profiles_agree_with_measured_ones(boundaries):
    generator, predictor = toy()
    verification = verify(generator, predictor, boundaries, num=32, num_null=2, progress=False)
    with torch.no_grad():
        codes = make_codes(generator, 1, 0, 32, stream=VERIFICATION).codes
    screened = screen(generator, predictor, codes, boundaries, progress=False)
    measured = np.stack([verification.layer_profile(name) for name in boundaries])
    assert [int(np.abs(row).argmax()) for row in screened] == [LAYER_OF[name] for name in boundaries]
    assert (profile_correlation(screened, measured) > 0.98).all()


def test_a_constant_score_has_a_flat_profile(boundaries):
    generator, predictor = toy()
    codes = generator.map(torch.randn(2, generator.latent_dim))
    constant = {"constant": Boundary("constant", "attribute", "w", boundaries["bed"].normal)}
    profile = screen(generator, predictor, codes, constant, progress=False)
    np.testing.assert_array_equal(profile, np.zeros((1, NUM_LAYERS)))
    assert np.isnan(profile_correlation(profile, np.arange(5.0)[None])).all()


def test_correlation_is_pearsons():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 3, 9))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(profile_correlation(first, second), expected)
    np.testing.assert_allclose(profile_correlation(first, 2 - 3 * first), -1)
    with pytest.raises(
        ValueError, match=r"measured: got shape \[3, 8\], expected that of screened, \[3, 9\]"
    ):
        profile_correlation(first, second[:, :8])


def test_bad_arguments_are_named(boundaries):
    generator, predictor = toy()
    codes = generator.map(torch.randn(2, generator.latent_dim))
    bed = boundaries["bed"]
    refused = [
        (codes, {}, {}, "boundaries: got none"),
        (codes[:0], boundaries, {}, "codes: got no samples"),
        (codes[0], boundaries, {}, r"codes: got shape \(5, 32\)"),
        (codes, boundaries, {"batch_size": 0}, "batch_size: got 0"),
        (
            codes,
            {"sofa": Boundary("sofa", "object", "w", bed.normal)},
            {},
            "'sofa' is not one that the predictor",
        ),
        (codes, {"bed": Boundary("bed", "object", "z", bed.normal)}, {}, "'bed' was fitted in z"),
        (codes, {"bed": Boundary("bed", "object", "w", np.eye(7)[0])}, {}, r"normal has shape \[7\]"),
    ]
    for some_codes, some_boundaries, options, message in refused:
        with pytest.raises(ValueError, match=message):
            screen(generator, predictor, some_codes, some_boundaries, progress=False, **options)


def test_scores_without_a_gradient_are_refused(boundaries):
    generator, predictor = toy()
    codes = generator.map(torch.randn(2, generator.latent_dim))
    plain = predictor.forward
    predictor.forward = lambda images: plain(images.detach())
    with pytest.raises(ValueError, match="its scores carry no gradient"):
        screen(generator, predictor, codes, boundaries, progress=False)
    predictor.forward = lambda images: plain(images).abs().sqrt() * 0 + plain(images * torch.inf)
    with pytest.raises(ValueError, match="the gradient of semantic 'view' is NaN or infinite"):
        screen(generator, predictor, codes, boundaries, progress=False)
