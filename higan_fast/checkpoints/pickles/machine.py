"""The stack machine whose program a pickle is: what each of its instructions does here."""

from __future__ import annotations

import codecs
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from higan_fast.checkpoints.contents import Record
from higan_fast.checkpoints.pickles.limits import CLASS, Budget, PickleError
from higan_fast.wording import printable

LONGEST_NUMBER = 64  # bytes
LONGEST_KEY = 1_000  # characters, or bytes
LONGEST_NAME = 2_000  # characters of a module and a class
# Texts are hashed with a secret of the process, numbers are not: whoever chooses many large ones can have
# each collide with all others. Old optimizers number their parameters by address, some hundred of them.
LARGE, MOST_LARGE = 2**16, 2_000
MEMO, MEMO_PER_BYTE = 2**20, 1 / 8  # the largest index: of a list, since numbers can be made to collide
_ABSENT = object()  # where the memo has nothing


@dataclass(frozen=True, eq=False)
class Global:
    """A class or a function that a pickle may name, and what calling it makes here.

    Attributes:
        make: arguments → value; None: it may be named, but not called.
    """

    module: str
    name: str
    make: Callable[..., Any] | None = None


class Pending:
    """A value that only its state completes, such as an array that is first made empty."""

    def __init__(self) -> None:
        self.remembered: list[int] = []  # where in the memo

    def completed(self, state: Any) -> Any:
        """The value itself."""
        raise NotImplementedError


