"""A pickle → its values, by a machine that calls nothing that a file names.

A pickle is a program for a small stack machine (Python's ``pickletools`` describes each instruction). Here, a
class or a function that it names is a ``Global`` of the allowlist, and calling it is the allowlist's own
``make``. The file bounds memory and time: lengths are checked before anything is made, bytes are views of the
file, and what it may do has a ``Budget``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from higan_fast.checkpoints.pickles.limits import Budget, PickleError
from higan_fast.checkpoints.pickles.machine import Global, Machine, as_keys
from higan_fast.checkpoints.pickles.placeholders import placeholder

# What the machine stumbles over when a pickle is damaged; torch raises RuntimeErrors.
STUMBLES = (
    LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError, BufferError,
    struct.error,
)  # fmt: skip


def unpickle(
    data: memoryview,
    where: str,
    allowed: Mapping[str, Global],
    budget: Budget,
    start: int = 0,
    persistent: Callable[[Any], Any] | None = None,
) -> tuple[Any, int]:
    """The value of the pickle that begins at byte ``start``, and where it ends.

    Args:
        data: the file, or a part of it.
        where: what it is called in messages, as ``"a.pth (archive/data.pkl)"``.
        allowed: the allowlist, by ``"module.name"``.
        budget: of the file.
        persistent: what stands for an object that is stored outside of the pickle; None: there are none.

    Raises:
        ValueError: when it names anything else that has no ``placeholder``, or is damaged.
    """
    machine = Machine(data, start, where, allowed, budget, persistent, placeholder)
    try:
        return _run(machine, budget), machine.position
    except PickleError as problem:
        raise ValueError(str(problem) if where in str(problem) else f"{where}: {problem}") from None
    except STUMBLES:
        reason = f"the pickle is damaged near byte {machine.position} of {len(data)}"
        raise ValueError(f"{where}: {reason}") from None


def _run(machine: Machine, budget: Budget) -> Any:
    data, end = machine.data, len(machine.data)
    while machine.position < end:
        code = data[machine.position]
        machine.position += 1
        if code == _STOP:
            return machine.stack.pop()
        budget.instructions -= 1
        if budget.instructions < 0:
            raise PickleError("the pickle has more instructions than any file of weights needs")
        operation = _OPERATIONS.get(code)
        if operation is None:
            raise PickleError(
                f"the pickle has an unknown instruction, {code:#04x} at byte {machine.position - 1}"
            )
        operation(machine)
    raise PickleError(
        f"the pickle ends after {end} bytes without its last instruction; the file is truncated"
    )


def _protocol(machine: Machine) -> None:
    version = machine.number("B")
    if version > 5:
        raise PickleError(f"the pickle says that its protocol is {version}, expected 0 to 5")


Operation = Callable[[Machine], Any]
_STOP = ord(".")
_OF_CHARACTERS: dict[str, Operation] = {
    "N": lambda m: m.push(None),
    "I": Machine.integer_line,
    "J": lambda m: m.push(m.number("<i")),
    "K": lambda m: m.push(m.number("B")),
    "M": lambda m: m.push(m.number("<H")),
    "L": Machine.long_line,
    "F": Machine.float_line,
    "G": lambda m: m.push(m.number(">d")),
    "S": Machine.string_line,
    "T": lambda m: m.old_text("<i"),
    "U": lambda m: m.old_text("B"),
    "V": Machine.unicode_line,
    "X": lambda m: m.text("<I"),
    "C": lambda m: m.raw("B"),
    "B": lambda m: m.raw("<I"),
    "(": Machine.mark,
    "0": Machine.pop,
    "1": Machine.since_mark,
    "2": lambda m: m.push(m.stack[-1]),
    ")": lambda m: m.push(()),
    "t": lambda m: m.push(tuple(m.since_mark())),
    "]": lambda m: m.push([]),
    "l": lambda m: m.push(m.since_mark()),
    "a": Machine.append,
    "e": Machine.extend_since_mark,
    "}": lambda m: m.push({}),
    "d": Machine.dict_since_mark,
    "s": Machine.set_item,
    "u": Machine.set_items_since_mark,
    "p": lambda m: m.remember(m.index_line()),
    "q": lambda m: m.remember(m.number("B")),
    "r": lambda m: m.remember(m.number("<I")),
    "g": lambda m: m.recall(m.index_line()),
    "h": lambda m: m.recall(m.number("B")),
    "j": lambda m: m.recall(m.number("<I")),
    "c": Machine.named_lines,
    "R": Machine.reduce,
    "i": Machine.instance_lines,
    "o": Machine.instance,
    "b": Machine.build,
    "P": lambda m: m.outside(m.line()),
    "Q": lambda m: m.outside(m.stack.pop()),
}
_OF_CODES: dict[int, Operation] = {
    0x80: _protocol,
    0x81: Machine.reduce,  # cls.__new__(cls, *args): here the same
    0x82: lambda m: m.refuse("an extension code"),
    0x83: lambda m: m.refuse("an extension code"),
    0x84: lambda m: m.refuse("an extension code"),
    0x85: lambda m: m.tuple_of(1),
    0x86: lambda m: m.tuple_of(2),
    0x87: lambda m: m.tuple_of(3),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    0x8A: lambda m: m.long("B"),
    0x8B: lambda m: m.long("<i"),
    0x8C: lambda m: m.text("B"),
    0x8D: lambda m: m.text("<Q"),
    0x8E: lambda m: m.raw("<Q"),
    0x8F: lambda m: m.push(set()),
    0x90: Machine.add_items,
    0x91: lambda m: m.push(frozenset(as_keys(m.since_mark()))),
    0x92: Machine.new_with_keywords,
    0x93: Machine.named_texts,
    0x94: Machine.memorize,
    0x95: lambda m: m.number("<Q"),  # a frame's length is advice for readers of streams
    0x96: lambda m: m.raw("<Q"),  # a bytearray
    0x97: lambda m: m.refuse("an out-of-band buffer"),
    0x98: lambda m: m.refuse("an out-of-band buffer"),
}
_OPERATIONS = {ord(character): operation for character, operation in _OF_CHARACTERS.items()} | _OF_CODES
