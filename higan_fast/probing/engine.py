"""The one place that perturbs codes and scores images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from higan_fast.generators.base import Activation, Generator
from higan_fast.predictors.base import Predictor
from higan_fast.probing.boundaries import Space


class PairedScores(NamedTuple):
    """Scores of N base samples without and with M perturbations, on L + 1 sets of layers.

    Row 0 perturbs all layers together and row 1 + l perturbs layer l alone.
    """

    base: Tensor  # [N, S]
    plus: Tensor  # [M, 1 + L, N, S]
    minus: Tensor  # [M, 1 + L, N, S]


def paired_scores(
    generator: Generator,
    predictor: Predictor,
    codes: Tensor,
    offsets: Tensor,
    advance: Callable[[int], None] = lambda count: None,
) -> PairedScores:
    """Scores of ``codes``, and of ``codes ± offset`` on all layers together and on each layer alone.

    The layers are walked once. A perturbation of layer l leaves the layers below as they were, so
    it forks off the base activation that enters layer l and runs the layers from there on.

    Args:
        codes: layer codes ``[N, L, D]``; the largest batch that is synthesised has 2 N images.
        offsets: displacement of the codes by each perturbation, ``[M, L, D]``.
        advance: is called with a number of perturbed images whenever some have been scored.
    """
    num, num_layers = codes.shape[:2]
    signed = torch.stack([offsets, -offsets], dim=1)  # [M, 2, L, D]

    def fork(first: int, activation: Activation, moves: Tensor) -> Tensor:
        """Runs the layers from ``first`` on with moved codes; moves ``[M, 2, L, D]`` → ``[M, 2, N, S]``."""
        scores = []
        for move in moves:  # [2, L, D]
            moved = (codes + move[:, None]).flatten(0, 1)  # [2 N, L, D]
            scores.append(_run(generator, predictor, first, _twice(activation), moved).unflatten(0, (2, num)))
            advance(2 * num)
        return torch.stack(scores)

    activation = generator.start(num)
    rows = [fork(0, activation, signed)]
    for layer in range(num_layers):
        alone = torch.zeros_like(signed)
        alone[:, :, layer] = signed[:, :, layer]
        rows.append(fork(layer, activation, alone))
        activation = generator.layer(layer, activation, codes[:, layer])
    base = score(predictor, generator.image(activation))
    plus, minus = torch.stack(rows, dim=1).unbind(dim=2)  # [M, 1 + L, N, S] each
    return PairedScores(base, plus, minus)


def paired_scores_of_latents(
    generator: Generator,
    predictor: Predictor,
    z: Tensor,
    offsets: Tensor,
    to_codes: Callable[[Tensor], Tensor],
    advance: Callable[[int], None] = lambda count: None,
) -> PairedScores:
    """The same for perturbations of the latents: they are mapped anew, so that all layers move together.

    Args:
        z: latents ``[N, latent_dim]``.
        offsets: ``[M, latent_dim]``.
        to_codes: latents → layer codes ``[N, L, D]``, truncated as the run asks.

    Returns:
        Paired scores with one set of layers, row 0: all of them.
    """

    def scores(latents: Tensor) -> Tensor:
        return score(predictor, generator.synthesize(to_codes(latents)))

    moved = []
    for offset in offsets:
        moved.append(scores(torch.cat([z + offset, z - offset])).unflatten(0, (2, len(z))))
        advance(2 * len(z))
    plus, minus = torch.stack(moved).unsqueeze(1).unbind(dim=2)  # [M, 1, N, S] each
    return PairedScores(scores(z), plus, minus)


def strengths(
    space: Space, num_layers: int, truncation_psi: float = 1.0, truncation_layers: int | None = None
) -> Tensor:
    """How far each layer's code moves per unit of step: float64 ``[num_layers]``.

    A step in ``w`` is shortened by the truncation like ``w`` itself; a boundary that was fitted to the
    layer codes lives where the codes are truncated already.
    """
    strength = torch.ones(num_layers, dtype=torch.float64)
    if space == "w":
        strength[:truncation_layers] = truncation_psi
    return strength


def offset(normal: Any, layers: Sequence[int], step: float, strength: Tensor, like: Tensor) -> Tensor:
    """The displacement ``step · strength_l · normal`` on ``layers``, and 0 elsewhere: ``[L, D]``.

    Args:
        normal: ``[D]``, the same for every layer, or ``[L, D]``.
        strength: ``[L]``, from ``strengths``.
        like: a tensor whose device and dtype the result gets.
    """
    moves = torch.as_tensor(normal, dtype=torch.float64) * strength[:, None] * step  # [L, D]
    chosen = torch.zeros(len(strength), 1, dtype=torch.float64)
    chosen[list(layers)] = 1.0
    return (moves * chosen).to(like)


def score(predictor: Predictor, images: Tensor) -> Tensor:
    """Images ``[N, 3, H, W]`` → scores ``[N, S]``.

    Raises:
        ValueError: when the predictor gives another shape.
    """
    scores: Tensor = predictor(images)
    if scores.shape != (len(images), predictor.num_semantics):
        raise ValueError(
            f"the predictor gave scores of shape {tuple(scores.shape)} for {len(images)} images, expected "
            f"[{len(images)}, {predictor.num_semantics}]: one column for each of its semantics"
        )
    return scores


def as_codes(codes: Any, generator: Generator) -> Tensor:
    """Layer codes from torch, NumPy or CuPy → a tensor ``[N, L, D]`` as the generator wants it.

    Raises:
        ValueError: when the shape is not the generator's or a code is not finite.
    """
    tensor = torch.as_tensor(codes).to(next(generator.parameters()))
    if tensor.ndim != 3 or tensor.shape[1:] != (generator.num_layers, generator.code_dim):
        raise ValueError(
            f"codes: got shape {tuple(tensor.shape)}, expected [N, {generator.num_layers}, "
            f"{generator.code_dim}]; take samples.codes or generator.map(z)"
        )
    broken = (~tensor.isfinite()).flatten(1).any(dim=1).nonzero()
    if len(broken):
        raise ValueError(f"codes: sample {int(broken[0])} has a code that is not finite (NaN or infinite)")
    return tensor


def prepare(generator: Generator, predictor: Predictor | None = None) -> None:
    """Puts the networks into evaluation mode: batch statistics or dropout would make scores random."""
    generator.eval()
    if predictor is not None:
        predictor.eval()


def _run(
    generator: Generator, predictor: Predictor, first: int, activation: Activation, codes: Tensor
) -> Tensor:
    for layer in range(first, generator.num_layers):
        activation = generator.layer(layer, activation, codes[:, layer])
    return score(predictor, generator.image(activation))


def _twice(activation: Activation) -> Activation:
    features, rgb = activation
    return Activation(torch.cat([features, features]), None if rgb is None else torch.cat([rgb, rgb]))