class Machine:
    """The stack, the memo and the marks of one pickle."""

    def __init__(
        self,
        data: memoryview,
        start: int,
        where: str,
        allowed: Mapping[str, Global],
        budget: Budget,
        persistent: Callable[[Any], Any] | None,
        placeholder: Callable[[str, str], Global | None] = lambda module, name: None,
    ) -> None:
        self.data, self.position, self.where = data, start, where
        self.allowed, self.budget, self.persistent = allowed, budget, persistent
        self.placeholder = placeholder
        self.placeholders: dict[str, Global] = {}
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: list[Any] = []
        self.memorized = 0

    # Reading

    def take(self, length: int) -> memoryview:
        """The next bytes, as a view."""
        start, end = self.position, self.position + length
        if length < 0 or end > len(self.data):
            raise PickleError(
                f"the pickle wants {length} bytes at byte {start}, and {len(self.data) - start} are left; "
                "the file is truncated or damaged"
            )
        self.position = end
        return self.data[start:end]

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def raw_line(self) -> memoryview:
        """Up to the end of the line, however long: all bytes of an array are one line in protocol 0."""
        start = end = self.position
        reach = 256
        while end < len(self.data):
            part = bytes(self.data[end : end + reach])
            length = part.find(b"\n")
            if length >= 0:
                end += length
                self.position = end + 1
                return self.data[start : end - 1 if bytes(self.data[end - 1 : end]) == b"\r" else end]
            end += len(part)
            reach *= 2
        raise PickleError(
            f"a line of text at byte {start} of the pickle does not end; the file is truncated or damaged"
        )

    def line(self) -> str:
        return str(self.raw_line(), "latin1")

    # Values

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def text(self, layout: str) -> None:
        self.push(str(self.take(self.number(layout)), "utf-8", "surrogatepass"))

    def old_text(self, layout: str) -> None:
        """A string of Python 2, where text and bytes were one."""
        self.push(str(self.take(self.number(layout)), "latin1"))

    def raw(self, layout: str) -> None:
        self.push(self.take(self.number(layout)))

    def long(self, layout: str) -> None:
        length = self.number(layout)
        if length > LONGEST_NUMBER:
            raise PickleError(f"the pickle has a number of {length} bytes")
        self.push(int.from_bytes(self.take(length), "little", signed=True))

    def integer_line(self) -> None:
        line = self.line()
        self.push(line == "01" if line in ("00", "01") else _integer(line))

    def index_line(self) -> int:
        return _integer(self.line())

    def long_line(self) -> None:
        self.push(_integer(self.line().removesuffix("L")))

    def float_line(self) -> None:
        self.push(float(_digits(self.line())))

    def string_line(self) -> None:
        line = self.raw_line()
        if len(line) < 2 or line[0] != line[-1] or line[0] not in b"'\"":
            raise PickleError("the pickle has a string without quotes")
        unescaped: bytes = codecs.escape_decode(line[1:-1])[0]
        self.push(unescaped.decode("latin1"))

    def unicode_line(self) -> None:
        self.push(str(self.raw_line(), "raw-unicode-escape"))

    # Containers

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def tuple_of(self, length: int) -> None:
        if len(self.stack) < length:
            raise IndexError
        self.stack[-length:] = [tuple(self.stack[-length:])]

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if _is_placeholder(target):
            return
        if type(target) is not list:
            raise PickleError(f"the pickle appends to a {kind(target)}")
        target.extend(items)

    def append(self) -> None:
        self.extend([self.stack.pop()])

    def extend_since_mark(self) -> None:
        self.extend(self.since_mark())

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if _is_placeholder(target):
            return
        if type(target) not in (dict, OrderedDict):
            raise PickleError(f"the pickle sets items of a {kind(target)}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[as_key(key, len(target))] = value

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def set_items_since_mark(self) -> None:
        self.set_items(self.since_mark())

    def dict_since_mark(self) -> None:
        items = self.since_mark()
        self.push({})
        self.set_items(items)

    def add_items(self) -> None:
        items, target = self.since_mark(), self.stack[-1]
        if _is_placeholder(target):
            return
        if type(target) is not set:
            raise PickleError(f"the pickle adds to a {kind(target)}")
        for item in items:
            target.add(as_key(item, len(target)))

    # The memo

    def remember(self, index: int) -> None:
        value, known = self.stack[-1], len(self.memo)
        if index == known:
            self.memo.append(value)
            self.memorized += 1
        elif 0 <= index < MEMO + len(self.data) * MEMO_PER_BYTE:
            self.memo += [_ABSENT] * (index + 1 - known)
            self.memorized += self.memo[index] is _ABSENT
            self.memo[index] = value
        else:
            raise PickleError("the pickle numbers its objects higher than any file of weights")
        if isinstance(value, Pending):
            value.remembered.append(index)

    def memorize(self) -> None:
        self.remember(self.memorized)

    def recall(self, index: int) -> None:
        if not 0 <= index < len(self.memo) or self.memo[index] is _ABSENT:
            raise KeyError(index)
        self.push(self.memo[index])

    # Classes and functions

    def named(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise TypeError
        if (length := len(module) + len(name)) > LONGEST_NAME:
            self.refuse(f"a class whose name has {length} characters")
        full = f"{module}.{name}"
        found = self.allowed.get(full)
        if found is None or found.module != module:
            found = self._placeholder(module, name)
        self.push(found)

    def _placeholder(self, module: str, name: str) -> Global:
        full = f"{module}.{name}"
        found = self.placeholders.get(full)
        if found is None or found.module != module:
            self.budget.charge(CLASS)
            found = self.placeholder(module, name)
            if found is None:
                self.refuse(printable(full))
            self.placeholders[full] = found
        return found

    def refuse(self, what: str) -> NoReturn:
        raise PickleError(
            f"refused {what} in {self.where}: no reader of weights needs it; nothing was executed"
        )

    def named_lines(self) -> None:
        self.named(self.line(), self.line())

    def named_texts(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.named(module, name)

    def call(self, function: Any, args: Any, keywords: Any = None) -> None:
        if not isinstance(function, Global) or function.make is None or type(args) is not tuple:
            raise PickleError(f"the pickle calls a {kind(function)}")
        self.budget.charge_values(args)
        made = function.make(*args)
        if keywords and not _is_placeholder(made):
            raise PickleError(f"the pickle calls {kind(function)} with keywords")
        self.push(made)

    def reduce(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        self.call(function, args)

    def new_with_keywords(self) -> None:
        keywords, args, function = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.call(function, args, keywords)

    def instance_lines(self) -> None:
        args = tuple(self.since_mark())
        self.named_lines()
        self.call(self.stack.pop(), args)

    def instance(self) -> None:
        function, *args = self.since_mark()
        self.call(function, tuple(args))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Record):
            target.state = state
        elif isinstance(target, Pending):
            if type(state) is not tuple:
                raise PickleError(f"the pickle fills an array, or its type, with a {kind(state)}")
            self.budget.charge_values(state)
            value = self.stack[-1] = target.completed(state)
            for index in target.remembered:
                if self.memo[index] is target:
                    self.memo[index] = value
            target.remembered.clear()
        # What an OrderedDict keeps beside its items are only notes, as a state dict's _metadata.
        elif not (type(target) is OrderedDict or (type(target) is dict and not state)):
            raise PickleError(f"the pickle fills a {kind(target)}")

    def outside(self, identifier: Any) -> None:
        if self.persistent is None:
            raise PickleError("the pickle refers to an object outside of itself")
        self.push(self.persistent(identifier))


def _is_placeholder(value: Any) -> bool:
    return isinstance(value, Record) and not value.known


def as_key(key: Any, among: int = 0) -> Any:
    """A key of a dict, or a member of a set, among others: of a type and a length whose hash takes no time.

    Args:
        among: how many others.

    Raises:
        PickleError: for others.
    """
    if type(key) is str and len(key) <= LONGEST_KEY:
        return key
    if not isinstance(key, str | memoryview | int | None):
        raise PickleError(f"the pickle has a {kind(key)} for a key")
    if isinstance(key, str | memoryview) and len(key) > LONGEST_KEY:
        raise PickleError(f"the pickle has a key of {len(key)} characters")
    if isinstance(key, int) and abs(key) >= LARGE and (abs(key) >= 2**63 or among > MOST_LARGE):
        raise PickleError("the pickle has larger numbers for keys, or more of them, than any file of weights")
    return bytes(key) if isinstance(key, memoryview) else key


def as_keys(items: Iterable[Any]) -> Iterator[Any]:
    """The members of a new set; errors as of ``as_key``."""
    return (as_key(item, among) for among, item in enumerate(items))


def kind(value: Any) -> str:
    """What a message calls a value."""
    known = isinstance(value, Global | Record)
    return printable(f"{value.module}.{value.name}" if known else type(value).__name__)


def _integer(line: str) -> int:
    return int(_digits(line))


def _digits(line: str) -> str:
    """Of a number."""
    if len(line) > 2 * LONGEST_NUMBER:
        raise PickleError(f"the pickle has a number of {len(line)} digits")
    return line
