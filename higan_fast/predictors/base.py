"""What scores images: any network from images to one number per named semantic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Level = Literal["layout", "object", "attribute", "color"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Semantic:
    """A named thing that a predictor scores, on one of HiGAN's four levels."""

    name: str
    level: Level


class Predictor(torch.nn.Module):
    """Images → scores. Subclasses set ``semantics`` and implement ``forward``.

    Attributes:
        semantics: what column *j* of the scores means.
    """

    semantics: tuple[Semantic, ...]

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        """Between what each score always lies, such as 0 and 1 for a probability; None: not known.

        Where it is known, a verification that stops by itself keeps its promise for every distribution of
        the scores, rare jumps among them.
        """
        return (None,) * self.num_semantics

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(semantic.name for semantic in self.semantics)

    @property
    def num_semantics(self) -> int:
        return len(self.semantics)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, 3, H, W]`` in [-1, 1] → scores ``[N, num_semantics]``."""
        raise NotImplementedError


class ModulePredictor(Predictor):
    """Any ``nn.Module`` (or callable) that maps images in [-1, 1] to ``[N, num_semantics]``.

    Args:
        module: the network.
        semantics: a name for each column of its output, or ``Semantic`` objects that also carry a
            level; plain names count as attributes.
        score_range: between what all scores always lie; None: not known.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        semantics: Sequence[str | Semantic],
        score_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.module, self.score_range = module, score_range
        self.semantics = tuple(
            semantic if isinstance(semantic, Semantic) else Semantic(semantic, "attribute")
            for semantic in semantics
        )
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"semantics: names must differ from each other, got {list(self.names)}")

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        return (self.score_range,) * self.num_semantics

    def forward(self, images: Tensor) -> Tensor:
        scores = self.module(images)
        if scores.ndim != 2 or scores.shape[1] != self.num_semantics:
            raise ValueError(
                f"the predictor gave scores of shape {tuple(scores.shape)}, expected "
                f"[N, {self.num_semantics}]: one column for each of {list(self.names)}"
            )
        return scores
