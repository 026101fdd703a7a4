"""NumPy's arrays, scalars and types as pickles describe them, made from the file's bytes and nothing else."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from higan_fast.checkpoints.contents import shown
from higan_fast.checkpoints.pickles.limits import PickleError
from higan_fast.checkpoints.pickles.machine import Global, Pending, kind

LARGEST_EMPTY = 2**24  # the product of the other dimensions of an array that has none of some
PLAIN = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248])")


class DTypeToBe(Pending):
    """``numpy.dtype("f4", False, True)``; its state says the byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        super().__init__()
        if not isinstance(code, str) or not PLAIN.fullmatch(code):
            raise PickleError(f"the pickle has an array of NumPy's type {shown(code)}, expected numbers")
        self.code = code[-2:]

    def completed(self, state: Any) -> np.dtype[Any]:
        order = state[1]
        if type(order) is not str or order not in ("<", ">", "=", "|"):
            raise PickleError(f"the pickle has an array of the byte order {shown(order)}")
        return np.dtype(order + self.code)


class ArrayToBe(Pending):
    """``_reconstruct(ndarray, (0,), b"b")``; its state is (version, shape, dtype, by columns, bytes)."""

    def __init__(self, cls: Any, *_: Any) -> None:
        super().__init__()
        if kind(cls) != "numpy.ndarray":
            raise PickleError(f"the pickle reconstructs a {kind(cls)} as an array")

    def completed(self, state: Any) -> np.ndarray[Any, Any]:
        shape, dtype, by_columns, raw = state[-4:]
        return _array(raw, dtype, shape, "F" if by_columns else "C")


def _array(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    raw, dtype = as_bytes(raw), _plain(dtype)
    sizes = lengths(shape, "the shape of an array")
    if math.prod(sizes) * dtype.itemsize != len(raw):
        raise PickleError(f"the pickle has an array of shape {list(sizes)} and {dtype}, in {len(raw)} bytes")
    return np.frombuffer(raw, dtype).reshape(sizes, order=order)


def _scalar(dtype: Any, raw: Any) -> np.generic:
    value = _array(raw, dtype, (1,), "C")[0]
    assert isinstance(value, np.generic)
    return value


def _plain(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, np.dtype):
        raise PickleError(f"the pickle has an array of {kind(dtype)}, expected a type of numbers")
    return dtype


def as_bytes(value: Any) -> memoryview:
    """Bytes as Python 3 writes them, or as Python 2 did: as text.

    Raises:
        PickleError: for other things.
    """
    if isinstance(value, str):
        value = memoryview(bytearray(value, "latin1"))  # torch wants memory that may be written to
    if not isinstance(value, memoryview):
        raise PickleError(f"the pickle has a {kind(value)} in the place of an array's bytes")
    return value


def whole_numbers(values: Any, what: str) -> tuple[int, ...]:
    """A short tuple of numbers that are not negative.

    Raises:
        PickleError: for other things.
    """
    if not isinstance(values, tuple | list) or len(values) > 8:
        raise PickleError(f"the pickle has a {kind(values)} as {what}")
    if not all(type(value) is int and 0 <= value < 2**48 for value in values):
        raise PickleError(f"the pickle has {shown(values)} as {what}")
    return tuple(values)


def lengths(values: Any, what: str) -> tuple[int, ...]:
    """As ``whole_numbers``, of the dimensions of an array.

    One without values has no bytes that bound its other dimensions, along which it may be iterated.
    """
    sizes = whole_numbers(values, what)
    if 0 in sizes and math.prod(size for size in sizes if size) > LARGEST_EMPTY:
        raise PickleError(f"the pickle has {shown(sizes)} as {what}")
    return sizes


GLOBALS = (
    Global("numpy", "ndarray"),
    Global("numpy", "dtype", DTypeToBe),
    *(
        Global(f"numpy.{core}.multiarray", name, make)
        for core in ("core", "_core")
        for name, make in (("_reconstruct", ArrayToBe), ("scalar", _scalar))
    ),
    *(Global(f"numpy.{core}.numeric", "_frombuffer", _array) for core in ("core", "_core")),
)
