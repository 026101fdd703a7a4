"""From whatever names or is a predictor, or several of them, to one that is ready to score."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from higan_fast.devices import usable_device
from higan_fast.predictors.base import Level, ModulePredictor, Predictor, Semantic, described
from higan_fast.predictors.combined import combined, with_levels
from higan_fast.predictors.kinds import KINDS, kind_of, label_of
from higan_fast.wording import in_words

Named = str | Path | Predictor | Callable[[torch.Tensor], Any]

OF_MODULES = ("names", "score_range", "channels")  # what a module or a function takes
# Words for what load_predictor has given; no attributes, which fingerprints would see.
_LABELS: WeakKeyDictionary[Predictor, str] = WeakKeyDictionary()
ARGUMENTS = {"names": "semantics (--names)", "score_range": "score_range"}


def _several(*kinds: type) -> Callable[[Any], bool]:
    """Whether a value holds several of some kinds, as a list does, and a text does not."""

    def fits(value: Any) -> bool:
        listed = isinstance(value, Collection) and not isinstance(value, str | bytes)
        return listed and all(isinstance(one, kinds) for one in value)

    return fits


def _in_pairs(value: Any) -> bool:
    each = value.values() if isinstance(value, Mapping) else [value]
    return all(pair is None or _several(Real)(pair) for pair in each)


def _named(value: Any) -> bool:
    return isinstance(value, str) or _several(str)(value)


NAMES = "a list of names, such as ['bed', 'lamp']", _named
# What options are, in words, and whether a value is that; what it may be, each predictor says itself.
EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "names": (
        "a name, or a list of names or Semantics",
        lambda value: isinstance(value, str | Semantic) or _several(object)(value),
    ),
    "score_range": ("(low, high), or such a pair for each of some names", _in_pairs),
    "classes": NAMES,
    "measures": NAMES,
    "templates": ("a list of prompts, such as ['a photo of {}']", _several(str)),
    "clip_model": ("the name of an architecture, or a file", lambda value: isinstance(value, str | Path)),
    "clip_weights": ("a tag, or a file", lambda value: isinstance(value, str | Path)),
}


def load_predictor(
    predictor: Named | Sequence[Named],
    semantics: str | Semantic | Sequence[str | Semantic] | None = None,
    device: str | torch.device = "cpu",
    *,
    identity: str | None = None,
    score_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
    levels: Mapping[str, Level] | None = None,
    channels: int | None = None,
    **options: Any,
) -> Predictor:
    """A predictor, ready to score: in evaluation mode, on ``device``.

    Args:
        predictor: ``"scenes"``, the embedded predictor of rooms; ``"color"``; a file or ``"kind:argument"``
            of any kind that ``higan-fast predictors`` lists; or any ``nn.Module`` or function from images
            ``[N, 3, H, W]`` (see ``channels``) in [-1, 1] to scores ``[N, num_semantics]``: a tensor, a NumPy
            array, a dict with a key for each semantic, or an output with ``logits``. A list of these scores
            all of theirs: a name that two of them use becomes ``scenes.saturation`` and ``color.saturation``.
        semantics: with a module, a function, or a file that has no names: a name for each column of its
            scores, or the keys of its dict.
        device: where it runs; "auto": on a CUDA device where there is one. A function takes care of
            its networks itself.
        identity: a name for the module's code and attributes, such as ``"beauty-2"``. Stored scores are
            reused while it and the weights stay the same. None: its code and attributes decide, as far as
            they can be seen. Give one where they cannot, as in a compiled runtime, or where they change
            without changing the scores.
        score_range: with a module or a function: between what its scores always lie, such as (0, 1), or such
            a pair for each of some names. Intervals of a verification then hold for every distribution.
        levels: a level for each of some names, such as ``{"bed": "object"}``, in place of its own.
        channels: with a module, a function or a network from a file: how many its images have; None: what
            an ONNX file says, else 3. For three, gray images are repeated, and RGBA ones laid over white;
            images of more need a predictor that takes as many, or ``load_generator(..., bands=...)``.
        options: what some kinds take besides, as ``higan-fast predictors`` says. In a list they hold for
            every one that takes them; load one by itself to give it others.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when a module comes without names or cannot be called, a file holds no predictor, nothing
            takes an option, or there is no such device.
        TypeError: when an option is of a type that no predictor takes.
    """
    several = list(predictor) if isinstance(predictor, list | tuple) else [predictor]
    if not several:
        raise ValueError("predictor: got an empty list, expected at least one")
    given = {"names": semantics, "score_range": score_range, "channels": channels, **options}
    given = {name: value for name, value in given.items() if value is not None}
    _check_taken(several, given)
    _check_types(given)
    parts, labels = [_loaded(one, given) for one in several], [_label(one) for one in several]
    found = ready(combined(parts, labels), levels or {}, device, identity)
    if len(several) == 1:
        _LABELS[found] = labels[0]
    return found


def ready(
    predictor: Predictor,
    levels: Mapping[str, Level],
    device: str | torch.device,
    identity: str | None = None,
) -> Predictor:
    """A predictor with these levels and this identity, in evaluation mode on its device."""
    loaded = with_levels(predictor, levels)
    if identity is not None:
        loaded.identity = identity
    return loaded.eval().to(usable_device(device))


def options_of(predictor: Any) -> tuple[str, ...]:
    """The options that something which names or is a predictor takes."""
    if isinstance(predictor, Predictor):
        return ()
    return kind_of(str(predictor))[0].options if isinstance(predictor, str | Path) else OF_MODULES


def option_name(name: str) -> str:
    """What a message calls an option: ``"input_size (--input-size)"``."""
    return ARGUMENTS.get(name, f"{name} (--{name.replace('_', '-')})")


def _loaded(predictor: Any, given: Mapping[str, Any]) -> Predictor:
    if isinstance(predictor, Predictor):
        return predictor
    taken = {name: given[name] for name in options_of(predictor) if name in given}
    if isinstance(predictor, str | Path):
        kind, argument = kind_of(str(predictor))
        return kind.read(argument, taken)
    return ModulePredictor(
        predictor, taken.get("names"), taken.get("score_range"), channels=taken.get("channels")
    )


def _check_taken(several: Sequence[Any], given: Mapping[str, Any]) -> None:
    """Raises ValueError where an option is given that none of the predictors takes."""
    for name in given:
        if any(name in options_of(one) for one in several):
            continue
        known = OF_MODULES + tuple(option for kind in KINDS for option in kind.options)
        if name not in known:
            raise ValueError(f"{name}: no predictor has such an option; they have {', '.join(_each(known))}")
        first = several[0]
        what = repr(str(first)) if isinstance(first, str | Path) else described(first)
        what = what if len(several) == 1 else "each of them"
        reason = f"{what} takes none"
        if name == "names":
            own = f", {list(first.names)}" if isinstance(first, Predictor) and len(several) == 1 else ""
            reason = f"{what} has its own{own}"
        elif name == "channels":
            reason = f"{what} says itself how many channels its images have"
        elif name == "score_range":
            reason = f"{what} says itself between what its scores lie"
        raise ValueError(f"{option_name(name)}: {reason}; leave it out")


def _check_types(given: Mapping[str, Any]) -> None:
    """Raises TypeError where an option is nothing that a predictor could take."""
    for name, (expected, fits) in EXPECTED.items():
        if name in given and not fits(given[name]):
            raise TypeError(f"{option_name(name)}: got {in_words(given[name])}, expected {expected}")


def _each(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _label(predictor: Any) -> str:
    """A short word for a predictor: ``"color"``, ``"network"`` of network.onnx, ``"resnet"`` of a ResNet.

    What was loaded by a name has the word that the name itself would have.
    """
    if isinstance(predictor, str | Path):
        return label_of(str(predictor))
    if isinstance(predictor, Predictor) and predictor in _LABELS:
        return _LABELS[predictor]
    network = predictor.module if isinstance(predictor, ModulePredictor) else predictor
    name = getattr(network, "__name__", type(network).__name__)
    return (name.removesuffix("Predictor") or name).lower()
