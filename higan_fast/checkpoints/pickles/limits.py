"""How much a file may ask for: its instructions, and what they copy, in proportion to its size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

# Real checkpoints have about 50 instructions for each tensor, some 50,000 in all. An instruction of one byte
# can make an object of a few hundred, so that this bounds the memory too.
INSTRUCTIONS, INSTRUCTIONS_PER_BYTE = 200_000, 1 / 64
# Bytes that are copied, encoded or compared. Files of Python 2, whose arrays are texts, copy themselves about
# five times; one object that the memo hands to thousands of calls would be copied thousands of times.
WORK, WORK_PER_BYTE = 64 * 2**20, 8
ENTRY = 512  # bytes of work for an entry of a container that is copied: it is hashed, and stored in a table
CLASS = 4096  # for a class that is seen for the first time
OF_EACH: dict[type, int] = {
    **dict.fromkeys((list, tuple, dict, OrderedDict, set, frozenset), ENTRY),
    **dict.fromkeys((str, memoryview), 1),
}


class PickleError(ValueError):
    """The pickle cannot be what a pickler writes of weights."""


class Budget:
    """What the pickles of one file may still do, nested ones too.

    Attributes:
        instructions: how many.
        work: bytes that are copied, encoded or compared.
    """

    def __init__(self, size: int) -> None:
        self.instructions = INSTRUCTIONS + int(size * INSTRUCTIONS_PER_BYTE)
        self.work = WORK + size * WORK_PER_BYTE

    def charge(self, work: int) -> None:
        """Subtracts what is about to be done.

        Raises:
            PickleError: when it is more than is left.
        """
        self.work -= work
        if self.work < 0:
            raise PickleError("the pickle copies more than any file of weights needs")

    def charge_values(self, values: Sequence[Any]) -> None:
        """Subtracts what a function can copy of its arguments: their characters, bytes and entries."""
        work = ENTRY * len(values)
        for value in values:
            if each := OF_EACH.get(type(value)):
                work += each * len(value)
        self.charge(work)
