"""What is in a file, inert: numbers, names and tensors, and a `Record` wherever the file names a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from higan_fast.wording import in_words, printable

Kind = Literal["pickle", "torch", "safetensors", "folder"]


@dataclass(eq=False, repr=False)
class Record:
    """An object whose class is not here: how it was to be made, with nothing of it done.

    Attributes:
        module: of the class or function that the file names, as ``"dnnlib.tflib.network"``.
        name: of that class or function, as ``"Network"``.
        args: what it was to be called with; of a persistent object, ``(meta,)``.
        state: what it was to be filled with afterwards; None where the file gives nothing.
        known: whether some reader knows its class. If not, the object may lie beside what is read, but not
            within it, and the items that the file puts into it are not kept.
    """

    module: str
    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    known: bool = True

    def is_a(self, path: str) -> bool:
        """Whether the file names it ``"module.name"``."""
        return f"{self.module}.{self.name}" == path


def refuse_unknown(path: Path, *values: object) -> None:
    """Raises a ValueError, naming the class, when one of the values is an object of a class nobody knows."""
    for value in values:
        if isinstance(value, Record) and not value.known:
            raise ValueError(
                f"refused {value.module[:100]}.{value.name[:100]} in {path}: the part that is read holds an "
                "object of this class, which no reader knows; nothing was executed. If it is a network, "
                "save its state_dict() instead"
            )


@dataclass(frozen=True)
class Content:
    """A file, or a folder, that has been read without executing anything.

    Tensors and arrays may lie in the file's own memory (mapped, and copied when written to): whoever keeps
    one copies it. All strings of Python 2 have been decoded as latin1, and bytes are memoryviews.

    Attributes:
        path: where it was.
        kind: ``"pickle"``, a raw pickle; ``"torch"``, what ``torch.save`` wrote, of any age;
            ``"safetensors"``; ``"folder"``, a ``config.json`` beside weights.
        value: what was stored. Pickle and torch: the object, of dicts, lists, tuples, scalars, tensors, NumPy
            arrays and ``Record``s. Safetensors: ``{name: tensor}``. Folder: ``{"config": …, "weights": …}``.
        metadata: the texts in the header of a safetensors file; empty for other kinds.
    """

    path: Path
    kind: Kind
    value: Any
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> frozenset[str]:
        """The names at the top level; empty where there is no mapping."""
        if not isinstance(self.value, Mapping):
            return frozenset()
        return frozenset(key for key in self.value if isinstance(key, str))


def shown(value: object) -> str:
    """Returns what a message says of a value from a file: as ``in_words``, and of a `Record` its class."""
    if isinstance(value, Record):
        return f"a {printable(f'{value.module}.{value.name}')}"
    return in_words(value)


def is_state_dict(value: object) -> bool:
    """Whether this is a mapping from names to tensors (and perhaps plain numbers), and not an empty one."""
    from torch import Tensor

    return (
        isinstance(value, Mapping)
        and any(isinstance(entry, Tensor) for entry in value.values())
        and all(isinstance(name, str) for name in value)
        and all(isinstance(entry, Tensor | int | float | None) for entry in value.values())
    )
