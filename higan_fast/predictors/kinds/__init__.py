"""The kinds of predictors: every module of this folder is one, and says all of it in its ``KIND``."""

from __future__ import annotations

import os
import pkgutil
from importlib import import_module
from pathlib import Path

from higan_fast.predictors.kind import Kind
from higan_fast.wording import in_words, printable

KINDS: tuple[Kind, ...] = tuple(
    import_module(f"{__name__}.{module.name}").KIND for module in pkgutil.iter_modules(__path__)
)


def kind_of(text: str, called: str = "predictor (--predictor)") -> tuple[Kind, str]:
    """What names a predictor → its kind, and the argument that the kind reads.

    ``"color"`` and ``"kind:argument"`` are of the kind that they name; any other text is a path, perhaps with
    more after a colon, whose suffix says the kind. An error says what the text is ``called``.

    Raises:
        FileNotFoundError: when it names neither a kind nor a file that is there.
        ValueError: when the suffix is of no kind.
    """
    word, _, argument = text.partition(":")
    for kind in KINDS:
        if word == kind.name:
            return kind, argument
    for path in _paths(text):
        for kind in KINDS:
            if Path(path).suffix.lower() in kind.suffixes:
                return kind, text
    words = ", ".join(repr(kind.name) for kind in KINDS if not kind.suffixes)
    suffixes = ", ".join(suffix for kind in KINDS for suffix in kind.suffixes)
    expected = f"expected {words}, or a {suffixes} file; higan-fast predictors lists all, with examples"
    if not os.path.lexists(text):  # which is False, too, of what can be no path
        raise FileNotFoundError(f"{called}: got {in_words(text)}, {expected}")
    if not Path(text).suffix:
        return next(kind for kind in KINDS if kind.name == "trained"), text
    raise ValueError(f"{printable(text)}: is of no kind of predictor that is known; {expected}")


def label_of(text: str) -> str:
    """A short word for a predictor, which tells its semantics from another's of the same name."""
    kind, argument = kind_of(text)
    return kind.name if text.partition(":")[0] == kind.name else Path(_paths(argument)[-1]).stem


def _paths(text: str) -> list[str]:
    """What may be the path in a text: the whole of it, or what comes before its last colon."""
    return [text, *([text.rpartition(":")[0]] if ":" in text else [])]
