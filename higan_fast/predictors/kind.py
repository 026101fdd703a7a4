"""A kind of predictor: what one can name in a word, by a file, or as ``kind:argument``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from higan_fast.predictors.base import Predictor

Change = Callable[[str], str]


def one_path(argument: str) -> list[Path]:
    """The files of a kind whose argument is a file, or nothing."""
    return [Path(argument)] if argument else []


def moved_path(argument: str, change: Change) -> str:
    """As ``Kind.moved``, of a kind whose argument is one path, or nothing."""
    return change(argument) if argument else ""


def path_and_name(argument: str, suffix: str) -> tuple[str, str]:
    """``"my.py:make"`` → ``"my.py"`` and ``"make"``; without a name behind the path, that is empty."""
    path, _, name = argument.rpartition(":")
    return (path, name) if path.endswith(suffix) else (argument, "")


def moved_with_name(suffix: str) -> Callable[[str, Change], str]:
    """Makes ``Kind.moved`` of a kind whose argument is a path with this suffix, perhaps a name behind it."""

    def moved(argument: str, change: Change) -> str:
        path, name = path_and_name(argument, suffix)
        return f"{change(path)}:{name}" if name else change(path)

    return moved


def no_files(argument: str) -> list[Path]:
    """The files of a kind that reads none."""
    return []


def unmoved(argument: str, change: Change) -> str:
    """As ``Kind.moved``, of a kind whose argument holds no path."""
    return argument


def never(argument: str) -> bool:
    """As ``Kind.runs_code``, of a kind that executes nothing that a file holds."""
    return False


def always(argument: str) -> bool:
    """As ``Kind.runs_code``, of a kind whose files are code."""
    return True


@dataclass(frozen=True)
class Kind:
    """One way to name a predictor; each module in ``predictors/kinds/`` makes one, as ``KIND``.

    Attributes:
        name: the word before the colon, or the whole of it: ``"color"``, ``"onnx"``.
        example: what one writes after ``--predictor``, options included.
        help: what it scores, in one line.
        read: the argument and the options that were given → the predictor, on the CPU. Raises
            FileNotFoundError or ValueError, one line that says what to do.
        suffixes: of files that are of this kind without its name before them; no other kind has these.
        options: of those that ``load_predictor`` passes on, the ones that it takes; ``"names"`` is
            ``semantics`` there, and ``--names`` on the command line.
        file_options: those of them whose value may be a file, which decides the scores too.
        files: argument → the files that decide its scores, whose SHA-256 a run keeps. It reads none of them
            as a whole, and raises where one is missing.
        moved: the argument with each path in it replaced by what a function gives for it, so that a run
            folder finds it from elsewhere.
        runs_code: argument → whether reading it runs code that a file holds.
    """

    name: str
    example: str
    help: str
    read: Callable[[str, Mapping[str, Any]], Predictor]
    suffixes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    file_options: tuple[str, ...] = ()
    files: Callable[[str], list[Path]] = one_path
    moved: Callable[[str, Change], str] = moved_path
    runs_code: Callable[[str], bool] = never
