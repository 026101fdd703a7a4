"""Live networks and plain functions as generators: the whole probe finds in them what it finds in ours."""

import warnings

import numpy as np
import pytest
import torch

import higan_fast
from higan_fast.generators import wrap
from higan_fast.generators.base import Generator
from higan_fast.predictors import load_predictor
from higan_fast.probing import fit_boundaries, jitter, manipulate, sample, verify
from tests.toy import CODE_DIM, LAYER_OF, NUM_LAYERS, RESOLUTION, toy
from tests.toy_families import NUM_CLASSES, chunked_toy, conditional_toy

SIZES = {"num_layers": NUM_LAYERS, "code_dim": CODE_DIM, "resolution": RESOLUTION}


def wrapped_toy(**options):
    generator, _ = toy()
    given = {"map": generator.mapping, "latent_dim": 12, "w_avg": generator.w_avg, **SIZES, **options}
    return wrap(generator.synthesize, **given)


class Live(torch.nn.Module):
    """As NVlabs' ``Generator``: mapping to a code for each layer, noise unless told otherwise."""

    def __init__(self, c_dim=0):
        super().__init__()
        self.inside, _ = conditional_toy() if c_dim else toy()
        self.z_dim, self.c_dim, self.w_dim = 12, c_dim, CODE_DIM
        self.num_ws, self.img_resolution = NUM_LAYERS, RESOLUTION
        self.mapping = Mapping(self.inside)
        self.train()

    def synthesis(self, ws, noise_mode="random"):
        images = self.inside.synthesize(ws)
        return images + torch.randn_like(images) if noise_mode == "random" else images


class Mapping(torch.nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.inside = [inside]
        self.register_buffer("w_avg", inside.w_avg)

    def forward(self, z, c):
        assert not self.training, "in training mode it would move its average"
        return self.inside[0].mapping(z, c)[:, None].repeat(1, NUM_LAYERS, 1)


def test_a_wrapped_function_gives_what_the_network_gives():
    (own, predictor), generator = toy(), wrapped_toy()
    assert isinstance(generator, Generator) and generator.shares_code and generator.w_dim == CODE_DIM
    options = {"truncation_psi": 0.7, "truncation_layers": 3, "progress": False}
    expected, found = (sample(one, predictor, 256, **options) for one in (own, generator))
    np.testing.assert_allclose(found.codes, expected.codes, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-5)
    codes = torch.tensor(found.codes[:3])
    for index in range(NUM_LAYERS):  # stage by stage, as the engine walks
        activation = generator.start(3)
        for layer in range(index):
            activation = generator.layer(layer, activation, codes[:, layer])
        assert torch.equal(generator.draw(codes, index, activation), generator.synthesize(codes))
        walked = activation
        for layer in range(index, NUM_LAYERS):
            walked = generator.layer(layer, walked, codes[:, layer])
        assert torch.equal(generator.image(walked), generator.synthesize(codes))


def test_the_whole_probe_runs_on_a_wrapped_function(samples, boundaries):
    (own, predictor), generator = toy(), wrapped_toy(identity="toy, version 1")
    assert generator.identity == "toy, version 1"
    options = {"num": 16, "num_null": 4, "screening": 4, "progress": False}
    expected, found = (verify(one, predictor, boundaries, **options) for one in (own, generator))
    np.testing.assert_allclose(found.effect, expected.effect, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.screening, expected.screening, rtol=0, atol=1e-4)
    assert {name: found.best_layer(name) for name in boundaries} == LAYER_OF
    for call in (manipulate, jitter):
        images = [call(one, samples.codes[:2], boundaries["wood"], "3") for one in (own, generator)]
        torch.testing.assert_close(images[1], images[0], rtol=0, atol=1e-5)


def test_a_live_network_needs_no_other_argument():
    own, _ = toy()
    generator = wrap(Live())
    assert (generator.num_layers, generator.code_dim, generator.resolution) == (5, CODE_DIM, RESOLUTION)
    assert generator.shares_code, "it repeats one w for all layers"
    z = torch.randn(4, 12)
    codes = own.map(z, truncation_psi=0.5)
    torch.testing.assert_close(generator.map(z, truncation_psi=0.5), codes)
    assert torch.equal(generator.synthesize(codes), own.synthesize(codes)), "its noise is constant"
    assert generator.to(torch.float64).map(z.double()).dtype is torch.float64


@pytest.mark.parametrize("live", [True, False])
def test_a_conditional_one_is_given_classes(live):
    own, predictor = conditional_toy()
    if live:
        generator = wrap(Live(NUM_CLASSES))
    else:
        options = {"map": own.mapping, "latent_dim": 12, "label_dim": NUM_CLASSES}
        generator = wrap(own.synthesize, **SIZES, **options)
    expected, found = (sample(one, predictor, 64, progress=False) for one in (own, generator))
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-5)


