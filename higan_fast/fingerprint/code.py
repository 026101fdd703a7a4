"""What code is made of, what it refers to, and whether it is an installed package's."""

from __future__ import annotations

import dis
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

OURS = __name__.partition(".")[0]


def library(module: str) -> str | None:
    """Name and version (``2.13``) of the installed package that a module belongs to; None: it is a user's.

    The last parts of a version do not count: they mend faults, and a run may go on where they differ.
    """
    name = module.partition(".")[0]
    if name in sys.stdlib_module_names or name == "builtins":
        return "python"
    package = sys.modules.get(name)
    if name != OURS and not _is_installed(package):
        return None
    version = getattr(package, "__version__", None)
    if not isinstance(version, str):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None  # its code counts instead
    numbers = re.match(r"\d+(\.\d+)?", version)
    return f"{name} {numbers[0] if numbers else version}"


def module_of(cls: type) -> ModuleType | None:
    """The module in which a class stands under its own name; None: it was made by a call."""
    module = sys.modules.get(cls.__module__)
    found: Any = module
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return module if found is cls else None


def signature(code: CodeType) -> tuple[Any, ...]:
    """What a code object does, without its constants, its file and its lines."""
    return (
        code.co_name,
        code.co_code.hex(),
        code.co_exceptiontable.hex(),
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
    )


def global_names(code: CodeType) -> list[str]:
    """The globals that code reads, and code within it."""
    found = {
        str(instruction.argval)
        for part in _parts(code)
        for instruction in dis.get_instructions(part)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return sorted(found)


def names_in(code: CodeType) -> frozenset[str]:
    """All names that code looks up, attributes among them."""
    return frozenset(name for part in _parts(code) for name in part.co_names)


def called_modules(code: CodeType) -> Iterator[ModuleType]:
    """A user's modules that code imports when it runs."""
    for part in _parts(code):
        for instruction in dis.get_instructions(part):
            if instruction.opname == "IMPORT_NAME" and not library(str(instruction.argval)):
                module = _user_module(str(instruction.argval))
                if module is not None:
                    yield module


def _user_module(name: str) -> ModuleType | None:
    try:
        top = name.partition(".")[0]
        if top not in sys.modules:
            spec = importlib.util.find_spec(top)
            if spec is None or _in_packages(spec.origin):
                return None
        return importlib.import_module(name)
    except Exception:  # whatever it raises: the code that imports it will raise it too
        return None


def _parts(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)


def _is_installed(package: ModuleType | None) -> bool:
    places = [getattr(package, "__file__", None), *getattr(package, "__path__", ())]
    return any(_in_packages(place) for place in places)


@cache
def _in_packages(place: str | None) -> bool:
    return place is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(place).parts)
