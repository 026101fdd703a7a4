"""A scorer as large as HiGAN's, with random weights and scores that tell images apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WideResNet18(nn.Module):
    """An 18-layer residual network whose last stage keeps 14² features, like HiGAN's scene predictor.

    Scores are sigmoids of the features' principal components on given images (see ``standardize``). The
    components of largest variance are what a random network reads from images above its rounding errors.
    Residual branches start small, as they do in training.
    """

    def __init__(self, num_scores: int, pools: bool = True) -> None:
        """``pools``: after the stem, instead of in the last stage: 6 GFLOP on 224² in place of HiGAN's 14."""
        super().__init__()
        stages, inputs = [], 64
        for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 1 if pools else 2)):
            stages += [Residual(inputs, outputs, stride), Residual(outputs, outputs, 1)]
            inputs = outputs
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1) if pools else nn.Identity(),
        )
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(512, num_scores)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)).sigmoid()

    def features(self, x: Tensor) -> Tensor:
        return self.stages(self.stem(x)).mean([2, 3])

    @torch.no_grad()
    def standardize(self, x: Tensor) -> None:
        """Sets the batch statistics and the head from images: principal components of variance 1."""
        self.normalize(x)
        features = self.features(x)  # [N, 512]
        _, _, components = torch.pca_lowrank(features, self.head.out_features)
        self.head.weight.copy_((components / (features @ components).std(0)).T)
        self.head.bias.copy_(-self.head.weight @ features.mean(0))

    @torch.no_grad()
    def normalize(self, x: Tensor) -> None:
        """Sets the batch statistics from images."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # a cumulative average
        self.train()(x)
        self.eval()


class Residual(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.skip = (
            nn.Conv2d(inputs, outputs, 1, stride) if (inputs, stride) != (outputs, 1) else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))
