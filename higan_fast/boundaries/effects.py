"""What a step along directions changes on all layers at once: the effect of each, on each sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Space
from higan_fast.boundaries.displacement import displacements
from higan_fast.engine.engine import Engine
from higan_fast.engine.journal import Journal
from higan_fast.engine.plan import Plan
from higan_fast.sampling.latents import Codes, labelled_latents, labelled_moves, map_labelled_latents

Array = NDArray[np.float64]


@torch.inference_mode()
def paired_effects(
    engine: Engine,
    drawn: Codes,
    space: Space,
    moves: Sequence[Array],
    *,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    journal: Journal | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Array:
    """Half the change of every score from a step back to a step forth, on all layers: ``[n, M, S]``.

    A score that is not finite makes an effect that is not.

    Args:
        engine: of both networks.
        drawn: n samples.
        space: in which the steps are.
        moves: what a step forth along each of M directions adds to a code in that space: the normals, times
            the length of the step.
        truncation_psi: with which the codes were made.
        truncation_layers: with which the codes were made.
        journal: of the engine, for these directions; None: what is scored is not kept.
        advance: hears of every image that is scored now.
    """
    generator, predictor = engine.generator, engine.predictor
    assert predictor is not None
    base, sets, to_codes = drawn.codes, (tuple(range(generator.num_layers)),), None
    steps: Tensor
    if space == "z":
        base, sets, steps = labelled_latents(generator, drawn), ((),), labelled_moves(generator, moves)
        to_codes = partial(
            map_labelled_latents,
            generator,
            truncation_psi=truncation_psi,
            truncation_layers=truncation_layers,
        )
    else:
        steps = displacements(
            generator, space, moves, truncation_psi=truncation_psi, truncation_layers=truncation_layers
        )
    both_ways = torch.tensor([1.0, -1.0], dtype=torch.float64)
    plan = Plan(steps, sets, both_ways, np.ones((len(moves), 1), np.bool_))
    effects = np.zeros((len(base), len(moves), predictor.num_semantics))
    for found in engine.perturbed_scores(base, plan, to_codes, journal):
        scores = found.values.double().cpu().numpy()  # [n, m, 2, S]
        effects[found.samples, found.directions.numpy()] = (scores[:, :, 0] - scores[:, :, 1]) / 2
        advance(journal.fresh(scores[..., 0].size) if journal else scores[..., 0].size)
    return effects
