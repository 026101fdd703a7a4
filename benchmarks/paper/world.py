"""The study's networks: random, but so that scores vary, and one layer decides most of them."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.cases.generator import random_generator
from benchmarks.cases.verification import MEAN, STD, uneven_generator
from benchmarks.cases.wide_resnet import WideResNet18
from benchmarks.paper.study import Study
from higan_fast.files import write_whole
from higan_fast.generators.stylegan2 import StyleGAN2
from higan_fast.ops import image_to_input
from higan_fast.predictors.base import Predictor, Semantic
from higan_fast.sampling.latents import make_codes

# So many principal components of its features are what a random scorer reads from images above the rounding
# of 16 bits. Attributes are mixtures of them, as those of a real scorer are correlated.
COMPONENTS = 8
CALIBRATED_ON = 128  # images


class Scorer(Predictor):
    """A random network of the size of HiGAN's WideResNet-18, with one linear score for each attribute.

    On images of the study's generator every score has a mean of 0 and a standard deviation of 1. Without that
    a random scorer would hardly tell random images apart.
    """

    def __init__(self, num: int, size: int) -> None:
        super().__init__()
        self.network, self.size = WideResNet18(num, pools=False), size
        self.semantics = tuple(Semantic(f"attribute {index}", "attribute") for index in range(num))

    def forward(self, images: Tensor) -> Tensor:
        inputs = image_to_input(images, self.size, mean=MEAN, std=STD, round_to_uint8=True)
        return self.network.head(self.network.features(inputs))

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Sets batch statistics and the head from images: each score a random mixture of ``COMPONENTS``."""
        inputs = image_to_input(images, self.size, mean=MEAN, std=STD, round_to_uint8=True)
        self.network.normalize(inputs)
        features = self.network.features(inputs)  # [N, 512]
        _, _, components = torch.pca_lowrank(features, COMPONENTS)
        components = components / (features @ components).std(0)
        mixture = torch.randn(COMPONENTS, len(self.semantics)).to(features)
        head = self.network.head
        head.weight.copy_((components @ (mixture / mixture.norm(dim=0))).T)
        head.bias.copy_(-head.weight @ features.mean(0))


def networks(study: Study, device: str, file: Path) -> tuple[StyleGAN2, Scorer]:
    """Returns the networks in ``file``, which is made where it is not there."""
    if not file.exists():
        _make(study, device, file)
    kept = torch.load(file, map_location=device, weights_only=True)
    generator = random_generator(device, study.base, study.resolution, study.code_dim)
    generator.load_state_dict(kept["generator"])
    scorer = _scorer(study, device)
    scorer.load_state_dict(kept["scorer"])
    scorer.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return generator, scorer


def _make(study: Study, device: str, file: Path) -> None:
    generator = uneven_generator(device, study.base, study.resolution, study.code_dim)
    torch.manual_seed(1)
    scorer = _scorer(study, device)
    with torch.no_grad():
        codes = make_codes(generator, 1, 0, CALIBRATED_ON).codes
        scorer.calibrate(torch.cat([generator.synthesize(part) for part in codes.split(16)]))
    content = io.BytesIO()
    torch.save({"generator": generator.state_dict(), "scorer": scorer.state_dict()}, content)
    with write_whole(file) as written:
        written.write(content.getbuffer())


def _scorer(study: Study, device: str) -> Scorer:
    return Scorer(study.attributes, study.scorer_size).eval().requires_grad_(False).to(device)


def planted_layer(generator: StyleGAN2) -> int:
    """The layer whose style answers five times as much to its code as that of any other."""
    return len(generator.synthesis.convs) // 3
