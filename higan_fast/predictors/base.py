"""What scores images: any network from images to one number per named semantic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from higan_fast.checks import check_count
from higan_fast.predictors.outputs import as_scores
from higan_fast.wording import in_words, printable

Level = Literal["layout", "object", "attribute", "color"]
LEVELS: tuple[Level, ...] = get_args(Level)
Activation = Literal["sigmoid", "softmax", "none"]

# What to do where a scorer runs outside torch, or cannot be differentiated.
WITHOUT_GRADIENT = "take a method that asks for none (--boundary logistic), and --screening 0"


@dataclass(frozen=True)
class Semantic:
    """A named thing that a predictor scores, on one of HiGAN's four levels.

    The order of levels is HiGAN's, that of ``LEVELS``; a verification tests it, and no other.

    Raises:
        ValueError: if the name is no printable text of at most 200 characters, or the level is another.
    """

    name: str
    level: Level

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or printable(self.name) != self.name:
            got = in_words(self.name)
            raise ValueError(f"name of a semantic: got {got}, expected printable text, up to 200 characters")
        if self.level not in LEVELS:
            raise ValueError(
                f"level of {self.name!r}: got {self.level!r}, expected one of {', '.join(LEVELS)}"
            )


class Predictor(torch.nn.Module):
    """Images → scores. Subclasses set ``semantics`` and implement ``forward``.

    Attributes:
        semantics: what column *j* of the scores means.
        channels: of the images that it takes; others become these before it sees them (gray is repeated, what
            has alpha is laid over white) or are refused. None: it takes any, as the generator draws them.
        identity: a name that stands for code and attributes where stored results ask whether they were
            scored by the same network; None: what can be seen of both stands for them.
        not_fingerprinted: attributes of a module that decide no score, such as a count of its calls; every
            module within may have its own.
        runs_outside_torch: whether it runs where torch does not see it, so that no CUDA graph can record it;
            every module within may say so.
    """

    semantics: tuple[Semantic, ...]
    channels: int | None = 3
    identity: str | None = None
    not_fingerprinted: ClassVar[tuple[str, ...]] = ()
    runs_outside_torch: ClassVar[bool] = False

    def __getattr__(self, name: str) -> Any:
        """Says what to write where a subclass has no ``semantics``."""
        if name == "semantics":  # no AttributeError: within a property, that would blame the property
            raise TypeError(
                f"predictor: {type(self).__name__} has no semantics; in its __init__ write "
                'self.semantics = (Semantic("wood", "attribute"), ...), one for each column of its scores'
            )
        return super().__getattr__(name)

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        """Between what each score always lies, such as 0 and 1 for a probability; None: not known.

        Where it is known, a verification that stops by itself keeps its promise for every distribution of
        the scores, rare jumps among them.
        """
        return (None,) * self.num_semantics

    @property
    def has_logits(self) -> tuple[bool, ...]:
        """Which scores are the sigmoid of what ``logits`` gives; effects on these are reported in both."""
        return (False,) * self.num_semantics

    def logits(self, images: Tensor) -> Tensor:
        """As ``forward``, but log-odds of the semantics that ``has_logits`` names."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(semantic.name for semantic in self.semantics)

    @property
    def num_semantics(self) -> int:
        return len(self.semantics)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, channels, H, W]`` in [-1, 1] → scores ``[N, num_semantics]``."""
        raise NotImplementedError


class LogitsOf(Predictor):
    """Gives what another predictor's ``logits`` does, from which its scores follow.

    Attributes:
        predictor: the other one, whose semantics these are.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor, self.semantics = predictor, predictor.semantics
        self.channels = predictor.channels

    def forward(self, images: Tensor) -> Tensor:
        return self.predictor.logits(images)


