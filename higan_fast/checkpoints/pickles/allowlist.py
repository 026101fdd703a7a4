"""Every class and function that a reader needs of a checkpoint, and what stands for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import Any

from higan_fast.checkpoints.contents import Record, shown
from higan_fast.checkpoints.pickles import numpy_values, torch_values
from higan_fast.checkpoints.pickles.limits import PickleError
from higan_fast.checkpoints.pickles.machine import Global, as_key, as_keys, kind
from higan_fast.checkpoints.pickles.numpy_values import as_bytes

# Classes whose objects are kept as they were written, never made.
RECORDS = (
    ("torch_utils.persistence", "_reconstruct_persistent_obj"),  # stylegan2-ada-pytorch, stylegan3
    ("dnnlib.tflib.network", "Network"),  # stylegan, stylegan2
    ("tfutil", "Network"),  # progressive_growing_of_gans
    ("argparse", "Namespace"),  # rosinality's training settings
    ("models.utils.config", "BaseConfig"),  # pytorch_GAN_zoo
    ("torch", "device"),
)
# Dictionaries under other names.
DICTIONARIES = (("dnnlib.util", "EasyDict"), ("dnnlib", "EasyDict"), ("config", "EasyDict"))
BUILTINS = ("builtins", "__builtin__")
COPYREG = ("copyreg", "copy_reg")


def _ordered_dict(pairs: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict(_items(pairs))


def _dictionary(pairs: Any = ()) -> dict[Any, Any]:
    return dict(_items(pairs))


def _items(pairs: Any) -> Iterator[tuple[Any, Any]]:
    """What a dictionary is made of: another, or pairs. Nothing else is iterated; tensors may have no end."""
    if isinstance(pairs, dict):
        pairs = pairs.items()
    elif not isinstance(pairs, list | tuple):
        raise PickleError(f"the pickle makes a dictionary of a {kind(pairs)}")
    for among, (key, value) in enumerate(pairs):
        yield as_key(key, among), value


def _encoded(text: Any, encoding: Any) -> memoryview:
    """How protocols 0 to 2 write bytes."""
    if not isinstance(text, str) or type(encoding) is not str or encoding != "latin1":
        raise PickleError(f"the pickle encodes a {kind(text)} as {shown(encoding)}, expected text as latin1")
    return as_bytes(text)


def _no_bytes() -> memoryview:
    """How protocols 0 to 2 write no bytes at all."""
    return memoryview(b"")


def _reconstructed(cls: Any, base: Any, state: Any) -> Any:
    """How protocols 0 and 1 make objects."""
    if not isinstance(cls, Global) or cls.make is None or kind(base).split(".")[-1] not in ("object", "dict"):
        raise PickleError(f"the pickle reconstructs a {kind(cls)} from a {kind(base)}")
    return cls.make() if state is None else cls.make(state)


def _members(make: type, items: Any = ()) -> Any:
    """A set, as protocols before 4 write it."""
    if not isinstance(items, list | tuple | set | frozenset):
        raise PickleError(f"the pickle makes a set of a {kind(items)}")
    return make(as_keys(items))


def _record(module: str, name: str) -> Global:
    return Global(module, name, lambda *args: Record(module, name, args))


GLOBALS = (
    *(_record(module, name) for module, name in RECORDS),
    *(Global(module, name, _dictionary) for module, name in DICTIONARIES),
    *(Global(module, "_reconstructor", _reconstructed) for module in COPYREG),
    *(Global(module, name) for module in BUILTINS for name in ("object", "dict")),
    *(
        Global(module, name, partial(_members, make))
        for module in BUILTINS
        for name, make in (("set", set), ("frozenset", frozenset))
    ),
    *(Global(module, "bytes", _no_bytes) for module in BUILTINS),
    Global("_codecs", "encode", _encoded),
    Global("collections", "OrderedDict", _ordered_dict),
    *numpy_values.GLOBALS,
    *torch_values.GLOBALS,
)
ALLOWED = {f"{known.module}.{known.name}": known for known in GLOBALS}
