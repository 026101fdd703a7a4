"""HiGAN's published re-scoring, written out once more, gives what we report as ``higan_delta``."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.ops import image_to_input
from higan_fast.predictors.base import ModulePredictor
from higan_fast.probing import Boundary, verify
from higan_fast.sampling.latents import VERIFICATION, make_codes

PSI, STEP, NUM, SIZE = 0.7, 2.0, 12, 24
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NAMES = ("glossy", "cloth")


class Scorer(torch.nn.Module):
    """As their predictor: uint8 images, resized, normalised, through a network, sigmoids at the end."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 5, stride=3)
        self.head = torch.nn.Linear(8, 2)
        self.head.weight.data *= 12  # scores that move

    def network(self, x):
        return torch.sigmoid(self.head(F.relu(self.conv(x)).mean([2, 3])))

    def forward(self, images):
        options = {"mean": MEAN, "std": STD, "round_to_uint8": True, "antialias": False}
        return self.network(image_to_input(images, SIZE, **options))


@pytest.fixture(scope="module")
def world():
    torch.manual_seed(2)
    config = StyleGAN2Config(channels={4: 16, 8: 16, 16: 12}, latent_dim=16, code_dim=16, mapping_depth=2)
    generator = StyleGAN2(config).requires_grad_(False).eval()
    for rgb in generator.synthesis.rgbs:
        rgb.weight.mul_(0.3)  # within [-1, 1] for the most part: clipping would hide differences
    scorer = Scorer().requires_grad_(False).eval()
    normals = np.random.default_rng(0).normal(size=(2, 16))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    boundaries = {
        name: Boundary(name, "attribute", "w", normal) for name, normal in zip(NAMES, normals, strict=True)
    }
    return generator, scorer, boundaries


def rescore(generator, scorer, codes, normal, column, layers):
    """Their procedure: every code moved on some layers, an image each, to bytes, resized on the host, scored.

    The score of the image before is subtracted, what is below zero counts as zero, and the mean is taken.
    """

    def score_of(code):
        image = generator.synthesize(code[None])[0].numpy()
        pixels = np.clip((image + 1) * 255 / 2 + 0.5, 0, 255).astype(np.uint8)
        resized = F.interpolate(
            torch.from_numpy(pixels[None]).double() / 255, (SIZE, SIZE), mode="bilinear", align_corners=False
        )[0].numpy()
        normalised = (resized - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
        return scorer.network(torch.from_numpy(normalised[None]).float())[0, column].item()

    rises = []
    for code in codes:
        moved = code.clone()
        for layer in layers:  # their steps are as truncated as their codes
            moved[layer] += torch.from_numpy(STEP * PSI * normal).float()
        rises.append(max(score_of(moved) - score_of(code), 0.0))
    return np.mean(rises)


@torch.no_grad()
def test_higan_delta_is_what_the_published_procedure_gives(world):
    generator, scorer, boundaries = world
    predictor = ModulePredictor(scorer, NAMES, score_range=(0.0, 1.0))
    found = verify(
        generator, predictor, boundaries, num=NUM, step=STEP, num_null=2, truncation_psi=PSI, progress=False
    )
    codes = make_codes(generator, 1, 0, NUM, PSI, None, VERIFICATION).codes
    layer_sets = [range(generator.num_layers), *([layer] for layer in range(generator.num_layers))]
    for row, name in enumerate(NAMES):
        expected = [
            rescore(generator, scorer, codes, boundaries[name].normal, row, layers) for layers in layer_sets
        ]
        assert max(expected) > 1e-2, "there is something to compare"
        np.testing.assert_allclose(found.higan_delta[row, :, row], expected, rtol=0, atol=1e-4)
