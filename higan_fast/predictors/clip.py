"""Any words as semantics: how much nearer an image lies to some words than to others, by a CLIP network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast.ops import image_to_input
from higan_fast.predictors.base import Predictor, Semantic, as_weights


@dataclass(frozen=True)
class Words:
    """A semantic in words.

    Attributes:
        name: what it is called.
        positive: what it is.
        negative: what it is not; empty: the score is the similarity to ``positive`` alone.
    """

    name: str
    positive: str
    negative: str = ""


class ClipPredictor(Predictor):
    """Images → cos(image, positive words) − cos(image, negative words), for each semantic.

    One pass of the image tower serves all words, whose embeddings are computed once. Nothing is multiplied by
    CLIP's temperature: the probability that its softmax gives the positive words is
    sigmoid(100 · score), with its usual factor of 100. Scores lie between −2 and 2, and between −1 and 1
    where there are no negative words.

    Args:
        image_tower: normalised images → embeddings ``[N, D]``.
        embeddings: unit vectors of the words, ``[S, 2, D]``, positive and negative; 0 for no words.
        words: of the S semantics.
        size: height and width of the tower's images.
        mean, std: of its images in [0, 1].
        bicubic: whether images are resized by cubic interpolation, as CLIP's, or linear; both antialiased.
    """

    embeddings: Tensor

    def __init__(
        self,
        image_tower: torch.nn.Module,
        embeddings: Tensor,
        words: Sequence[Words],
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        bicubic: bool = True,
    ) -> None:
        super().__init__()
        self.image_tower, self.words = image_tower, tuple(words)
        self.size, self.mean, self.std, self.bicubic = size, tuple(mean), tuple(std), bicubic
        self.semantics = tuple(Semantic(each.name, "attribute") for each in words)
        self.register_buffer("embeddings", embeddings)

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        return tuple((-2.0, 2.0) if each.negative else (-1.0, 1.0) for each in self.words)

    def forward(self, images: Tensor) -> Tensor:
        if len(images) == 0:  # which no cubic interpolation takes
            return images.new_zeros(0, len(self.words), dtype=self.embeddings.dtype)
        x = images.clamp(-1, 1)
        if self.bicubic and images.shape[2:] != (self.size, self.size):
            size = (self.size, self.size)
            x = F.interpolate(x.float(), size, mode="bicubic", antialias=True, align_corners=False)
        x = image_to_input(as_weights(x, self.image_tower), self.size, mean=self.mean, std=self.std)
        embedded = F.normalize(self.image_tower(x).float(), dim=1)
        cosines = torch.einsum("nd,skd->nsk", embedded, self.embeddings.float())  # [N, S, 2]
        return cosines[..., 0] - cosines[..., 1]


def embedded_words(model: Any, tokenizer: Any, words: Sequence[Words], templates: Sequence[str]) -> Tensor:
    """Unit vectors of words, ``[S, 2, D]``: each the normalised mean over templates of normalised embeddings.

    That is the prompt ensemble of Radford et al. 2021. Where there are no words the vector is 0.

    Args:
        model: an open_clip model, with ``encode_text``.
        tokenizer: texts → tokens.
        templates: prompts, in which ``{}`` stands for the words.
    """
    texts = list(dict.fromkeys(text for each in words for text in (each.positive, each.negative) if text))
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        for text in texts:
            prompts = tokenizer([template.replace("{}", text) for template in templates])
            each_prompt = F.normalize(model.encode_text(prompts).float(), dim=1)
            found[text] = F.normalize(each_prompt.mean(dim=0), dim=0)
    nothing = torch.zeros_like(next(iter(found.values())))
    pairs = [[found.get(text, nothing) for text in (each.positive, each.negative)] for each in words]
    return torch.stack([torch.stack(pair) for pair in pairs])
