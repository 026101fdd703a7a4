"""Generators of ours → their weights as they are trained, without the gains, for the writers to name."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

import torch
from torch import Tensor

from higan_fast.generators.base import Generator
from higan_fast.generators.pggan import PGGAN, PGGANConfig
from higan_fast.generators.stylegan import StyleGAN, StyleGANConfig
from higan_fast.generators.stylegan2 import StyleGAN2


def random_stylegan(config: StyleGANConfig) -> StyleGAN:
    """A generator in which nothing is zero or one, so that nothing can be forgotten unseen."""
    torch.manual_seed(0)
    return _shaken(StyleGAN(config))


def random_pggan(config: PGGANConfig) -> PGGAN:
    """As ``random_stylegan``."""
    torch.manual_seed(0)
    return _shaken(PGGAN(config))


def assert_same(loaded: Generator, generator: Generator) -> None:
    """But for the roundings of the gains, and those of taking an upsampling kernel apart."""
    assert loaded.config == generator.config
    state, expected = loaded.state_dict(), generator.state_dict()
    assert list(state) == list(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(state[name], tensor, atol=2e-6 * tensor.abs().max().item(), rtol=0)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def raw_pggan(generator: PGGAN, fused: Collection[int]) -> dict[str, Tensor]:
    """By our names, all ``[O, I, ...]``; upsampling layers of the ``fused`` sizes keep it flipped."""
    raw = _state(generator)
    raw["dense.weight"] = _trained(raw["dense.weight"], math.sqrt(2) / 4)
    raw["dense.bias"] = raw["dense.bias"].reshape(-1, 16)[:, 0]  # one for all pixels
    raw["rgb.weight"] = _trained(raw["rgb.weight"], 1)
    for index in range(len(generator.blocks)):
        size = 4 * 2 ** ((index + 1) // 2)
        name = f"blocks.{index}.conv.weight"
        raw[name] = _trained(_kernel(raw[name], size in fused))
    return raw


def raw_stylegan(
    generator: StyleGAN, fused: Collection[int], lr_multiplier: float = 0.01
) -> dict[str, Tensor]:
    """As ``raw_pggan``."""
    raw = _state(generator)
    for name, tensor in raw.items():
        if re.match(r"mapping_network\.fc", name):
            raw[name] = (_trained(tensor) if name.endswith("weight") else tensor) / lr_multiplier
        elif name.endswith(("affine.weight", "rgb.weight")):
            raw[name] = _trained(tensor, 1)
        elif layer := re.fullmatch(r"synthesis\.layers\.(\d+)\.conv\.weight", name):
            raw[name] = _trained(_kernel(tensor, 4 * 2 ** (int(layer[1]) // 2) in fused))
    return {name: tensor for name, tensor in raw.items() if not name.endswith("blur_filter")}


def raw_stylegan2(generator: StyleGAN2) -> dict[str, Tensor]:
    """As ``raw_pggan``. Upsampling layers are flipped always, and biases of styles are kept less 1."""
    raw = _state(generator)
    for name, tensor in raw.items():
        if conv := re.fullmatch(r"synthesis\.convs\.(\d+)\.weight", name):
            tensor = _trained(tensor, 1)
            raw[name] = tensor.flip(2, 3) if int(conv[1]) % 2 else tensor
        elif name.endswith("affine.bias"):
            raw[name] = tensor - 1
    return {name: tensor for name, tensor in raw.items() if not name.endswith("resample_filter")}


def _shaken(generator: Generator) -> Generator:
    generator.eval().requires_grad_(False)
    for name, tensor in (*generator.named_parameters(), *generator.named_buffers()):
        if name.endswith(("bias", "noise_strength", "w_avg", "const")):
            tensor.add_(0.3 * torch.randn_like(tensor))
        if name == "dense.bias":  # one for all pixels of a channel
            tensor.copy_(tensor[::16].repeat_interleave(16))
    return generator


def _state(generator: Generator) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in generator.state_dict().items()}


def _trained(weight: Tensor, gain: float = math.sqrt(2)) -> Tensor:
    """Without the gain of the equalised learning rate."""
    return weight * (math.sqrt(weight[0].numel()) / gain)


def _kernel(kernel: Tensor, fused: bool) -> Tensor:
    """``[I, O, 4, 4]`` of an upsampling layer → its ``[O, I, 3, 3]``; another layer's as it is.

    Along an axis the four taps are w2, w1 + w2, w0 + w1, w0.
    """
    if kernel.shape[-1] == 3:
        return kernel
    last, middle, first = kernel[:, :, 0], kernel[:, :, 1] - kernel[:, :, 0], kernel[:, :, 3]
    rows = torch.stack([first, middle, last], 2)  # [I, O, 3, 4]
    last, middle, first = rows[..., 0], rows[..., 1] - rows[..., 0], rows[..., 3]
    weight = torch.stack([first, middle, last], 3).transpose(0, 1)
    return weight.flip(2, 3) if fused else weight
