"""Gradients of scores with respect to the codes, through the predictor and the generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from higan_fast.engine.budget import is_out_of_memory
from higan_fast.engine.precision import scoring_in, synthesis_in
from higan_fast.engine.scoring import score
from higan_fast.files import first_line
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import WITHOUT_GRADIENT, Predictor


def score_gradients(
    generator: Generator,
    predictor: Predictor,
    inputs: Tensor,
    columns: Sequence[int],
    to_codes: Callable[[Tensor], Tensor] = lambda codes: codes,
) -> Tensor:
    """The gradient of some scores of each sample with respect to its input, in the precision "exact".

    One pass forth for all scores, and one back for each. All activations are kept until then, so a few
    samples at once are enough; where memory runs out, half of them go at a time. Both networks must be in
    evaluation mode, and the gradients of their parameters stay as they are.

    Args:
        inputs: ``[n, ...]``.
        columns: which C of the scores.
        to_codes: inputs → layer codes ``[n, L, D]``, each sample by itself; without it, inputs are codes.

    Returns:
        ``[C, n, ...]``; 0 for a score that does not depend on the codes.

    Raises:
        ValueError: when the scores carry no gradient, or one is not finite.
        RuntimeError: when there is not enough memory for one sample.
    """
    try:
        return _gradients(generator, predictor, inputs, columns, to_codes)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise ValueError(
                f"predictor: its scores cannot be differentiated ({first_line(error)})"
            ) from error
        if len(inputs) == 1:
            raise RuntimeError(
                "there is not enough memory for the gradient of one image; free some"
            ) from error
    halves = inputs.tensor_split(2)
    found = [score_gradients(generator, predictor, half, columns, to_codes) for half in halves]
    return torch.cat(found, dim=1)


@torch.inference_mode(False)
@torch.enable_grad()
def _gradients(
    generator: Generator,
    predictor: Predictor,
    inputs: Tensor,
    columns: Sequence[int],
    to_codes: Callable[[Tensor], Tensor],
) -> Tensor:
    leaf = inputs.detach().clone().requires_grad_()
    with synthesis_in(generator, None):
        images = generator.synthesize(to_codes(leaf))
        if not images.requires_grad:
            raise ValueError("generator: its images carry no gradient back to the codes")
        with scoring_in(generator.device, None):
            scores = score(predictor, images)  # [n, S]
        if not scores.requires_grad:
            raise ValueError(f"predictor: its scores carry no gradient back to the codes; {WITHOUT_GRADIENT}")
        found = []
        for index, column in enumerate(columns):
            more = index + 1 < len(columns)
            of_all = scores[:, column].sum()
            (gradient,) = torch.autograd.grad(of_all, leaf, retain_graph=more, materialize_grads=True)
            if not gradient.isfinite().all():
                name = predictor.names[column]
                raise ValueError(f"scores: the gradient of semantic {name!r} is NaN or infinite")
            found.append(gradient)
    return torch.stack(found)