def test_a_map_may_give_each_layer_a_code_of_its_own():
    own, predictor = chunked_toy()
    shape = {"num_layers": own.num_layers, "code_dim": own.code_dim, "resolution": own.resolution}
    options = {"latent_dim": own.latent_dim, "label_dim": own.label_dim}
    generator = wrap(own.synthesize, **shape, **options, map=lambda z, label: own.map(z, label))
    assert not generator.shares_code and generator.w_dim == own.num_layers * own.code_dim
    expected, found = (sample(one, predictor, 512, progress=False) for one in (own, generator))
    np.testing.assert_allclose(found.codes, expected.codes, rtol=0, atol=1e-6)
    for space in ("layers", "w"):
        boundaries = fit_boundaries(found, ["view"], chosen_num=100, space=space, progress=False)
        result = verify(generator, predictor, boundaries, num=16, num_null=4, progress=False)
        assert result.best_layer("view") == LAYER_OF["view"]


def test_without_a_map_the_latent_is_the_code():
    own, _ = toy()
    generator = wrap(own.synthesize, **SIZES)
    z = torch.randn(2, CODE_DIM)
    assert torch.equal(generator.map(z), z[:, None].expand(-1, NUM_LAYERS, -1))


def test_without_a_centre_there_is_no_truncation():
    (_, predictor), generator = toy(), wrapped_toy(w_avg=None)
    for use in (
        lambda: generator.map(torch.randn(1, 12), truncation_psi=0.7),
        lambda: sample(generator, predictor, 64, truncation_psi=0.7, progress=False),
    ):
        with pytest.raises(
            ValueError, match=r"truncation_psi \(--trunc\): got 0\.7, .*give wrap\(\.\.\., w_avg=\.\.\.\)"
        ):
            use()


