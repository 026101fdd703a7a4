"""StyleGAN2 and re-scoring as they are usually written: the baseline of the engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from higan_fast.engine.plan import all_and_each
from higan_fast.generators.stylegan2 import StyleGAN2
from higan_fast.generators.stylegan2_layers import StyledConv
from higan_fast.ops import upfirdn2d

BATCH = 4  # as in HiGAN


class PlainSynthesis:
    """Synthesis with per-sample weights and one pass over memory per operation.

    This is how the public implementations of StyleGAN2 run on a CPU: grouped convolutions in NCHW.
    """

    def __init__(self, generator: StyleGAN2) -> None:
        self.synthesis: Any = generator.synthesis

    @torch.inference_mode()
    def __call__(self, codes: Tensor) -> Tensor:
        """Layer codes ``[N, L, D]`` → images ``[N, 3, R, R]``."""
        synthesis, rgb = self.synthesis, None
        x = synthesis.const.repeat(len(codes), 1, 1, 1)
        for index in range(codes.shape[1]):
            if index % 2 == 1:
                rgb = self._with_rgb(synthesis.rgbs[index // 2], x, rgb, codes[:, index])
            if index < len(synthesis.convs):
                x = self._convolved(synthesis.convs[index], x, codes[:, index])
        assert rgb is not None
        return rgb

    def _convolved(self, conv: StyledConv, x: Tensor, code: Tensor) -> Tensor:
        num, inputs, *size = x.shape
        weight = conv.weight * conv.affine(code)[:, None, :, None, None]  # [N, O, I, 3, 3]
        weight = weight * (weight.square().sum([2, 3, 4], keepdim=True) + 1e-8).rsqrt()
        x = x.reshape(1, num * inputs, *size)
        if conv.up == 1:
            x = F.conv2d(x, weight.flatten(0, 1), padding=1, groups=num)
        else:
            x = F.conv_transpose2d(x, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=num)
        x = x.reshape(num, -1, *x.shape[2:])
        if conv.up == 2:
            x = upfirdn2d(x, conv.resample_filter, padding=1, gain=4, impl="reference")
        x = x + conv.noise_const * conv.noise_strength
        return F.leaky_relu(x + conv.bias[:, None, None], 0.2) * math.sqrt(2)

    def _with_rgb(self, layer: Any, x: Tensor, rgb: Tensor | None, code: Tensor) -> Tensor:
        num, inputs, *size = x.shape
        styles = layer.affine(code) * layer.weight_gain
        weight = layer.weight * styles[:, None, :, None, None]  # [N, 3, I, 1, 1]
        new = F.conv2d(x.reshape(1, num * inputs, *size), weight.flatten(0, 1), groups=num)
        new = new.reshape(num, 3, *size) + layer.bias[:, None, None]
        if rgb is None:
            return new
        return new + upfirdn2d(
            rgb, layer.resample_filter, up=2, padding=[2, 1, 2, 1], gain=4, impl="reference"
        )


class PublishedLoop:
    """HiGAN's re-scoring: per boundary and sample, the original image and one for each set of layers.

    It works in float32 and batches of four: synthesise, convert to bytes on the host, resize with Pillow,
    score.
    """

    def __init__(
        self,
        synthesize: Callable[[Tensor], Tensor],
        network: nn.Module,
        size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        """``network`` scores images ``[N, 3, size, size]``, normalised with ``mean`` and ``std``."""
        self.synthesize, self.network, self.size = synthesize, network, size
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (mean, std))

    @torch.inference_mode()
    def differences(self, codes: Tensor, moves: Tensor) -> Tensor:
        """Returns the score changes ``[M, 1 + L, N, S]`` of moving codes ``[N, L, D]`` by ``[M, L, D]``."""
        layer_sets = all_and_each(codes.shape[1])
        changes = []
        for move in moves:
            for code in codes:
                rows = [code]
                for layers in layer_sets:
                    rows.append(code.clone())
                    rows[-1][list(layers)] += move[list(layers)]
                scores = torch.cat([self._scores(batch) for batch in torch.stack(rows).split(BATCH)])
                changes.append(scores[1:] - scores[:1])
        return torch.stack(changes).unflatten(0, (len(moves), len(codes))).transpose(1, 2)

    def _scores(self, codes: Tensor) -> Tensor:
        images = self.synthesize(codes).permute(0, 2, 3, 1).cpu().numpy()
        pixels = np.clip((images + 1) * 255 / 2 + 0.5, 0, 255).astype(np.uint8)
        inputs = torch.stack([self._input(Image.fromarray(image)) for image in pixels])
        return self.network(inputs.to(codes.device))

    def _input(self, image: Image.Image) -> Tensor:
        resized = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        values = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
        return (values - self.mean) / self.std