class ModulePredictor(Predictor):
    """Any ``nn.Module`` or function that maps images in [-1, 1] to ``[N, num_semantics]``.

    Args:
        module: the network. A function takes care itself of the networks that it calls: they stay on their
            device and in their mode.
        semantics: a name for each column of its output, or ``Semantic`` objects that also carry a
            level; plain names count as attributes. Where the output is a dict, its keys.
        score_range: between what all scores always lie, (low, high), or such a pair for each of some names;
            None: not known.
        identity: see ``Predictor``.
        channels: of the images that it takes; None: 3.

    Raises:
        ValueError: when ``semantics`` are no names, or ``module`` cannot be called with images.
    """

    # A promise about the scores, which it does not change.
    not_fingerprinted: ClassVar[tuple[str, ...]] = ("score_range",)

    def __init__(
        self,
        module: Callable[[Tensor], Any],
        semantics: str | Semantic | Sequence[str | Semantic] | None,
        score_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
        identity: str | None = None,
        channels: int | None = None,
    ) -> None:
        super().__init__()
        if channels is not None:  # where it is not given, fingerprints are what they were before there was it
            check_count("channels (--channels)", channels)
            self.channels = channels
        self.module, self.score_range, self.identity = _callable(module), score_range, identity
        self.semantics = _semantics(semantics)
        by_name: Mapping[str, Any] = score_range if isinstance(score_range, Mapping) else {}
        strange = [name for name in by_name if name not in self.names]
        if strange:
            raise ValueError(
                f"score_range: got one for {in_words(strange[0])}, expected names of the semantics: "
                f"{', '.join(self.names)}"
            )
        given: list[Any] = list(by_name.values()) if isinstance(score_range, Mapping) else [score_range]
        for ends in given:
            if ends is not None and not (len(ends) == 2 and ends[0] < ends[1]):
                raise ValueError(
                    f"score_range: got {in_words(ends)}, expected (low, high) between which scores always lie"
                )

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        if isinstance(self.score_range, Mapping):
            return tuple(self.score_range.get(name) for name in self.names)
        return (self.score_range,) * self.num_semantics

    def forward(self, images: Tensor) -> Tensor:
        return as_scores(self.module(images), self.names, images)


def as_weights(images: Tensor, network: torch.nn.Module) -> Tensor:
    """Returns images in the type of a network's weights; as they are where torch chooses types (autocast)."""
    weights = next((each for each in network.parameters() if each.is_floating_point()), None)
    if weights is None or torch.is_autocast_enabled(images.device.type):
        return images
    return images.to(weights.dtype)


def check_predictor(predictor: object) -> None:
    """Raises a TypeError, which says what to write, when this is no ``Predictor`` yet."""
    if isinstance(predictor, str):
        raise TypeError(f"predictor: got {predictor!r}; write higan_fast.load_predictor({predictor!r})")
    if not isinstance(predictor, Predictor):
        raise TypeError(
            f"predictor: got {described(predictor)}, expected what load_predictor gives: write "
            "higan_fast.load_predictor(it, names), with a name for each column of its scores"
        )


def described(value: object) -> str:
    """What a message says of something that may be anything: ``"a function"``, ``"a ResNet"``."""
    return f"a {type(value).__name__}"


def _callable(module: Any) -> Callable[[Tensor], Any]:
    if callable(module) and not isinstance(module, type):
        return module
    if isinstance(module, type):
        raise ValueError(
            f"predictor: got the class {module.__name__}, expected a network or a function; "
            f"make one of it: load_predictor({module.__name__}(...), names)"
        )
    methods = [name for name in ("decision_function", "predict_proba", "predict") if hasattr(module, name)]
    if methods:  # scikit-learn and its like
        raise ValueError(
            f"predictor: got {described(module)}, whose {methods[0]} takes rows of numbers, expected a "
            "function of images; write "
            f"load_predictor(lambda images: model.{methods[0]}(features(images)), names)"
        )
    raise ValueError(f"predictor: got {described(module)}, expected an nn.Module or a function of images")


def _semantics(semantics: Any) -> tuple[Semantic, ...]:
    listed = [semantics] if isinstance(semantics, str | Semantic) else semantics
    example = 'a name for each column of the scores, as in load_predictor(network, ["wood", "lighting"])'
    if listed is None:
        raise ValueError(f"semantics: got None, expected {example}; of a dict, its keys")
    wrong = [entry for entry in listed if not isinstance(entry, str | Semantic)]
    if wrong or not listed:
        got = f"{wrong[0]!r} among them" if wrong else "none"
        raise ValueError(f"semantics: got {got}, expected {example}, or Semantic(name, level)")
    found = tuple(entry if isinstance(entry, Semantic) else Semantic(entry, "attribute") for entry in listed)
    names = [semantic.name for semantic in found]
    if len(set(names)) != len(names):
        raise ValueError(f"semantics: names must differ from each other, got {names}")
    return found
