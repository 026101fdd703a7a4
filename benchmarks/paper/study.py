"""What the study of HiGAN's paper is, at full scale and at a part of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases.shapes import stylegan2, widths
from benchmarks.cases.wide_resnet import WideResNet18

SAMPLES, PER_SIDE, ATTRIBUTES, NULL, MOST_SAMPLES = 500_000, 10_000, 102, 32, 2000
SHARD = 256  # samples per file, as ``hf.sample`` has them
FEWEST_NULL = 16  # fewer random directions of a kind tell no effect of a boundary from theirs for sure
HELD_OUT = 0.3  # of the samples on a side, as ``hf.fit_boundaries`` does
# from which scale on: resolution and channel base of the StyleGAN2, and numbers in a code
NETWORKS = ((0.05, 256, 32768, 512), (0.002, 64, 2048, 512), (0.0, 8, 256, 64))


@dataclass(frozen=True)
class Study:
    """How much of everything there is.

    Samples are as many as the scale says. Boundaries, the samples on each of their sides, random directions
    and the most samples of a verification shrink with its square root, so that all stages shrink about alike.

    Attributes:
        per_side: samples with the highest scores of an attribute, and as many with the lowest. HiGAN's code
            takes 2,000; 10,000 give its machines 14,000 codes to learn from, since 30 % are held out.
        attributes: the scorer's outputs, each of which gets a boundary.
        null: random directions of each kind.
        most_samples: of the verification, HiGAN's K.
    """

    scale: float
    samples: int
    per_side: int
    attributes: int
    null: int
    most_samples: int
    resolution: int
    base: int
    code_dim: int

    @classmethod
    def of(cls, scale: float) -> Study:
        """Returns the study at a scale in (0, 1]."""
        root = math.sqrt(scale)
        samples = max(512, round(SAMPLES * scale))
        resolution, base, code_dim = next(entry[1:] for entry in NETWORKS if scale >= entry[0])
        return cls(
            scale,
            samples,
            per_side=min(samples // 4, max(100, round(PER_SIDE * root))),
            attributes=max(2, round(ATTRIBUTES * root)),
            null=max(FEWEST_NULL if scale >= 0.002 else 4, round(NULL * root)),
            most_samples=max(32, round(MOST_SAMPLES * root)),
            resolution=resolution,
            base=base,
            code_dim=code_dim,
        )

    @property
    def num_layers(self) -> int:
        return 2 * int(math.log2(self.resolution)) - 2

    @property
    def directions(self) -> int:
        """What is verified: boundaries, and two kinds of random directions."""
        return self.attributes + 2 * self.null

    @property
    def held_out(self) -> int:
        """Samples of both sides of a boundary that are held out."""
        return 2 * max(1, round(HELD_OUT * self.per_side))

    @property
    def learnt_from(self) -> int:
        """Samples of both sides of a boundary that are not."""
        return 2 * self.per_side - self.held_out

    @property
    def scorer_size(self) -> int:
        """Height and width of the images that the scorer reads."""
        return 224 * self.resolution // 256

    @property
    def flops(self) -> float:
        """Floating-point operations for one image and its scores."""
        synthesis = sum(layer.flop(1) for layer in stylegan2(widths(self.base, self.resolution)))
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            scorer = WideResNet18(self.attributes, pools=False).eval()
            scorer(torch.empty(1, 3, self.scorer_size, self.scorer_size))
        return float(synthesis + counter.get_total_flops())

    @property
    def gflop(self) -> float:
        return round(self.flops / 1e9, 1)

    @property
    def name(self) -> str:
        return f"paper ×{self.scale:g}: {self.samples:,} samples, {self.resolution}² of base {self.base}"

    def lines(self) -> Sequence[str]:
        """What there is, and what of the paper's it stands for."""
        whole = Study.of(1.0)

        def part(name: str) -> str:
            ours, full = getattr(self, name), getattr(whole, name)
            return f"{ours:,}" if ours == full else f"{ours:,} (of {full:,})"

        return (
            f"scale {self.scale:g}; random weights throughout",
            f"  StyleGAN2 of {part('resolution')}², channel base {part('base')}, {part('num_layers')} layers",
            f"  scorer of the size of WRN-18 on {part('scorer_size')}² images; with synthesis "
            f"{part('gflop')} GFLOP an image",
            f"  {part('samples')} samples, all codes and scores kept",
            f"  {part('attributes')} attributes, each with a boundary by HiGAN's machine: {part('per_side')} "
            f"samples a side (HiGAN's code: 2,000),",
            f"    of which {part('learnt_from')} × {part('code_dim')} codes are learnt from",
            f"  sequential verification on all layers and on each, on at most {part('most_samples')} "
            f"samples, against {part('null')} random directions of either kind",
        )
