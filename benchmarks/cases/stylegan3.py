"""The whole synthesis of a StyleGAN3: NVlabs' stylegan3, or our reference, and our kernels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from benchmarks.cases.case import Backend, Case
from benchmarks.cases.generator import REASON, TOLERANCE
from benchmarks.peers import STYLEGAN3, Peers
from benchmarks.peers.process import load_peer
from benchmarks.roofline import Work
from higan_fast.generators.stylegan3 import StyleGAN3
from higan_fast.generators.stylegan3_config import StyleGAN3Config
from higan_fast.ops import implementation

# The public code filters on CPUs by one convolution of a channel after another, and takes seconds an image.
BATCHES = {"cpu": (4, 1), "cuda": (32, 1)}
DTYPES = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "float16")}


def stylegan3_cases(
    device: str, peers: Peers, quick: bool = False, resolution: int = 256, base: int = 16384
) -> Iterator[Case]:
    """Yields a case for T, and one for R with twice the channels, for each batch size.

    Ratios are relative to the peer if there is one, otherwise to our reference. ``quick``: single images.
    """
    kinds: tuple[tuple[Literal["t", "r"], int], ...] = (("t", base), ("r", 2 * base))
    for kind, channel_base in kinds:
        exact = random_generator(kind, resolution, channel_base).to(device)
        fast = {dtype: copy.deepcopy(exact) for dtype in DTYPES[device]}
        for dtype, generator in fast.items():
            generator.activation_dtype = getattr(torch, dtype)
        peer = load_peer(STYLEGAN3, peers[STYLEGAN3], exact) if STYLEGAN3 in peers else None
        name = f"StyleGAN3-{kind.upper()} {resolution}² of base {channel_base}"
        for batch in BATCHES[device][-1:] if quick else BATCHES[device]:
            yield _case(f"{name}, batch {batch}", batch, exact, fast, peer)


def _case(
    name: str,
    batch: int,
    exact: StyleGAN3,
    fast: dict[str, StyleGAN3],
    peer: Callable[[Tensor], Tensor] | None,
) -> Case:
    random = torch.Generator().manual_seed(batch)
    codes = torch.randn(batch, exact.num_layers, exact.code_dim, generator=random).to(exact.device)

    def add(backend: str, dtype: str, run: Callable[[], Tensor]) -> None:
        work = tuple(_work(exact.config, batch, getattr(torch, dtype).itemsize))
        backends.append(Backend(backend, torch.inference_mode()(run), dtype, TOLERANCE[dtype], work))

    backends: list[Backend] = []
    if peer is None:
        add("reference", "float32", partial(_by_reference, exact, codes))
    else:
        add(STYLEGAN3, "float32", partial(peer, codes))
    for dtype, generator in fast.items():
        add("native", dtype, partial(generator.synthesize, codes, replay=False))
    return Case(name, tuple(backends), REASON, images=batch)


def random_generator(kind: Literal["t", "r"], resolution: int, base: int, dim: int = 512) -> StyleGAN3:
    """Returns a random network whose features have a mean square of 1 where they are convolved."""
    torch.manual_seed(0)
    config = StyleGAN3Config.of(kind, resolution, base, latent_dim=dim, code_dim=dim)
    generator = StyleGAN3(config).eval().requires_grad_(False)
    generator.synthesis.input.affine.weight.normal_()
    codes = torch.randn(1, generator.num_layers, generator.code_dim)
    activation = generator.layer(0, generator.start(1), codes[:, 0])
    for index, layer in enumerate(generator.synthesis.readers[1:], 1):
        layer.bias.normal_(std=0.1)
        layer.magnitude_ema.copy_(activation.features.square().mean())
        activation = generator.layer(index, activation, codes[:, index])
    return generator


def _work(config: StyleGAN3Config, batch: int, itemsize: int) -> Iterator[Work]:
    """Of each layer, as one kernel: features and weight are read, features are written; its convolution."""
    signals = config.signals
    for before, after in zip((signals[0], *signals), signals, strict=False):
        kernel = 1 if after is signals[-1] else config.kernel
        weight = before.channels * after.channels * kernel**2
        moved = batch * (before.channels * before.size**2 + after.channels * after.size**2) + weight
        yield Work(itemsize * moved, 2 * batch * weight * (before.size + kernel - 1) ** 2)


def _by_reference(generator: StyleGAN3, codes: Tensor) -> Tensor:
    with implementation.only_reference():
        return generator.synthesize(codes, replay=False)
