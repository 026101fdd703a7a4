"""A step in w moves the layer codes as a moved w would, for every family and for all who take such steps."""

import numpy as np
import pytest
import torch

from higan_fast.boundaries.displacement import displacements
from higan_fast.generators import FAMILIES
from higan_fast.generators.biggan import BigGAN, BigGANConfig
from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.generators.pggan import PGGAN, PGGANConfig
from higan_fast.generators.stylegan import StyleGAN, StyleGANConfig
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.generators.stylegan3 import StyleGAN3
from higan_fast.generators.stylegan3_config import StyleGAN3Config
from higan_fast.predictors.color import ColorPredictor
from higan_fast.probing import Boundary, fit_boundaries, jitter, manipulate, sample, verify
from higan_fast.sampling.latents import JITTER, VERIFICATION, latents, make_codes

QUIET = {"progress": False}
CHANNELS = {4: 8, 8: 6}
STYLED = {"channels": CHANNELS, "latent_dim": 10, "code_dim": 12, "mapping_depth": 1}
CLASSES = {"label_dim": 3}
GENERATORS = {
    "stylegan2": lambda: StyleGAN2(StyleGAN2Config(**STYLED)),
    "stylegan2, classes": lambda: StyleGAN2(StyleGAN2Config(**STYLED, **CLASSES)),
    "stylegan": lambda: StyleGAN(StyleGANConfig(**STYLED)),
    "stylegan3": lambda: StyleGAN3(StyleGAN3Config(16, (8, 6), 10, 12, num_critical=1)),
    "pggan": lambda: PGGAN(PGGANConfig(CHANNELS, latent_dim=10)),
    "pggan, classes": lambda: PGGAN(PGGANConfig(CHANNELS, latent_dim=10, **CLASSES)),
    "biggan": lambda: BigGAN(BigGANConfig((8, 6, 4), latent_dim=15, embed_dim=2, **CLASSES)),
    "biggan, one-hot": lambda: BigGAN(BigGANConfig((8, 6, 4), latent_dim=7, hierarchical=False, **CLASSES)),
    "biggan-deep": lambda: BigGANDeep(
        BigGANDeepConfig((8, 8, 4), (False, True), latent_dim=10, embed_dim=4, num_statistics=1, **CLASSES)
    ),
}
# Those whose class is not truncated, or whose layers read different parts of w.
UNEVEN = ["pggan, classes", "biggan", "biggan, one-hot", "biggan-deep"]


def make(name):
    """A generator of float64 with random weights, none of them zero."""
    torch.manual_seed(0)
    generator = GENERATORS[name]().double().eval().requires_grad_(False)
    for entry, tensor in generator.state_dict().items():
        if "variance" in entry:
            tensor.uniform_(0.5, 1.5)
        elif "filter" not in entry:
            tensor += 0.3 * torch.randn_like(tensor)
    return generator


def unit(*shape):
    normal = np.random.default_rng(3).normal(size=shape)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def some_w(generator, num):
    label = torch.arange(num) % 3 if generator.label_dim else None
    return generator.mapping(torch.randn(num, generator.latent_dim, dtype=torch.float64), label)


def on_layers(layers, moved, codes):
    """The moved codes on some layers, and the others as they were."""
    chosen = torch.zeros(codes.shape[1], 1, dtype=torch.bool)
    chosen[list(layers)] = True
    return torch.where(chosen, moved, codes)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize(("psi", "truncated"), [(1.0, None), (0.6, None), (0.6, 1), (0.6, 0)])
def test_codes_move_as_those_of_a_moved_w(name, psi, truncated):
    generator = make(name)
    w, step = some_w(generator, 5), -2.5
    assert w.shape == (5, generator.w_dim)
    normals = unit(4, generator.w_dim)
    codes = generator.layer_codes(w, psi, truncated)
    for layers in (None, [0], [generator.num_layers - 1]):
        found = displacements(generator, "w", normals, step, layers, psi, truncated)
        assert found.shape == (4, generator.num_layers, generator.code_dim) and found.dtype == torch.float64
        for normal, move in zip(torch.tensor(normals), found, strict=True):
            moved = generator.layer_codes(w + step * normal, psi, truncated)
            expected = on_layers(layers or range(generator.num_layers), moved, codes) - codes
            torch.testing.assert_close(move.expand_as(codes), expected, rtol=0, atol=1e-12)


def test_no_family_is_forgotten():
    assert {make(name).family for name in GENERATORS} == set(FAMILIES)


