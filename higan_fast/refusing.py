"""Whatever goes wrong in reading a file → one clean line that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from higan_fast.wording import LONGEST_MESSAGE, printable

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")  # in what torch says of the CPU's


@contextmanager
def refusing(path: Path, doing: str = "reading it") -> Iterator[None]:
    """Turns every error of a reader into a ValueError of one printable line that names the file.

    Errors that are such a line already stay as they are. Those of the operating system, of a GPU's memory and
    of what is installed, which are not the file's fault, keep their class.

    Args:
        path: the file.
        doing: what fails, as the line says it.
    """
    try:
        yield
    except MemoryError:
        raise ValueError(_line(path, _memory(doing))) from None
    except RecursionError:
        raise ValueError(_line(path, f"{doing} failed: it is nested too deeply; it is damaged")) from None
    except OSError as error:
        raise type(error)(_line(path, error.strerror or str(error))) from error
    except (torch.OutOfMemoryError, ImportError):
        raise
    except ValueError as error:
        if (line := _line(path, str(error))) == str(error):
            raise
        raise ValueError(line) from error
    except Exception as error:  # where a number is expected, a file may have a tensor, or a dictionary
        if any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise ValueError(_line(path, _memory(doing))) from None
        problem = f"{doing} failed: {type(error).__name__}: {printable(str(error))}"
        raise ValueError(_line(path, f"is damaged; {problem}")) from error


def _memory(doing: str) -> str:
    return f"{doing} takes more memory than there is; is it damaged, or another program's large file?"


def _line(path: Path, message: str) -> str:
    names = str(path), printable(str(path), len(str(path)) * 10)  # as it is, and as another line has it
    named = message if any(name in message for name in names) else f"{path}: {message}"
    return printable(named, LONGEST_MESSAGE + len(str(path)))
