"""A function, a network or a predictor in somebody's own Python file; it runs as their code."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from higan_fast.opening import check_file
from higan_fast.predictors.base import Predictor, described
from higan_fast.predictors.loading import option_name
from higan_fast.predictors.network import NetworkPredictor
from higan_fast.wording import in_words, printable

MOST_LISTED = 8


def user_predictor(path: Path, name: str, options: Mapping[str, Any]) -> Predictor:
    """What ``name`` stands for in a Python file, which is run.

    Args:
        path: the file. Its folder is added to the places from which Python imports, at their end.
        name: a ``Predictor``, an ``nn.Module`` or a function of images; or a class or function that makes
            one of these of no arguments. Dots lead into objects.
        options: of ``NetworkPredictor``; a ``Predictor`` takes none. Without ``names``, the ``semantics`` of
            what was found say them.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when running it fails, there is nothing of this name, or it is no predictor.
    """
    where = f"{path}:{name}"
    module = _run(path)
    if not name:
        offered = [key for key, value in vars(module).items() if _is_own(module, key, value)]
        one_of = f", such as {', '.join(offered[:MOST_LISTED])}" if offered else ""
        raise ValueError(f"{path}: expected {path}:NAME, the name of what scores in it{one_of}")
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{where}: there is no {in_words(part)} in it")
        found = getattr(found, part)
    if _makes_one(found):
        try:
            found = found()
        except Exception as error:  # whatever somebody's code raises
            raise ValueError(f"{where}: calling it failed ({_described(error)})") from error
    if isinstance(found, Predictor):
        if options:
            option = option_name(next(iter(options)))
            raise ValueError(f"{option}: {where} is a Predictor and has its own; give it by itself")
        return found
    if not callable(found):
        raise ValueError(f"{where}: is {described(found)}, expected a Predictor, a network or a function")
    if isinstance(found, torch.nn.Module):
        found.requires_grad_(False)
    own = {"names": getattr(found, "semantics", None)} | dict(options)
    return NetworkPredictor(found, own.pop("names"), where, **own)


def _run(path: Path) -> ModuleType:
    """Runs a file as a module that carries its name, so that its classes are found by theirs."""
    check_file(path)
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    name = f"user_{path.stem}".replace(".", "_")  # the name of no package
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    assert spec is not None and spec.loader is not None  # its name ends in .py
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise ValueError(f"{path}: running it failed ({_described(error)})") from error
    return module


def _makes_one(found: Any) -> bool:
    """Whether something is to be called without arguments, and what it gives is what scores."""
    if isinstance(found, type):
        return True
    if isinstance(found, torch.nn.Module) or not callable(found):
        return False
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):  # built in: it tells nobody
        return False
    given = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(each.default is not each.empty or each.kind in given for each in parameters)


def _is_own(module: ModuleType, name: str, value: Any) -> bool:
    own = getattr(value, "__module__", None) == module.__name__ or isinstance(value, torch.nn.Module)
    return own and callable(value) and not name.startswith("_")


def _described(error: BaseException) -> str:
    line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
    return printable(f"{type(error).__name__}{line}: {error}")
