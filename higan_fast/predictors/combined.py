"""Several predictors as one, and levels that replace those which a predictor gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from higan_fast.image_shapes import with_channels
from higan_fast.predictors.base import WITHOUT_GRADIENT, Level, Predictor, Semantic
from higan_fast.predictors.outputs import as_scores
from higan_fast.wording import in_words


class CombinedPredictor(Predictor):
    """The scores of several predictors beside each other.

    Ranges and logits are those of the parts, and so are gradients: where a part's scores carry none, asking
    for one is a ValueError, and not 0.

    Args:
        parts: the predictors.
        semantics: names and levels of all columns, where they are others than the parts'.

    Raises:
        ValueError: when two columns have the same name.
    """

    channels = None  # each part gets its own

    def __init__(self, parts: Sequence[Predictor], semantics: Sequence[Semantic] | None = None) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleList(parts)
        own = [semantic for part in parts for semantic in part.semantics]
        self.semantics = tuple(own if semantics is None else semantics)
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise ValueError(
                f"semantics: two of the predictors score {in_words(twice[0])}, and names must differ; "
                "leave one of them out, or give its columns other names (--names)"
            )

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        return tuple(score_range for part in self._predictors() for score_range in part.score_ranges)

    @property
    def has_logits(self) -> tuple[bool, ...]:
        return tuple(has for part in self._predictors() for has in part.has_logits)

    def forward(self, images: Tensor) -> Tensor:
        return self._each(images, lambda part: part)

    def logits(self, images: Tensor) -> Tensor:
        """As ``forward``, but log-odds of the semantics that ``has_logits`` names."""
        return self._each(images, lambda part: part.logits if any(part.has_logits) else part)

    def _each(self, images: Tensor, scorer: Callable[[Predictor], Callable[[Tensor], Any]]) -> Tensor:
        columns = []
        for part in self._predictors():
            own = with_channels(
                images.clone(), part.channels
            )  # a function may change in place what it is given
            scores = as_scores(scorer(part)(own), part.names, images)
            if torch.is_grad_enabled() and images.requires_grad and not scores.requires_grad:
                scores = _WithoutGradient.apply(scores, images, part.names[0])
            columns.append(scores)
        return torch.cat(columns, dim=1)

    def _predictors(self) -> list[Predictor]:
        return [part for part in self.parts if isinstance(part, Predictor)]


def combined(parts: Sequence[Predictor], labels: Sequence[str]) -> Predictor:
    """Several predictors as one; a single one as it is.

    A name that two of them use becomes ``label.name`` in each: ``scenes.saturation``, ``color.saturation``.

    Args:
        parts: at least one.
        labels: a short word for each.

    Raises:
        ValueError: when two have the same label and a semantic of the same name.
    """
    if len(parts) == 1:
        return parts[0]
    used = Counter(name for part in parts for name in part.names)
    semantics = [
        replace(semantic, name=f"{label}.{semantic.name}") if used[semantic.name] > 1 else semantic
        for part, label in zip(parts, labels, strict=True)
        for semantic in part.semantics
    ]
    return CombinedPredictor(parts, semantics)


def with_levels(predictor: Predictor, levels: Mapping[str, Level]) -> Predictor:
    """The predictor with other levels for some of its semantics; itself where none changes.

    Raises:
        ValueError: when a name is none of its semantics, or a level none of the four.
    """
    if not isinstance(levels, Mapping):
        raise ValueError(f'levels (--levels): got {in_words(levels)}, expected such as {{"bed": "object"}}')
    strange = [name for name in levels if name not in predictor.names]
    if strange:
        raise ValueError(
            f"levels (--levels): got one for {in_words(strange[0])}, expected names of its semantics: "
            f"{', '.join(predictor.names)}"
        )
    semantics = tuple(Semantic(name, levels.get(name, level)) for name, level in _pairs(predictor))
    if semantics == predictor.semantics:
        return predictor
    parts = predictor._predictors() if isinstance(predictor, CombinedPredictor) else [predictor]
    return CombinedPredictor(parts, semantics)


def _pairs(predictor: Predictor) -> list[tuple[str, Level]]:
    return [(semantic.name, semantic.level) for semantic in predictor.semantics]


class _WithoutGradient(torch.autograd.Function):
    """Scores that carry no gradient, which is an error for whoever asks for theirs."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, images: Tensor, name: str) -> Tensor:
        ctx.name = name
        return scores.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        if gradient.any():
            raise ValueError(
                f"predictor: its score of {in_words(ctx.name)} carries no gradient back to the codes; "
                f"{WITHOUT_GRADIENT}"
            )
        return None, None, None