def test_numpy_goes_in_and_out_and_has_no_gradient(boundaries):
    own, predictor = toy()
    generator = wrapped_toy(map=lambda z: own.mapping(z).detach().numpy())
    generator.network = lambda codes: own.synthesize(codes).detach().numpy().astype(np.float64)
    found = verify(generator, predictor, boundaries, num=8, num_null=4, progress=False)
    assert found.best_layer("view") == LAYER_OF["view"]
    with pytest.raises(ValueError, match="generator: its images carry no gradient"):
        verify(generator, predictor, boundaries, num=64, num_null=32, screening=2, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": None}, "num_layers: got None, expected a whole number"),
        ({"code_dim": 0, "latent_dim": 12}, "code_dim: got 0, expected"),
        ({"resolution": 2.5}, r"resolution: got 2\.5"),
        ({"num_layers": 4}, r"network: .*codes: got shape \(2, 4, 32\), expected \[N, 5, 32\]"),
        ({"resolution": 32}, r"network: gave shape \[2, 3, 16, 16\] .* expected \[2, C, 32, 32\]; .*16\?"),
        ({"resolution": (8, 16, 3)}, r"resolution: got \(8, 16, 3\), expected .*, or a height and a width"),
        ({"latent_dim": 13}, r"map: could not be called with latents \[2, 13\]"),
        ({"map": lambda z, c: z}, r"map: could not be called .*TypeError.*'c'"),
        ({"map": lambda z: z}, r"map: gave shape \[2, 1, 12\] for 2 latents, expected \[2, 32\]"),
        ({"w_avg": torch.zeros(3)}, r"w_avg: got shape \[3\], expected \[32\] or \[5, 32\]"),
        (
            {"network": lambda codes: (codes, None)},
            r"network: gave a tuple of 2.*lambda x: network\(x\)\[0\]",
        ),
        ({"network": lambda codes: None}, "network: gave a NoneType, expected a tensor"),
        (
            {"network": lambda codes: torch.zeros(2, 16, 16, 3)},
            r"write network\(codes\)\.permute\(0, 3, 1, 2\)",
        ),
        (
            {"network": lambda codes: torch.zeros(2, 1, 16, 8)},
            r"gave shape \[2, 1, 16, 8\] .* \[2, C, 16, 16\]",
        ),
        ({"network": lambda codes: torch.zeros(2, 3, 0, 0)}, r"gave shape \[2, 3, 0, 0\]"),
        (
            {"network": lambda codes: torch.zeros(2, 3, 16, 16).byte()},
            r"gave torch\.uint8, .* x / 127\.5 - 1",
        ),
        (
            {"network": lambda codes: torch.full((2, 3, 16, 16), torch.nan)},
            "network: gave values that are not",
        ),
    ],
)
def test_what_does_not_fit_is_said_at_once(change, message):
    network = change.pop("network", None) if "network" in change else None
    with pytest.raises(ValueError, match=message) as error:
        if network is None:
            wrapped_toy(**change)
        else:
            wrap(network, **SIZES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(1, 16, 16), (4, 16, 8), (7, 6, 10)])
def test_images_have_the_shape_that_they_have(shape):
    def draw(codes):
        return codes.mean((1, 2)).reshape(-1, 1, 1, 1).expand(-1, *shape) - 0.5

    given = {"num_layers": 3, "code_dim": 8}
    generator = wrap(draw, **given)
    assert generator.image_shape == shape and generator.resolution == max(shape[1:])
    assert all(layer.shape == shape[1:] for layer in generator.layers)
    assert wrap(draw, **given, resolution=shape[1:]).image_shape == shape
    predictor = load_predictor(lambda images: images.mean((2, 3))[:, :1], ["first"], channels=shape[0])
    samples = sample(generator, predictor, 128, progress=False)
    boundaries = fit_boundaries(samples, chosen_num=50, progress=False)
    assert manipulate(generator, samples.codes[:2], boundaries["first"]).shape == (2, 3, *shape)
    with pytest.raises(
        ValueError, match=r"gave shape .* expected \[2, C, H, W\]; write network\(codes\)\.permute"
    ):
        wrap(lambda codes: draw(codes).permute(0, 2, 3, 1)[..., :3], **given)


@pytest.mark.parametrize("network", [torch.nn.Linear, 3])
def test_what_cannot_be_called_is_no_network(network):
    with pytest.raises(TypeError, match=r"network: got .*, expected a module, or a function"):
        wrap(network, **SIZES)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (lambda drawn: drawn * 100 + 127, r"images reach from .* to .*, expected about \[-1, 1\]"),
        (lambda drawn: drawn.sigmoid(), r"nothing below 0.* give 2 \* x - 1"),
        (lambda drawn: drawn + 0.1 * torch.randn_like(drawn), "another image of the same codes"),
    ],
)
def test_images_that_look_wrong_are_warned_of(images, message):
    own, _ = toy()
    with pytest.warns(RuntimeWarning, match=message) as caught:
        wrap(lambda codes: images(own.synthesize(codes)), **SIZES, map=own.mapping, latent_dim=12)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped_toy()


def test_it_is_reached_through_the_package():
    assert higan_fast.generators.wrap is wrap


def test_it_prints_what_it_draws():
    text = repr(wrapped_toy())
    assert (
        text.startswith("Wrapped(") and f"{SIZES['num_layers']} layers, codes of {SIZES['code_dim']}" in text
    )
    assert ", images [3, " in text and "identity " in text
