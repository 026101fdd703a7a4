"""Single channels of styles: one that controls a score is found and verified, and the others are not."""

import json

import numpy as np
import pytest
import torch

from higan_fast.boundaries.boundary import Boundary
from higan_fast.engine.engine import Engine
from higan_fast.generators.pggan import PGGAN, PGGANConfig
from higan_fast.generators.style_space import StyleSpace
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.predictors.base import Predictor, Semantic
from higan_fast.probing import Directions, sample, verify_channels, verify_directions
from higan_fast.probing.channels import directions_along, parse_channels, screened_channels
from higan_fast.sampling.latents import VERIFICATION, make_codes
from higan_fast.statistics.effects import paired_effect
from tests.probing.same import same

CONFIG = StyleGAN2Config(channels={4: 48, 8: 64}, latent_dim=12, code_dim=16, mapping_depth=2)
QUIET = {"progress": False}
LAST, OWN = 4, 7  # the RGB layer at 8², and the channel of it that alone paints red


class Planes(Predictor):
    """The mean of the red plane, that of the green one, and what no image changes."""

    identity = "planes"

    def __init__(self):
        super().__init__()
        self.semantics = tuple(Semantic(name, "color") for name in ("red", "green", "constant"))
        self.images = 0

    not_fingerprinted = ("images",)

    def forward(self, images):
        self.images += len(images)
        red, green, _ = images.mean(dim=(2, 3)).unbind(1)
        return torch.stack([red, green, torch.full_like(red, 0.5)], dim=1)


def painted():
    """Only the styles of RGB layers vary; red comes through one channel, and green through all 112 alike."""
    torch.manual_seed(3)
    generator = StyleGAN2(CONFIG).eval().requires_grad_(False)
    for conv in generator.synthesis.convs:
        for weight in (conv.weight, conv.affine.weight):
            weight.zero_()
        conv.bias.fill_(1)  # which is all that is in the features
    for rgb in generator.synthesis.rgbs:
        rgb.affine.weight.div_(rgb.affine.weight.norm(dim=1, keepdim=True))
        rgb.weight[:] = 0.03 * torch.randn(rgb.weight.shape).sign()
        rgb.weight[0] = 0
    generator.synthesis.rgbs[1].weight[0, OWN] = 1
    return generator, Planes()


@pytest.fixture(scope="module")
def world():
    generator, predictor = painted()
    return generator, predictor, sample(generator, predictor, num=64, seed=5, **QUIET)


@pytest.fixture(scope="module")
def found(world):
    return verify_channels(*world, 6, num=32, num_null=24, confidence=0.95, **QUIET)


def test_the_channel_that_controls_a_score_is_found_and_others_are_not(world, found):
    name = f"{LAST}:{OWN} b8.torgb"
    assert found.boundary_names[0] == name and len(found.boundary_names) == 6
    assert found.moved_by(name)[0] == "red"
    assert [found.moved_by(other) for other in found.boundary_names[1:]] == [[]] * 5
    assert (found.top_layer[0, 0], bool(found.top_layer_sure[0, 0])) == (LAST, True)
    assert not found.effect[:, :, 2].any() and (found.sign[:, 2] == 0).all()
    green = np.abs(found.effect[1:, 0, 1])
    assert (green > 0).all() and found.p_adjusted[1:, 1].min() > 0.05  # it moves, as any direction does


def test_rounds_find_it_with_few_images(world, found):
    """The random directions of a layer are measured as long as one of its channels waits for them."""
    own = verify_channels(*world, [(LAST, OWN), (1, 3)], max_samples=32, num_null=16, confidence=0.9, **QUIET)
    assert own.moved_by("4:7 b8.torgb")[0] == "red" and own.moved_by("1:3 b4.torgb") == []
    assert own.effect[0, 0, 0] == own.effect[0, 1 + LAST, 0] == pytest.approx(found.effect[0, 0, 0], rel=0.05)
    assert bool(own.top_layer_sure[0, 0]) and own.images <= 32 * (1 + 2 * (2 + 2 * 16))


def test_the_unit_and_the_space_are_stated(found):
    assert repr(found).startswith("6 directions, 3 semantics, a step of 2 in sd, 32 samples")
    assert (found.settings["space"], found.settings["null"]) == ("styles", "isotropic")
    assert [layer.name for layer in found.layers][LAST] == "b8.torgb"
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["directions"][0]["moves"][0] == "red"


def test_effects_are_those_of_the_bias_moved_by_hand(world, found):
    generator, predictor, samples = world
    deviation = StyleSpace.of(generator, samples.codes).deviations(LAST)[OWN]
    codes = make_codes(generator, 5, 0, 32, stream=VERIFICATION).codes
    scores = []
    for sign in (1, -1):
        moved, _ = painted()
        rgb = moved.synthesis.rgbs[1]
        rgb.affine.bias[OWN] += sign * 2 * deviation / rgb.weight_gain
        scores.append(predictor(moved.draw(codes).clamp(-1, 1)))
    by_hand = paired_effect(*scores).double().mean(dim=0).numpy()
    assert abs(by_hand[0]) > 0.05
    for place in (0, 1 + LAST):
        np.testing.assert_allclose(found.effect[0, place], by_hand, rtol=0, atol=1e-6)
    assert not np.delete(found.effect[0], (0, 1 + LAST), axis=0).any()  # nothing moves elsewhere


