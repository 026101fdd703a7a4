"""Torch's storages and tensors as pickles describe them, as views of the file's bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from higan_fast.checkpoints.contents import Record
from higan_fast.checkpoints.pickles.limits import PickleError
from higan_fast.checkpoints.pickles.machine import LONGEST_KEY, Global, kind
from higan_fast.checkpoints.pickles.numpy_values import lengths, whole_numbers


@dataclass(frozen=True, eq=False)
class StorageType(Global):
    """``torch.FloatStorage`` and its like, on any device."""

    dtype: torch.dtype = torch.uint8


@dataclass(frozen=True, eq=False)
class Storage:
    """The memory of tensors.

    Attributes:
        count: how many values it has.
        data: their bytes; None: they are not known yet, and its tensors will be made again when they are.
    """

    dtype: torch.dtype
    count: int
    data: memoryview | None


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor | Record:
    """A view; checked here, since a tensor that reaches beyond its storage reads foreign memory."""
    if not isinstance(storage, Storage):
        raise PickleError(f"the pickle has a tensor on a {kind(storage)}, expected a storage")
    size, stride = lengths(size, "a tensor's size"), whole_numbers(stride, "a tensor's stride")
    (first,) = whole_numbers((offset,), "a tensor's offset")
    if len(size) != len(stride):
        raise PickleError(f"the pickle has a tensor of size {list(size)} and stride {list(stride)}")
    values = 1
    for length in size:
        values *= length
    last = first + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if values and (last >= storage.count or values > storage.count):
        raise PickleError(
            f"the pickle has a tensor of size {list(size)}, stride {list(stride)} and offset {first} "
            f"in a storage of {storage.count} values"
        )
    if storage.data is None:
        return Record("torch", "Tensor")
    if not values:
        return torch.empty(size, dtype=storage.dtype)
    everything = torch.frombuffer(storage.data, dtype=storage.dtype, count=storage.count)
    return everything.as_strided(size, stride, first)


def _parameter(data: Any, *_: Any) -> Any:
    if not isinstance(data, Tensor | Record):
        raise PickleError(f"the pickle has a parameter of a {kind(data)}, expected a tensor")
    return data


def class_of_module(identifier: Any) -> Global | None:
    """``("module", class, file, source)``, as torch before 1.6 wrote a class → the class; else None."""
    is_module = isinstance(identifier, tuple) and len(identifier) == 4 and identifier[0] == "module"
    return identifier[1] if is_module and isinstance(identifier[1], Global) else None


def storage_of(identifier: Any) -> tuple[str, StorageType, int]:
    """``("storage", type, key, device, count, …)`` → its key, its type and how many values it has.

    Raises:
        PickleError: for other things.
    """
    if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
        raise PickleError("the pickle refers to something outside of itself that is no storage")
    of_type, key = identifier[1], identifier[2]
    if not isinstance(of_type, StorageType) or not isinstance(key, str):
        raise PickleError(f"the pickle refers to a storage of {kind(of_type)}")
    if len(key) > LONGEST_KEY:
        raise PickleError(f"the pickle refers to a storage whose key has {len(key)} characters")
    if len(identifier) > 5 and identifier[5] is not None:
        raise PickleError("the pickle refers to a part of a storage, as torch 0.2 wrote it; save it anew")
    (count,) = whole_numbers((identifier[4],), "a storage's length")
    return key, of_type, count


STORAGES = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip
GLOBALS = (
    *(
        StorageType(module, f"{name}Storage", None, dtype)
        for module in ("torch", "torch.cuda")
        for name, dtype in STORAGES.items()
    ),
    Global("torch._utils", "_rebuild_tensor", _tensor),
    Global("torch._utils", "_rebuild_tensor_v2", _tensor),
    Global("torch._utils", "_rebuild_parameter", _parameter),
    Global("torch._utils", "_rebuild_parameter_with_state", _parameter),
    Global("torch", "Size", lambda sizes=(): whole_numbers(sizes, "a size")),
)
