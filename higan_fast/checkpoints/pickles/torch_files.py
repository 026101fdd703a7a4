"""What ``torch.save`` wrote, as a zip archive or in the form before torch 1.6, read by the allowlist."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from higan_fast.checkpoints.pickles.allowlist import ALLOWED
from higan_fast.checkpoints.pickles.archives import Archive, what_it_is
from higan_fast.checkpoints.pickles.limits import Budget, PickleError
from higan_fast.checkpoints.pickles.machine import Global
from higan_fast.checkpoints.pickles.torch_values import Storage, class_of_module, storage_of
from higan_fast.checkpoints.pickles.unpickling import unpickle
from higan_fast.wording import printable

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the form before torch 1.6


def read_pickle(data: memoryview, path: Path) -> tuple[bool, Any]:
    """A file that begins like a pickle → whether torch wrote it, and its value.

    Raises:
        ValueError: when it is refused or damaged.
    """
    budget = Budget(len(data))

    def nested(raw: Any) -> Storage:
        """``torch.storage._load_from_bytes``: a file within the file, which holds one storage."""
        if not isinstance(raw, memoryview):
            raise PickleError("the pickle has a storage that is no bytes")
        try:
            value = _read_legacy(raw, f"{path} (a storage nested in it)", budget)
        except ValueError as problem:
            raise PickleError(str(problem)) from None
        if not isinstance(value, Storage):
            raise PickleError("the pickle has nested bytes that hold no storage")
        return value

    own = Global("torch.storage", "_load_from_bytes", nested)
    value, _ = unpickle(data, str(path), {**ALLOWED, "torch.storage._load_from_bytes": own}, budget)
    if type(value) is int and value == MAGIC:
        return True, _read_legacy(data, str(path), budget)
    return False, value


def _read_legacy(data: memoryview, where: str, budget: Budget) -> Any:
    """Five pickles (magic, protocol, system, value, keys of the storages), and then the storages' bytes.

    The value comes before the bytes of its tensors: it is read once to learn which storages there are, and
    again when it is known where they lie.
    """
    magic, position = unpickle(data, where, ALLOWED, budget)
    protocol, position = unpickle(data, where, ALLOWED, budget, position)
    if type(magic) is not int or magic != MAGIC or type(protocol) is not int or protocol != PROTOCOL:
        raise ValueError(
            f"{where}: begins neither as torch writes its files, nor as a pickle of anything else"
        )
    system, value_at = unpickle(data, where, ALLOWED, budget, position)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise ValueError(f"{where}: was written on a big-endian machine, which is not supported")
    storages: dict[str, Storage] = {}

    def declared(identifier: Any) -> Storage | Global:
        if (of_module := class_of_module(identifier)) is not None:
            return of_module
        key, of_type, count = storage_of(identifier)
        return storages.setdefault(key, Storage(of_type.dtype, count, None))

    _, position = unpickle(data, where, ALLOWED, budget, value_at, declared)
    keys, position = unpickle(data, where, ALLOWED, budget, position)
    if not _are_names_of(storages, keys):
        raise ValueError(f"{where}: its storages are not those that its tensors want; the file is damaged")
    for key in keys:
        storages[key], position = _stored(data, where, storages[key], position)
    value, _ = unpickle(data, where, ALLOWED, budget, value_at, declared)
    return value


def _are_names_of(storages: dict[str, Storage], keys: Any) -> bool:
    """Whether the keys are those of all storages, each once; sorting them could take for ever."""
    return (
        isinstance(keys, list)
        and len(keys) == len(storages)
        and all(type(key) is str and key in storages for key in keys)
        and len(set(keys)) == len(keys)
    )


def _stored(data: memoryview, where: str, declared: Storage, position: int) -> tuple[Storage, int]:
    """A storage whose bytes begin at ``position``, after their number of values; and where they end."""
    start = position + 8
    if start > len(data):
        raise ValueError(f"{where}: ends after {len(data)} bytes, before its tensors; the file is truncated")
    (count,) = struct.unpack("<q", data[position:start])
    if count != declared.count:
        problem = f"a storage of {declared.count} values is stored with {count}"
        raise ValueError(f"{where}: {problem}; the file is truncated or damaged")
    end = start + count * declared.dtype.itemsize
    if end > len(data):
        raise ValueError(f"{where}: ends after {len(data)} of at least {end} bytes; the file is truncated")
    return Storage(declared.dtype, count, data[start:end]), end


def read_zip(data: memoryview, path: Path) -> Any:
    """An archive with a pickle, ``NAME/data.pkl``, beside one member for each storage.

    Raises:
        ValueError: when it is refused or damaged, or another kind of archive.
    """
    archive = Archive(data, path)
    found = [name for name in archive.members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if not found:
        raise ValueError(f"{path}: {what_it_is(archive.members)}")
    prefix = found[0].removesuffix("data.pkl")
    if f"{prefix}constants.pkl" in archive.members:
        raise ValueError(f"{path}: a TorchScript program; save its state_dict with torch.save, and load that")
    if (order := f"{prefix}byteorder") in archive.members and bytes(archive.read(order)[:6]) != b"little":
        raise ValueError(f"{path}: was written on a big-endian machine, which is not supported")

    def stored(identifier: Any) -> Storage:
        key, of_type, count = storage_of(identifier)
        problem, name = "is not there", f"{prefix}data/{key}"
        if name in archive.members:
            raw = archive.read(name)
            if len(raw) >= count * of_type.dtype.itemsize:
                return Storage(of_type.dtype, count, raw)
            problem = f"has {len(raw)} bytes"
        raise PickleError(
            f"the storage data/{printable(key)} of {count} values {problem}; the file is damaged"
        )

    where = f"{path} ({printable(found[0])})"
    value, _ = unpickle(archive.read(found[0]), where, ALLOWED, Budget(len(data)), persistent=stored)
    return value
