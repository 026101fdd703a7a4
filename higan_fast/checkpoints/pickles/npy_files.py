"""NumPy's ``.npy`` files: an array of numbers, or one object that ``np.save`` wrapped in an array."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from higan_fast.checkpoints.pickles import numpy_values
from higan_fast.checkpoints.pickles.allowlist import ALLOWED
from higan_fast.checkpoints.pickles.limits import Budget, PickleError
from higan_fast.checkpoints.pickles.machine import Global, Pending
from higan_fast.checkpoints.pickles.numpy_values import PLAIN, ArrayToBe, DTypeToBe, whole_numbers
from higan_fast.checkpoints.pickles.unpickling import unpickle
from higan_fast.opening import open_bytes
from higan_fast.refusing import refusing
from higan_fast.wording import in_words, printable

OBJECTS = ("O", "O4", "O8")  # what NumPy calls the type of objects, of 4 or 8 bytes each
MAGIC_AND_HEADER = 2**16  # bytes at most


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
        try:
            start, shape, by_columns, dtype = _header(data)
        except Exception as error:  # of NumPy, which evaluates a literal of Python
            raise ValueError(f"not a .npy file that can be read ({printable(str(error))})") from error
        if dtype.hasobject:
            value, _ = unpickle(data, str(path), WITH_OBJECTS, Budget(len(data)), start)
            return value
        if not PLAIN.fullmatch(dtype.str):
            raise ValueError(f"holds an array of {in_words(dtype.str)}, expected numbers")
        sizes, rest = whole_numbers(shape, "the shape of its array"), len(data) - start
        if math.prod(sizes) * dtype.itemsize != rest:
            raise ValueError(
                f"its array of shape {list(sizes)} and {dtype} has {rest} bytes; it is truncated"
            )
        return np.frombuffer(data[start:], dtype).reshape(sizes, order="F" if by_columns else "C")


def _header(data: memoryview) -> tuple[int, Any, bool, np.dtype[Any]]:
    """Returns where the array begins, its shape, whether it is stored by columns, and its type."""
    file = io.BytesIO(bytes(data[:MAGIC_AND_HEADER]))
    version = npy_format.read_magic(file)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    with warnings.catch_warnings(action="ignore"):  # that Python 2 wrote it
        shape, by_columns, dtype = read(file)
    return file.tell(), shape, by_columns, dtype


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
            raise PickleError("the pickle has an array of objects, expected a single one")
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
