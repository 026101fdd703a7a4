"""``FILE.py:NAME``: a function, network or predictor in somebody's own Python file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from higan_fast.predictors.base import Predictor
from higan_fast.predictors.kind import Kind, always, moved_with_name, path_and_name
from higan_fast.predictors.network import OPTIONS

SUFFIX = ".py"


def read(argument: str, options: Mapping[str, Any]) -> Predictor:
    """What scores; errors as of ``user_predictor``."""
    from higan_fast.predictors.user_code import user_predictor

    path, name = path_and_name(argument, SUFFIX)
    return user_predictor(Path(path), name, options)


def files(argument: str) -> list[Path]:
    """The file itself; what it imports counts by what its functions are made of."""
    return [Path(path_and_name(argument, SUFFIX)[0])]


KIND = Kind(
    name="python",
    example="my.py:make_predictor --names wood,lighting",
    help="a function, nn.Module or Predictor of yours, or what makes one; the file runs as your own code",
    read=read,
    suffixes=(SUFFIX,),
    options=OPTIONS,
    files=files,
    moved=moved_with_name(SUFFIX),
    runs_code=always,
)
