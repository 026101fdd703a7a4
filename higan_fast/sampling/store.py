"""The store of samples: zarr arrays whose shards are whole on the disk or absent, whatever happens."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from higan_fast.files import TEMPORARY, sync_folder, write_whole
from higan_fast.sampling.latents import BLOCK


def create_store(
    path: Path, shapes: Mapping[str, tuple[int, ...]], shard_size: int, settings: dict[str, Any]
) -> None:
    """Makes a store without samples, under a temporary name, and renames it as a whole.

    Args:
        shapes: of each array, the shape of one sample.
        settings: JSON values, kept beside the arrays.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    group = zarr.create_group(DurableStore(temporary), attributes={"settings": settings})
    for name, shape in shapes.items():
        dtype, missing = kind_of(name)
        group.create_array(
            name,
            shape=(0, *shape),
            shards=(shard_size, *shape),
            chunks=(BLOCK, *shape),
            dtype=dtype,
            fill_value=missing,
            compressors=ZstdCodec(level=3),  # a StyleGAN repeats one code over all its layers
        )
    temporary.rename(path)
    sync_folder(path.parent)


def open_store(path: Path, writable: bool = False) -> tuple[dict[str, zarr.Array], dict[str, Any]]:
    """The arrays of a store, and its settings. Only its one writer may open it for writing.

    Raises:
        FileNotFoundError: when there is no store.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there are no samples here; make them with higan-fast sample")
    group = zarr.open_group(DurableStore(path, read_only=not writable), mode="r+" if writable else "r")
    settings: Any = group.attrs["settings"]
    return dict(group.arrays()), settings


def kind_of(name: str) -> tuple[str, float]:
    """The dtype of an array, and as what all that has not been written reads."""
    return ("int64", -1) if name == "labels" else ("float32", np.nan)


def grow(arrays: Mapping[str, zarr.Array], num: int) -> None:
    """Makes room for ``num`` samples; the new ones read as what has not been written."""
    for array in arrays.values():
        if array.shape[0] < num:
            array.resize((num, *array.shape[1:]))


class DurableStore(LocalStore):
    """A folder in which every file is flushed to the disk under a temporary name before it gets its own.

    zarr's own store renames too, but does not flush: after a power cut a renamed file could be empty.
    """

    async def set(self, key: str, value: Buffer) -> None:
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        self._check_writable()
        with write_whole(self.root / key) as file:
            file.write(value.as_buffer_like())