def test_a_generator_in_float32_moves_its_codes_in_float64():
    exact, generator = make("stylegan"), make("stylegan").float()
    exact.mapping_network.w_avg.copy_(generator.mapping_network.w_avg)
    options = {"step": 2.0, "truncation_psi": 0.7, "truncation_layers": 2}
    found, expected = (displacements(each, "w", unit(2, 12), **options) for each in (generator, exact))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)


def test_normals_in_layer_codes_are_taken_as_they_are():
    generator = make("biggan")
    shared, own = unit(2, generator.code_dim), unit(2, generator.num_layers, generator.code_dim)
    truncation = {"truncation_psi": 0.5, "truncation_layers": 1}
    for normals, expected in ((shared, np.repeat(shared[:, None], 3, axis=1)), (own, own)):
        everywhere = displacements(generator, "layers", normals, -2.0, **truncation)
        np.testing.assert_array_equal(everywhere, -2.0 * expected)
        some = displacements(generator, "layers", normals, -2.0, (0, 2), **truncation)
        np.testing.assert_array_equal(some[:, [0, 2]], everywhere[:, [0, 2]])
        assert (some[:, 1] == 0).all()


@pytest.mark.parametrize("name", UNEVEN)
@pytest.mark.parametrize(("psi", "truncated"), [(1.0, None), (0.6, None), (0.6, 1)])
def test_images_and_effects_are_those_of_a_moved_w(name, psi, truncated):
    generator, predictor = make(name), ColorPredictor().double()
    num, step, truncation = 4, 1.5, {"truncation_psi": psi, "truncation_layers": truncated}
    semantic = predictor.semantics[0]
    boundary = Boundary(semantic.name, semantic.level, "w", unit(generator.w_dim))
    normal = torch.tensor(boundary.normal)
    _, w, codes, _ = make_codes(generator, 1, 0, num, psi, truncated, VERIFICATION)

    def moved(steps, layers):
        """Codes of ``w`` with one step for each sample, ``[N, 1]``."""
        return on_layers(layers, generator.layer_codes(w + steps * normal, psi, truncated), codes)

    effects = []
    for layers in (range(generator.num_layers), *([index] for index in range(generator.num_layers))):
        plus, minus = (generator.synthesize(moved(steps, layers)).clamp(-1, 1) for steps in (step, -step))
        images = manipulate(
            generator, codes, boundary, list(layers), steps=(step, 0.0, -step), batch_size=3, **truncation
        )
        for index, expected in enumerate((plus, generator.synthesize(codes).clamp(-1, 1), minus)):
            torch.testing.assert_close(images[:, index], expected, rtol=0, atol=1e-9)
        effects.append(((predictor(plus) - predictor(minus)) / 2).mean(0))
    found = verify(
        generator, predictor, {semantic.name: boundary}, num=num, step=step, num_null=2, **truncation, **QUIET
    )
    np.testing.assert_allclose(found.effect[0], torch.stack(effects), rtol=0, atol=1e-9)

    last = generator.num_layers - 1
    images = jitter(generator, codes, boundary, last, num=2, seed=5, **truncation)
    steps = torch.tensor(latents(5, 0, num, 2, stream=JITTER)).double()
    for index in range(2):
        expected = generator.synthesize(moved(steps[:, index, None], [last])).clamp(-1, 1)
        torch.testing.assert_close(images[:, index], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", UNEVEN)
def test_boundaries_are_fitted_in_w_and_fit_nothing_else(name):
    generator, predictor = make(name).float(), ColorPredictor()
    samples = sample(generator, predictor, 128, truncation_psi=0.8, **QUIET)
    assert samples.w.shape == (128, generator.w_dim)
    boundaries = fit_boundaries(samples, chosen_num=0.5, space="w", **QUIET)
    assert boundaries and {each.normal.shape for each in boundaries.values()} == {(generator.w_dim,)}
    found = verify(
        generator, predictor, boundaries, num=4, num_null=2, screening=2, truncation_psi=0.8, **QUIET
    )
    assert found.settings["space"] == "w" and len(found.layers) == generator.num_layers
    longer = Boundary("warmth", "color", "w", np.eye(generator.w_dim + 1)[0])
    needed = (
        rf"normal has shape \[{generator.w_dim + 1}\], and in w this generator needs \[{generator.w_dim}\];"
    )
    for refused in (
        lambda: manipulate(generator, samples.codes[:1], longer),
        lambda: jitter(generator, samples.codes[:1], longer),
        lambda: verify(generator, predictor, {"warmth": longer}, semantics="warmth", num=2, **QUIET),
    ):
        with pytest.raises(ValueError, match=needed):
            refused()