def test_only_what_moves_is_measured(found):
    """Each channel, and random directions for both of the RGB layers, on one set of layers each."""
    layers = {name.split(":")[0] for name in found.boundary_names}
    assert layers == {"1", "4"}
    assert found.images == 32 * (1 + 2 * (6 + 2 * 24))


def test_what_is_named_is_verified_and_nothing_is_measured_twice(world, tmp_path):
    generator, predictor, samples = world
    options = {"num": 8, "num_null": 4, "out": tmp_path, **QUIET}
    one = verify_channels(generator, predictor, samples, [(LAST, OWN), (1, 3)], **options)
    assert one.boundary_names == ("4:7 b8.torgb", "1:3 b4.torgb")
    before = predictor.images
    other = verify_channels(generator, predictor, samples, [(LAST, OWN), (1, 3)], **options)
    assert predictor.images - before < 8 * 3  # memory, and deviations
    same(other, one)
    same(Directions.load(tmp_path / "channels.npz"), one)


def test_the_same_channels_in_any_order_have_the_same_effects(world):
    options = {"num": 8, "num_null": 4, **QUIET}
    one = verify_channels(*world, [(LAST, OWN), (1, 3), (LAST, 0)], **options)
    other = verify_channels(*world, [(LAST, 0), (LAST, OWN), (1, 3)], **options)
    np.testing.assert_allclose(one.effect, other.effect[[1, 2, 0]], rtol=0, atol=1e-7)
    np.testing.assert_allclose(one.p_values, other.p_values[[1, 2, 0]], rtol=1e-5)


def test_screening_goes_on_where_it_was(world, tmp_path, monkeypatch):
    generator, predictor, samples = world
    space, given = StyleSpace.of(generator, samples.codes), samples.part(0, 24)
    expected = screened_channels(space, predictor, given, 8, **QUIET)
    before, limit = predictor.images, 16
    forward = Planes.forward

    def dying(self, images):
        if self.images - before >= limit:
            raise KeyboardInterrupt
        return forward(self, images)

    monkeypatch.setattr(Planes, "forward", dying)
    with pytest.raises(KeyboardInterrupt):
        screened_channels(space, predictor, given, 8, out=tmp_path, **QUIET)
    limit, before = 8, predictor.images
    assert screened_channels(space, predictor, given, 8, out=tmp_path, **QUIET) == expected


def test_codes_of_the_engine_are_moved_on_their_layer_alone(world):
    """A boundary of the style space is one like any other: a direction over two layers moves both."""
    generator, predictor, samples = world
    space = StyleSpace.of(generator, samples.codes)
    normal = np.zeros((space.num_layers, space.code_dim))
    normal[1, 2], normal[LAST, OWN] = 0.6, 0.8
    found = verify_directions(
        space, predictor, Boundary("both", "attribute", "layers", normal), num=8, num_null=4, **QUIET
    )
    apart = found.effect[0, [2, 1 + LAST], :2].sum(axis=0)  # RGB is a sum
    np.testing.assert_allclose(found.effect[0, 0, :2], apart, rtol=0, atol=1e-5)
    assert not found.effect[0, [1, 3, 4], :2].any() and found.images == 8 * (1 + 2 * 3 + 2 * 8)
    with torch.inference_mode():
        scores = Engine(space, predictor).scores(space.codes_of(torch.from_numpy(samples.codes)))
    np.testing.assert_allclose(scores, samples.scores, rtol=0, atol=1e-5)


def test_what_does_not_fit_is_refused(world):
    generator, predictor, samples = world
    space = StyleSpace.of(generator, samples.codes)
    for channels, message in (
        ([], "got no channels"),
        ([(9, 0)], r"got layer 9 of 9:0, expected one of 0 b4.conv1, 1 b4.torgb, 2 b8.conv0"),
        ([(LAST, 64)], "got 4:64, and b8.torgb has channels 0 to 63"),
        ([(2, 5)], "got 2:5, which is the same in all samples"),
        ([(LAST, 1), (LAST, 1)], "names must differ"),
    ):
        with pytest.raises(ValueError, match=message):
            verify_channels(generator, predictor, samples, channels, **QUIET)
    with pytest.raises(ValueError, match=r"got 500, and 112 channels move any score"):
        screened_channels(space, predictor, samples, 500, **QUIET)
    blind = Planes()
    blind.forward = lambda images: torch.zeros(len(images), 3)
    with pytest.raises(ValueError, match=r"no gradient.*name the channels, as in --stylespace 3:117,5:22"):
        verify_channels(generator, blind, samples, 2, **QUIET)
    other = PGGAN(PGGANConfig(channels={4: 8, 8: 8}, latent_dim=12)).eval()
    with pytest.raises(ValueError, match="samples: are of another generator"):
        verify_channels(other, predictor, samples, 2, **QUIET)
    own = sample(other, predictor, num=4, **QUIET)
    with pytest.raises(ValueError, match="needs a generator whose layers have styles"):
        verify_channels(other, predictor, own, 2, **QUIET)
    assert directions_along(space, [(LAST, OWN)])[0].origin is None


def test_channels_are_read_from_text():
    assert parse_channels("12") == 12 and parse_channels(" 3:117, 5:22 ") == [(3, 117), (5, 22)]
    for text in ("", "3:", "a:1", "3:1,3:1", "-1:2", "3;4"):
        with pytest.raises(ValueError, match=r"stylespace \(--stylespace\): got .*, expected a number of"):
            parse_channels(text)
