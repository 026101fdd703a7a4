"""Jobs of the embedded world and of the engine, each beside the plain way to do it."""

from __future__ import annotations

from typing import Any

import torch

import higan_fast as hf
from benchmarks.case import Backend, Case
from higan_fast.probing.engine import offset, paired_scores, strengths
from higan_fast.probing.latents import make_codes
from higan_fast.scenes.factors import sample_factors
from higan_fast.scenes.renderer import render


def render_rooms() -> Case:
    """The renderer, in batches and one room at a time."""
    factors = sample_factors(0, range(64))

    def one_by_one() -> torch.Tensor:
        return torch.cat([render(factors[row : row + 1]) for row in range(len(factors))])

    backends = (Backend("one by one", one_by_one), Backend("batched", lambda: render(factors)))
    return Case("render 64²", backends, "a room does not depend on its batch", images=len(factors))


def verify_layers() -> Case:
    """A direction on all layers and on each: plain full forwards, and forks that share the prefix."""
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    codes = make_codes(generator, 0, 0, 16).codes  # both signs of a step make batches of 32
    layers = range(generator.num_layers)
    normal = torch.nn.functional.normalize(torch.randn(generator.code_dim, dtype=torch.float64), dim=0)
    move = offset(normal, layers, 2.0, strengths("w", len(layers)), codes)  # [L, D]

    @torch.inference_mode()
    def full_forwards() -> torch.Tensor:
        rows = [move] + [offset(normal, [layer], 2.0, strengths("w", len(layers)), codes) for layer in layers]
        moved = [torch.cat([codes + row, codes - row]) for row in rows]
        scored = torch.stack([predictor(generator.synthesize(batch)) for batch in moved])
        return scored.unflatten(1, (2, len(codes)))  # [1 + L, 2, N, S]

    @torch.inference_mode()
    def shared_prefix() -> torch.Tensor:
        scores: Any = paired_scores(generator, predictor, codes, move[None])
        return torch.stack([scores.plus[0], scores.minus[0]], dim=1)

    backends = (
        Backend("full forwards", full_forwards),
        Backend("shared prefix", shared_prefix, tolerance=1e-4),
    )
    return Case("verify 64²", backends, "float32 sums in another order", images=22 * len(codes))


CASES = {"render": render_rooms, "verify": verify_layers}
