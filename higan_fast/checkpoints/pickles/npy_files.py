"""NumPy's ``.npy`` files: an array of numbers, or one object that ``np.save`` wrapped in an array."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from higan_fast.checkpoints.pickles import numpy_values
from higan_fast.checkpoints.pickles.allowlist import ALLOWED
from higan_fast.checkpoints.pickles.limits import Budget, PickleError
from higan_fast.checkpoints.pickles.machine import Global, Pending
from higan_fast.checkpoints.pickles.numpy_values import PLAIN, ArrayToBe, DTypeToBe
from higan_fast.checkpoints.pickles.unpickling import unpickle
from higan_fast.opening import open_bytes
from higan_fast.refusing import refusing
from higan_fast.wording import in_words, printable

OBJECTS = ("O", "O4", "O8")  # what NumPy calls the type of objects, of 4 or 8 bytes each
MAGIC_AND_HEADER = 2**16  # bytes at most
MOST_DIMENSIONS = 8


def read_npy(path: Path) -> Any:
    """Returns the array in a ``.npy`` file, or the one object; nothing in it is executed.

    Numbers are views of the file's bytes. A pickled object is read as those of checkpoints are: plain values,
    arrays, and `Record`s where the file names other classes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is another kind of file, damaged, or refused.
    """
    with refusing(path):
        data = open_bytes(path)
        header = _header(data)
        if header.dtype.hasobject:
            value, _ = unpickle(data, str(path), WITH_OBJECTS, Budget(len(data)), header.end)
            return value
        return _numbers(data, header)


def numbers_of_npy(data: memoryview) -> np.ndarray[Any, Any]:
    """Returns the array in the bytes of a ``.npy`` file, as a view of them.

    Raises:
        ValueError: if it is another kind of file, damaged, or has no numbers.
    """
    return _numbers(data, _header(data))


class _Header(NamedTuple):
    """What stands before the numbers, which begin at ``end``."""

    end: int
    shape: Any
    by_columns: bool
    dtype: np.dtype[Any]


def _header(data: memoryview) -> _Header:
    file = io.BytesIO(bytes(data[:MAGIC_AND_HEADER]))
    try:
        version = npy_format.read_magic(file)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        with warnings.catch_warnings(action="ignore"):  # that Python 2 wrote it
            shape, by_columns, dtype = read(file)
    except Exception as error:  # of NumPy, which evaluates a literal of Python
        raise ValueError(f"not a .npy file that can be read ({printable(str(error))})") from error
    return _Header(file.tell(), shape, by_columns, dtype)


def _numbers(data: memoryview, header: _Header) -> np.ndarray[Any, Any]:
    dtype, sizes, rest = header.dtype, header.shape, len(data) - header.end
    if not PLAIN.fullmatch(dtype.str):
        raise ValueError(f"holds an array of {in_words(dtype.str)}, expected numbers")
    if len(sizes) > MOST_DIMENSIONS or not all(type(size) is int and 0 <= size < 2**48 for size in sizes):
        raise ValueError(f"the shape of its array is {in_words(sizes)}; it is damaged")
    if math.prod(sizes) * dtype.itemsize != rest:
        raise ValueError(f"its array of shape {list(sizes)} and {dtype} has {rest} bytes; it is truncated")
    return np.frombuffer(data[header.end :], dtype).reshape(sizes, order="F" if header.by_columns else "C")


class _Objects(Pending):
    """The type of an array of objects, whose state says nothing that matters."""

    def completed(self, state: Any) -> Any:
        return self


class _ArrayOfObjects(ArrayToBe):
    """An array that may hold one object, which then stands for it."""

    def completed(self, state: Any) -> Any:
        _, _, dtype, _, items = state[-5:]
        if not isinstance(dtype, _Objects):
            return super().completed(state)
        if not isinstance(items, list) or len(items) != 1:
            raise PickleError("has an array of objects, expected a single one, or numbers")
        return items[0]


def _dtype(code: Any, *rest: Any) -> Pending:
    return _Objects() if isinstance(code, str) and code in OBJECTS else DTypeToBe(code, *rest)


WITH_OBJECTS = {
    **ALLOWED,
    "numpy.dtype": Global("numpy", "dtype", _dtype),
    **{
        name: Global(known.module, known.name, _ArrayOfObjects)
        for name, known in ALLOWED.items()
        if known.make is numpy_values.ArrayToBe
    },
}
