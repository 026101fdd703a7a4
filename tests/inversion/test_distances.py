"""How far images are apart: by pixels, by features of networks in torch, and by what TorchScript gives."""

import warnings

import pytest
import torch

import higan_fast as hf
from higan_fast.inversion import NetworkFeatures, Pixels, distance_of
from higan_fast.predictors.scenes import ScenePredictor
from higan_fast.scenes.factors import CONTINUOUS, SEMANTICS
from tests.toy import toy

CPU = torch.device("cpu")


def test_pixels_are_compared_at_every_scale():
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    shifted = images + torch.tensor([0.1, 0.2]).view(2, 1, 1, 1)
    features = Pixels().features(images)
    assert [part.shape[-1] for part in features] == [32, 16, 8]
    assert torch.allclose(Pixels()(shifted, features), torch.tensor([0.01, 0.04])), (
        "a shift is one at each scale"
    )
    grainy = images + 0.1 * torch.tensor([1.0, -1.0]).repeat(16)
    assert torch.allclose(Pixels()(grainy, features), torch.tensor(0.01 / 3)), (
        "grain is one at the finest alone"
    )


def test_shapes_that_are_not_square_and_alpha():
    tall = torch.rand(2, 4, 32, 6) * 2 - 1
    assert [part.shape[1:] for part in Pixels().features(tall)] == [(4, 32, 6), (4, 16, 6), (4, 8, 6)]
    torch.manual_seed(0)
    distance = NetworkFeatures(ScenePredictor(SEMANTICS, CONTINUOUS).eval(), "scenes")
    hidden = torch.cat([torch.rand(2, 3, 16, 8) * 2 - 1, -torch.ones(2, 1, 16, 8)], 1)
    white = torch.ones(2, 3, 16, 8)
    of_network = slice(len(Pixels().features(white)), None)
    features = zip(distance.features(hidden)[of_network], distance.features(white)[of_network], strict=True)
    assert all(torch.equal(one, other) for one, other in features), "networks see alpha over white"
    with pytest.raises(ValueError, match=r"got 5 channels, and scenes takes 3 channels \(RGB\)"):
        distance.features(torch.zeros(1, 5, 16, 16))


def test_a_network_measures_by_its_features(drawn):
    torch.manual_seed(0)
    predictor = ScenePredictor(SEMANTICS, CONTINUOUS).eval()
    distance = NetworkFeatures(predictor, "scenes")
    one, other = torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(3, 3, 64, 64) * 2 - 1
    features = distance.features(one)
    assert [part.shape[-1] for part in features] == [64, 32, 16, 8, 32, 16, 8, 4], (
        "of pixels, then of the network"
    )
    assert distance(one, features).abs().max() == 0
    apart = distance.between_all(features, distance.features(other))
    expected = torch.stack(
        [distance(one, tuple(f[[i] * 2] for f in distance.features(other))) for i in range(3)], 1
    )
    assert torch.allclose(apart, expected, rtol=1e-4)
    images, _ = drawn
    found = hf.invert(
        toy()[0], images[:1], "w", distance=distance, steps=20, starts=1, samples=1, progress=False
    )
    assert found.psnr.min() > 20 and found.settings["distance"].startswith("features of scenes, ")


class Vgg(torch.nn.Module):
    """Has the arguments of NVlabs' vgg16.pt."""

    def forward(
        self, img: torch.Tensor, resize_images: bool = True, return_lpips: bool = False
    ) -> torch.Tensor:
        assert return_lpips and not resize_images
        return img.mean(dim=[2, 3]) / 255


class Plain(torch.nn.Module):
    def forward(self, img: torch.Tensor) -> torch.Tensor:
        return torch.cat([img.mean(dim=[2, 3]), torch.ones(len(img), 1)], dim=1)


def test_torchscript_gives_what_it_gives(tmp_path):
    one, other = torch.full((1, 3, 16, 16), -0.5), torch.full((1, 3, 16, 16), 0.5)
    pixels = Pixels()(one, Pixels().features(other))
    for module, expected in ((Vgg(), 3 * 0.5**2), (Plain(), 1.7144)):
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of the format itself
            torch.jit.script(module).save(tmp_path / "network.pt")
        distance = distance_of(str(tmp_path / "network.pt"), CPU)
        apart = distance(one.requires_grad_(), distance.features(other)) - pixels
        assert apart.item() == pytest.approx(expected, rel=1e-3) and apart.requires_grad
    # of length 1: (−½, −½, −½, 1) and (½, ½, ½, 1), each by √1.75


def test_what_measures_nothing_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="got 'nowhere'"):
        distance_of("nowhere", CPU)
    with pytest.raises(ValueError, match=r"distance \(--distance\): color shows no features"):
        distance_of("color", CPU).features(torch.zeros(1, 3, 16, 16))


@pytest.mark.parametrize("text", ["", "nan"])
def test_what_names_no_network_is_refused_under_its_own_name(text):
    with pytest.raises(FileNotFoundError, match=rf"^distance \(--distance\): got '{text}', expected "):
        distance_of(text, torch.device("cpu"))
