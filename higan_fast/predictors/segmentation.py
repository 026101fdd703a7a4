"""Any network that says of each pixel what it shows → how much of each class there is, whether, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from higan_fast.checks import check_choice
from higan_fast.predictors.base import Activation, Predictor, Semantic
from higan_fast.predictors.network import log_odds
from higan_fast.wording import in_words

Measure = Literal["share", "presence", "position"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
RANGES: dict[Measure, tuple[float, float]] = {
    "share": (0.0, 1.0),
    "presence": (0.0, 1.0),
    "position": (-1.0, 1.0),
}
MOST_CLASSES = 30  # that become semantics unasked; of ADE20K's, all others show in less than 0.5 % of pixels
SPOT = 1 / 1000  # of the map's pixels: how many decide whether a class is present
SURFACES = ("wall", "floor", "ceiling")  # how much is seen of them says how the camera stands
MAPS = ("out", "logits")  # keys under which torchvision and transformers give them
TINY = 1e-30  # of a class's mass, far below what float32 adds to anything
SURE = 1e-6  # of probabilities that are given as such: nearer to 0 and 1, float32 has no digits left


class SegmentationPredictor(Predictor):
    """Images → share, presence and position of each chosen class, all differentiable.

    With ``p`` the probability of a class, over the h·w pixels of its map:

    - ``share``, in [0, 1]: the mean of p, which is the share of the image that shows the class.
    - ``presence``, in [0, 1]: the sigmoid of the mean log-odds, log(p / (1 − p)), of the h·w / 1000 pixels
      (at least one) where it is likeliest. It nears 1 where a few pixels surely show the class, however small
      it is; a lone wrong pixel does not do that.
    - ``position``, in [-1, 1]: presence · Σ p·x / Σ p, with x from -1 at the left edge to 1 at the right. It
      is the centre of mass where the class is present, and shrinks to 0 with its presence, where there is
      none; a class that appears on one side therefore moves it, too.

    A semantic is called ``sofa_share``. Shares and presences are objects, positions layout, and so is all of
    wall, floor and ceiling. Maps are taken in float32, whatever the network computes in.

    Args:
        network: from images ``[N, 3, H, W]`` in [-1, 1] to logits ``[N, K, h, w]``, or a dict or output that
            has them as ``out`` (torchvision) or ``logits`` (transformers).
        classes: names of the K maps, such as ``ADE20K``.
        chosen: names of those that become semantics; None: all, or the first 30 of more.
        measures: which of the three; None: all, but of wall, floor and ceiling, which rooms always show, the
            share alone.
        activation: what makes probabilities of the maps: "softmax", where each pixel shows one class;
            "sigmoid", where each class has its own yes or no; "none", where they are some.
        origin: what messages call the network.
        channels: of the images that the network takes; None: 3.

    Raises:
        ValueError: when names repeat or are none, or something chosen is not there.
    """

    not_fingerprinted: ClassVar[tuple[str, ...]] = ("origin",)

    is_presence: Tensor
    map_of: Tensor

    def __init__(
        self,
        network: Callable[[Tensor], Any],
        classes: Sequence[str],
        chosen: str | Sequence[str] | None = None,
        measures: str | Sequence[str] | None = None,
        activation: Activation = "softmax",
        origin: str = "the network",
        channels: int | None = None,
    ) -> None:
        super().__init__()
        if channels is not None:
            self.channels = channels
        check_choice("activation (--activation)", activation, get_args(Activation))
        self.network, self.activation, self.origin = network, activation, origin
        self.classes = _distinct("names (--names)", classes)
        if activation == "softmax" and len(self.classes) < 2:
            raise ValueError(
                f"names (--names): got {len(self.classes)}, expected one for each map, at least 2; of a "
                'single map, activation "sigmoid" makes probabilities'
            )
        self.chosen = (
            _among("classes (--classes)", chosen, self.classes)
            if chosen is not None
            else self.classes[:MOST_CLASSES]
        )
        listed = MEASURES if measures is None else _among("measures (--measures)", measures, MEASURES)
        self.columns: tuple[tuple[str, Measure], ...] = tuple(
            (name, measure)
            for name in self.chosen
            for measure in listed
            if measures is not None or name not in SURFACES or measure == "share"
        )
        self.semantics = tuple(
            Semantic(f"{name.replace(' ', '_')}_{measure}", _level(name, measure))
            for name, measure in self.columns
        )
        is_presence = torch.tensor([measure == "presence" for _, measure in self.columns])
        self.register_buffer("is_presence", is_presence, persistent=False)
        map_of = torch.tensor([self.classes.index(name) for name in self.chosen])  # [C]
        self.register_buffer("map_of", map_of, persistent=False)

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        return tuple(RANGES[measure] for _, measure in self.columns)

    @property
    def has_logits(self) -> tuple[bool, ...]:
        return tuple(measure == "presence" for _, measure in self.columns)

    def maps(self, images: Tensor) -> Tensor:
        """Images → the network's maps of all classes, in float32, ``[N, K, h, w]``."""
        return _maps(self.network(images), len(images), self.classes, self.origin).float()

    def logits(self, images: Tensor) -> Tensor:
        """As ``forward``, but log-odds of presences ``[N, num_semantics]``."""
        p, odds = self._probabilities(self.maps(images))  # [N, C, h, w] each
        odds = odds.flatten(2)  # [N, C, h·w]
        present = odds.topk(max(1, round(SPOT * odds.shape[2])), dim=2).values.mean(2)  # [N, C]
        across = p.mean(2)  # [N, C, w]
        width = across.shape[2]
        place = (2 * torch.arange(width, device=p.device) + 1) / width - 1  # [w]
        share = across.mean(2)
        centre = (across * place).mean(2) / share.clamp(min=TINY)
        found = {"share": share, "presence": present, "position": present.sigmoid() * centre}  # [N, C] each
        return torch.stack(
            [found[measure][:, self.chosen.index(name)] for name, measure in self.columns], dim=1
        )

    def forward(self, images: Tensor) -> Tensor:
        logits = self.logits(images)
        return torch.where(self.is_presence, logits.sigmoid(), logits)

    def _probabilities(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps ``[N, K, h, w]`` → probabilities and log-odds of the C chosen classes."""
        if self.activation == "softmax":
            p, odds = maps.softmax(1), log_odds(maps)
            return p.index_select(1, self.map_of), odds.index_select(1, self.map_of)
        maps = maps.index_select(1, self.map_of)
        return (maps.sigmoid(), maps) if self.activation == "sigmoid" else (maps, maps.logit(SURE))


def _maps(output: Any, num: int, classes: Sequence[str], origin: str) -> Tensor:
    """What a network gave for ``num`` images → its maps; raises ValueError where these are others."""
    if isinstance(output, Mapping):
        key = next((key for key in MAPS if key in output), None)
        if key is None:
            raise ValueError(
                f"{origin} gave a dict with the keys {in_words(list(output)[:7])}, expected 'out' or "
                "'logits'; take the maps out of it: SegmentationPredictor(lambda images: "
                "network(images)['maps'], names)"
            )
        output = output[key]
    elif not isinstance(output, Tensor):
        output = next((getattr(output, key) for key in MAPS if hasattr(output, key)), output)
    if not isinstance(output, Tensor):
        kind = type(output)
        raise ValueError(
            f"{origin} gave a {kind.__module__}.{kind.__name__}, expected a tensor of maps "
            f"[{num}, {len(classes)}, h, w], or a dict or an output with 'out' or 'logits'"
        )
    if output.ndim != 4 or output.shape[:2] != (num, len(classes)):
        raise ValueError(
            f"{origin} gave maps of shape {list(output.shape)} for {num} images and {len(classes)} "
            f"names, expected [{num}, {len(classes)}, h, w]: one map for each name"
        )
    return output


def _level(name: str, measure: str) -> Literal["layout", "object"]:
    return "layout" if measure == "position" or name in SURFACES else "object"


def _distinct(argument: str, names: str | Sequence[str]) -> tuple[str, ...]:
    listed = (names,) if isinstance(names, str) else tuple(names)
    if not all(isinstance(name, str) for name in listed):
        raise ValueError(f"{argument}: got {in_words(listed)}, expected names")
    twice = next((name for name in listed if listed.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{argument}: got {in_words(twice)} twice, expected names that differ")
    return listed


def _among(argument: str, chosen: str | Sequence[str], known: Sequence[str]) -> tuple[Any, ...]:
    listed = _distinct(argument, chosen)
    strange = [name for name in listed if name not in known]
    if strange or not listed:
        got = in_words(strange[0]) if strange else "none"
        raise ValueError(f"{argument}: got {got}, expected some of {', '.join(known)}")
    return listed
