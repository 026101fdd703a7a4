"""A network from a file as a predictor: what its images are made of, and what becomes of its output."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from torch import Tensor

from higan_fast.checks import check_choice, check_count
from higan_fast.ops import image_to_input
from higan_fast.predictors.base import Activation, ModulePredictor, Semantic, as_weights
from higan_fast.predictors.outputs import as_scores
from higan_fast.refusing import OUT_OF_MEMORY
from higan_fast.wording import in_words, printable

OPTIONS = (
    "names",
    "score_range",
    "input_size",
    "mean",
    "std",
    "activation",
    "channels",
)  # of every kind made here
AS_THEY_ARE = (0.5, 0.5, 0.5)  # mean and standard deviation that leave images in [-1, 1]


class NetworkPredictor(ModulePredictor):
    """Images → ``(resize(images in [0, 1]) − mean) / std`` → a network → an activation → scores.

    Args:
        module: the network.
        semantics: as of ``ModulePredictor``.
        origin: what messages call it: its file.
        input_size: height and width of its images, one for both or a pair; others are resized, and change
            their proportions where these differ. None: those of the generator.
        mean, std: for images in [0, 1], one for each channel or one for all; without both, images stay in
            [-1, 1].
        activation: what makes scores of its output. "sigmoid" and "softmax" make scores in [0, 1] with
            logits; "none" leaves it as it is.
        score_range: as of ``ModulePredictor``, of an output that is left as it is.
        channels: of its images; None: 3.

    Raises:
        ValueError: when an argument is not as described.
    """

    not_fingerprinted: ClassVar[tuple[str, ...]] = ("origin", *ModulePredictor.not_fingerprinted)

    def __init__(
        self,
        module: Callable[[Tensor], Any],
        semantics: str | Semantic | Sequence[str | Semantic] | None,
        origin: str,
        *,
        input_size: int | Sequence[int] | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        activation: Activation | None = None,
        score_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
        channels: int | None = None,
    ) -> None:
        if semantics is None:
            raise ValueError(
                f"semantics (--names): got none for {origin}; give a name for each column of its scores, "
                "as in --names wood,lighting"
            )
        super().__init__(module, semantics, score_range, channels=channels)
        self.origin, self.input_size = origin, _size(input_size)
        self.activation = activation or "none"
        check_choice("activation (--activation)", self.activation, get_args(Activation))
        if self.activation != "none" and score_range is not None:
            raise ValueError(f"score_range: scores of activation {activation!r} lie in (0, 1); leave it out")
        if self.activation == "softmax" and self.num_semantics == 1:
            raise ValueError(
                "activation (--activation): got 'softmax' for one score, which would always be 1; expected "
                "'sigmoid' or 'none'"
            )
        plain = mean is None and std is None
        num = channels or 3
        self.mean = AS_THEY_ARE if plain else _of_each("mean", 0.0 if mean is None else mean, num)
        self.std = AS_THEY_ARE if plain else _of_each("std", 1.0 if std is None else std, num)
        if not all(self.std):
            raise ValueError(f"std (--std): got {list(self.std)}, expected numbers that are not 0")

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        if self.activation == "none":
            return super().score_ranges
        return ((0.0, 1.0),) * self.num_semantics

    @property
    def has_logits(self) -> tuple[bool, ...]:
        return (self.activation != "none",) * self.num_semantics

    def forward(self, images: Tensor) -> Tensor:
        output = self._output(images)
        if self.activation == "none":
            return output
        return output.sigmoid() if self.activation == "sigmoid" else output.softmax(dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """As ``forward``, but log-odds where there is an activation."""
        output = self._output(images)
        return log_odds(output) if self.activation == "softmax" else output

    def raw(self, images: Tensor) -> Any:
        """Images → what the network gives of them; raises ValueError where it fails."""
        try:
            return self.module(self._input(images))
        except (Exception, SystemExit) as error:  # whatever somebody's network raises
            if _is_of_memory(error):
                raise
            height, width = sides(self.input_size) or images.shape[2:]
            hint = "" if self.input_size else "; if it wants another size, give one (--input-size)"
            hint += f"; if it takes other than {self.channels} channels, say how many (--channels)"
            size = f"{height}×{width}"
            cause = f"{type(error).__name__}: {_telling_line(error)}"
            raise ValueError(f"{self.origin}: scoring images of {size} failed ({cause}){hint}") from error

    def _output(self, images: Tensor) -> Tensor:
        """Images → the network's scores, in float32 at least where an activation follows."""
        output = self.raw(images)
        try:
            scores = as_scores(output, self.names, images)
        except ValueError as error:
            raise ValueError(f"{self.origin}: {error}") from error
        return scores if self.activation == "none" or scores.dtype == torch.float64 else scores.float()

    def _input(self, images: Tensor) -> Tensor:
        images = as_weights(images, self)
        if self.input_size is None and self.mean is AS_THEY_ARE:
            return images
        num = images.shape[1]
        mean, std = (AS_THEY_ARE[:1] * num if each is AS_THEY_ARE else each for each in (self.mean, self.std))
        return image_to_input(images, self.input_size, mean=mean, std=std)


def log_odds(output: Tensor) -> Tensor:
    """Outputs ``[N, S, ...]`` whose softmax p are the scores → log(p / (1 − p)), exact where p is next to 1.

    Of the largest p, 1 − p is the sum of the others; every other p is at most ½, where log(1 − p) is exact.
    """
    logarithm = output.log_softmax(dim=1)
    top = output.argmax(dim=1, keepdim=True)
    others = output.scatter(1, top, -torch.inf).logsumexp(dim=1, keepdim=True)
    small = logarithm.scatter(1, top, -1.0)  # any other place holder would do
    return (logarithm - torch.log1p(-small.exp())).scatter(1, top, output.gather(1, top) - others)


def sides(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width of one number for both, or a pair."""
    return (size, size) if isinstance(size, int) else size


def _size(given: Any) -> int | tuple[int, int] | None:
    """One number for height and width, where they are the same, or both."""
    if given is None:
        return None
    pair = given if isinstance(given, list | tuple) and len(given) == 2 else (given, given)
    for side in pair:
        check_count("input_size (--input-size)", side)
    height, width = pair
    return height if height == width else (height, width)


def _of_each(name: str, value: Any, num: int) -> tuple[float, ...]:
    """One number for each of ``num`` channels."""
    value = value.tolist() if isinstance(value, torch.Tensor | np.ndarray) else value
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    are_numbers = all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
    if len(numbers) not in (1, num) or not are_numbers:
        several = "three: R, G, B" if num == 3 else f"{num}, one for each channel"
        raise ValueError(f"{name} (--{name}): got {in_words(value)}, expected one number, or {several}")
    return tuple(float(number) for number in numbers) * (num if len(numbers) == 1 else 1)


def _is_of_memory(error: BaseException) -> bool:
    """Whether it is for the engine, which then takes fewer images at once."""
    of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return of_memory or any(sign in str(error) for sign in OUT_OF_MEMORY)


def _telling_line(error: BaseException) -> str:
    """The line of a message that says what is wrong: TorchScript's are a traceback, whose last one does."""
    lines = [line for line in str(error).splitlines() if line.strip()] or ["no message"]
    return printable(lines[-1] if "TorchScript" in lines[0] else lines[0])
