"""How texts, values and lists of names stand in messages: what a file says printable, short, on one line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

LONGEST = 200  # characters of one value
LONGEST_MESSAGE = 2_000  # of a whole message, which names a path and a few values
MOST_BITS = 128  # of a number that is shown digit by digit
MOST_ENTRIES = 8  # of a list that is shown entry by entry


def printable(text: str, limit: int = LONGEST) -> str:
    r"""Returns a text as one printable line of at most ``limit`` characters; "…" marks a cut.

    Control characters, line breaks, surrogates and marks that change the direction of writing become escapes
    such as ``\x1b``: they could move the cursor of a terminal, forge a second message, or stop the output.
    """
    line = "".join(character if character.isprintable() else _escape(character) for character in text[:limit])
    return line if len(text) <= limit and len(line) <= limit else f"{line[: limit - 1]}…"


def in_words(value: object) -> str:
    """Returns what a message says of a value: texts in quotes, numbers, short lists of both, else the type.

    It never calls ``repr`` on a container: a small file may hold one list many times within itself, whose
    text would have no end.
    """
    if isinstance(value, str):
        return f"'{printable(value, LONGEST - 2)}'"
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return f"a number of {value.bit_length()} bits"  # Python refuses to write very long ones
    if isinstance(value, bool | int | float | None):
        return str(value)
    if isinstance(value, list | tuple) and len(value) < MOST_ENTRIES and all(map(_is_plain, value)):
        return printable(f"[{', '.join(map(in_words, value))}]")
    return f"a {printable(type(value).__name__)}"


def argument(path: object) -> str:
    """Returns a path as the argument of a command that a message tells a reader to run: quoted, no option."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


def digits_apart(first: float, second: float, least: int = 2) -> int:
    """Returns how many significant digits tell two numbers apart, at least ``least``, at most 17."""
    told = (digits for digits in range(least, 17) if f"{first:.{digits}g}" != f"{second:.{digits}g}")
    return least if first == second else next(told, 17)


def listing(names: Sequence[str], most: int | None = None) -> str:
    """``a, b and c``; of more than ``most`` the first, ``a, b and 3 more``."""
    if most is not None and len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def line_of(error: BaseException) -> str:
    """Returns what an error says, on one printable line."""
    message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if isinstance(error, OSError) and error.strerror:
        message = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return printable(message or type(error).__name__, LONGEST_MESSAGE)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | bool | int | float | None)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
