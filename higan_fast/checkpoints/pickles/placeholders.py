"""What stands for a class or a function of other code: something inert that is never called, nor read.

A file often holds more than the generator: a discriminator with the modules of another library, say. Such
names are kept as placeholders. Python's own modules, NumPy and torch stay refused, but for what is listed
here: there lies everything that a payload needs, and no neighbour does.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from higan_fast.checkpoints.contents import Record
from higan_fast.checkpoints.pickles.machine import Global

IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
PATH = re.compile(r"[A-Za-z_]\w{0,99}(\.[A-Za-z_]\w{0,99}){0,15}", re.ASCII)

# Where nothing is kept that is not listed below. Python 2 had other names for some of its modules.
OF_PYTHON_2 = {
    "__builtin__",
    "commands",
    "popen2",
    "cPickle",
    "copy_reg",
    "urllib2",
    "exceptions",
    "UserDict",
}
REFUSED = sys.stdlib_module_names | OF_PYTHON_2 | {"numpy", "torch"}

# The building blocks of networks.
HARMLESS_PARTS = ("torch.nn.modules.", "torch.nn.parameter.", "torch.nn.functional.")
# Types, and containers that run nothing when they are made.
HARMLESS = {
    "functools.partial", "collections.defaultdict", "collections.deque", "collections.Counter",
    "types.SimpleNamespace", "pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath",
    *(
        f"{module}.{name}"
        for module in ("builtins", "__builtin__")
        for name in ("int", "long", "float", "bool", "str", "unicode", "list", "tuple", "complex", "slice")
    ),
    *(f"torch.{name}" for name in ("float32", "float16", "bfloat16", "float64", "int64", "int32", "uint8")),
    *(f"torch.{name}" for name in ("contiguous_format", "channels_last", "preserve_format", "strided")),
}  # fmt: skip


def placeholder(module: str, name: str) -> Global | None:
    """What stands for ``module.name``; None: it is refused."""
    full = f"{module}.{name}"
    if not PATH.fullmatch(module) or not IDENTIFIER.fullmatch(name):
        return None
    if (
        module.split(".")[0] in REFUSED
        and full not in HARMLESS
        and not f"{module}.".startswith(HARMLESS_PARTS)
    ):
        return None

    def inert(*args: Any) -> Record:
        return Record(module, name, args, known=False)

    return Global(module, name, inert)
