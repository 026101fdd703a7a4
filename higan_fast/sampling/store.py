"""The store of samples: zarr arrays whose shards are complete and checksummed on the disk, or absent."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore, MemoryStore

from higan_fast.files import TEMPORARY, DamagedError, first_line, json_checksum, sync_folder, write_whole
from higan_fast.sampling.latents import BLOCK

Shapes = Mapping[str, tuple[int, ...]]

MENDING = "run higan-fast sample again with the same settings; it makes anew only what is damaged or missing"


class Store:
    """The arrays of samples in a folder: ``scores``, ``z``, ``w``, ``codes``, and ``labels`` where there are.

    Every chunk carries a checksum. Every array carries the settings, with a checksum of their own, so that no
    single damaged file loses them. ``scores`` grows first and is written last: it tells what is complete.

    Attributes:
        settings: JSON values, as given to ``create``.
        arrays: name → array; those whose metadata are damaged are not among them.
        damaged: name → what is wrong with its metadata.
    """

    def __init__(self, path: Path, settings: dict[str, Any], shapes: Shapes, *, writable: bool) -> None:
        self.path, self.settings, self.shapes = path, settings, shapes
        self.arrays: dict[str, zarr.Array[Any]] = {}
        self.damaged: dict[str, str] = {}
        self._store = DurableStore(path, read_only=not writable)
        for name in shapes:
            try:
                self.arrays[name] = self._open(name)
            except Exception as error:  # zarr raises all kinds of them
                self._set_aside(name, first_line(error))
        lengths = [array.shape[0] for name, array in self.arrays.items() if name != "scores"]
        for name, array in list(self.arrays.items()):
            # no array is ever longer than the scores: so either it is wrong, or the scores are
            alone = lengths.count(array.shape[0]) == 1
            if name == "scores" and any(lengths.count(n) > 1 and n > array.shape[0] for n in lengths):
                self._set_aside(name, "is shorter than the other arrays")
            elif name != "scores" and alone and "scores" in self.arrays and array.shape[0] > len(self):
                self._set_aside(name, "is longer than the scores")

    @classmethod
    def create(cls, path: Path, shapes: Shapes, settings: dict[str, Any]) -> Store:
        """Makes a store without samples, under a temporary name, and renames it as a whole.

        Args:
            shapes: of each array, the shape of one sample.
            settings: JSON values; ``shard_size`` among them says how many samples share a file.
        """
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
        store = DurableStore(temporary)
        zarr.create_group(store)
        for name in shapes:
            _create(store, name, shapes, settings)
        temporary.rename(path)
        sync_folder(path.parent)
        return cls(path, settings, shapes, writable=True)

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> Store:
        """Opens a store. Only its one writer may open it for writing.

        Raises:
            FileNotFoundError: when there is no store.
            DamagedError: when no array's metadata tell the settings.
        """
        if not path.is_dir():
            raise FileNotFoundError(f"{path}: there are no samples here; make them with higan-fast sample")
        for file in sorted(path.glob("*/zarr.json")):
            try:
                kept = json.loads(file.read_bytes())["attributes"]
                if kept["sha256"] == json_checksum(kept["settings"], kept["shapes"]):
                    shapes = {name: tuple(shape) for name, shape in kept["shapes"].items()}
                    return cls(path, kept["settings"], shapes, writable=writable)
            except (ValueError, KeyError, TypeError, OSError):
                continue
        raise DamagedError(
            f"{path}: no array in it says how it was made; its zarr.json files are damaged, or of an earlier "
            f"version. Delete {path} and run higan-fast sample again"
        )

    def __len__(self) -> int:
        """How many samples were asked for, of which some may be missing."""
        lengths = {name: array.shape[0] for name, array in self.arrays.items()}
        others = max((length for name, length in lengths.items() if name != "scores"), default=0)
        return min(lengths.get("scores", others), others)

    def mend(self) -> None:
        """Writes damaged metadata anew; the shards beneath them stay."""
        length = max((array.shape[0] for array in self.arrays.values()), default=0)
        for name in list(self.damaged):
            (self.path / name / "zarr.json").unlink(missing_ok=True)
            _create(self._store, name, self.shapes, self.settings, length)
            self.arrays[name] = self._open(name)
            del self.damaged[name]

    def grow(self, num: int) -> None:
        """Makes room for ``num`` samples; the new ones read as missing."""
        for name in sorted(self.arrays, key=lambda name: name != "scores"):
            array = self.arrays[name]
            if array.shape[0] < num:
                array.resize((num, *array.shape[1:]))

    def scored(self) -> set[int]:
        """Returns the first sample of each shard that has a file of scores, damaged or not."""
        size, folder = int(self.settings["shard_size"]), self.path / "scores" / "c"
        names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
        return {int(name) * size for name in names if name.isdecimal()}

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Returns the samples ``start`` to ``stop - 1`` of an array.

        Raises:
            DamagedError: when a file of them is missing (except of ``scores``) or damaged.
        """
        if name in self.damaged:
            raise DamagedError(f"{self.damaged[name]}; {MENDING}")
        try:
            values = np.asarray(self.arrays[name][start:stop])
            broken = len(values) < stop - start or (name != "scores" and _is_missing(values).any())
            reason = "is missing, or holds samples that are"
        except Exception as error:  # codecs raise all kinds of them
            broken, reason = True, f"is damaged ({first_line(error)})"
        if not broken:
            return values
        size = int(self.settings["shard_size"])
        if stop - start > size:
            for first in range(start // size * size, stop, size):
                self.read(name, max(first, start), min(first + size, stop))
        raise self.damage(name, start, reason)

    def damage(self, name: str, start: int, reason: str) -> DamagedError:
        """Returns an error that names the file of the sample ``start``, and what mends it."""
        return DamagedError(f"{self._shard(name, start)}: {reason}; {MENDING}")

    def write(self, name: str, start: int, values: NDArray[Any]) -> None:
        """Writes samples of one shard, from its start on.

        What is there goes first: zarr would read it, damaged or not, to write a part of it.
        """
        self._shard(name, start).unlink(missing_ok=True)
        self.arrays[name][start : start + len(values)] = values

    def files(self, start: int) -> list[Path]:
        """Returns the files that hold the sample ``start``, one for each array."""
        return [self._shard(name, start) for name in self.shapes]

    def _shard(self, name: str, start: int) -> Path:
        """The file that holds the sample ``start``."""
        index = [start // int(self.settings["shard_size"]), *(0 for _ in self.shapes[name])]
        return self.path / name / "c" / "/".join(map(str, index))

    def _open(self, name: str) -> zarr.Array[Any]:
        """Opens an array; raises when it is not as ``create`` made it, but for its length."""
        array = zarr.open_array(self._store, path=name, mode="r" if self._store.read_only else "r+")
        expected = _create(MemoryStore(), name, self.shapes, self.settings, array.shape[0])
        if _plain(array) != _plain(expected):
            raise ValueError("is not as it was written")
        return array

    def _set_aside(self, name: str, reason: str) -> None:
        self.arrays.pop(name, None)
        self.damaged[name] = f"{self.path / name / 'zarr.json'}: {reason}"


class Held:
    """The same arrays in memory, for samples without a folder."""

    def __init__(self, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.settings, self.arrays = settings, arrays
        self.shapes: Shapes = {name: array.shape[1:] for name, array in arrays.items()}

    @classmethod
    def create(cls, settings: dict[str, Any], shapes: Shapes, num: int) -> Held:
        """Makes room for ``num`` samples, all of them missing."""
        kinds = {name: kind_of(name) for name in shapes}
        return cls(
            settings,
            {name: np.full((num, *shapes[name]), missing, dtype) for name, (dtype, missing) in kinds.items()},
        )

    def __len__(self) -> int:
        return len(self.arrays["scores"])

    def scored(self) -> set[int]:
        """Returns the first samples of complete shards: none, for nothing of it outlasts its process."""
        return set()

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Returns the samples ``start`` to ``stop - 1`` of an array."""
        return self.arrays[name][start:stop]

    def write(self, name: str, start: int, values: NDArray[Any]) -> None:
        """Writes samples from ``start`` on."""
        self.arrays[name][start : start + len(values)] = values


def kind_of(name: str) -> tuple[str, float]:
    """Returns the dtype of an array, and the value that a missing sample reads as."""
    return ("int64", -1) if name == "labels" else ("float32", np.nan)


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


def _create(
    store: Any, name: str, shapes: Shapes, settings: dict[str, Any], length: int = 0
) -> zarr.Array[Any]:
    """Writes the metadata of one array over whatever there are."""
    dtype, missing = kind_of(name)
    shape, shard_size = shapes[name], settings["shard_size"]
    kept = {"settings": settings, "shapes": {key: list(value) for key, value in shapes.items()}}
    return zarr.create_array(
        store,
        name=name,
        shape=(length, *shape),
        shards=(shard_size, *shape),
        chunks=(BLOCK, *shape),
        dtype=dtype,
        fill_value=missing,
        # a StyleGAN repeats one code over all its layers, which costs nothing once it is compressed
        compressors=ZstdCodec(level=3, checksum=True),
        attributes={**kept, "sha256": json_checksum(*kept.values())},
    )


def _plain(array: zarr.Array[Any]) -> str:
    """The metadata as text: a NaN in them equals no other NaN."""
    return json.dumps(array.metadata.to_dict(), sort_keys=True, default=str)


def _is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    return values < 0 if values.dtype.kind == "i" else np.isnan(values)
