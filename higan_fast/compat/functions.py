"""Single functions of other people's code that ours replace: found by name and signature together."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any

from higan_fast.compat import nvlabs_sg2, nvlabs_sg3, rosinality
from higan_fast.compat.patched import Part, Policy

ORIGINAL = "higan_fast_original"  # attribute of a function that ours serve: what it was
# For each name, the functions of ours that have it; the arguments' names tell which one is meant.
OURS: dict[str, list[Callable[..., Any]]] = {}
for _module in (nvlabs_sg2, nvlabs_sg3, rosinality):
    for _name in _module.__all__:
        _function = getattr(_module, _name)
        if isinstance(_function, types.FunctionType) and _name not in ("setup_filter", "fma"):
            OURS.setdefault(_name, []).append(_function)


def ours_for(name: str, theirs: Any) -> Callable[..., Any] | None:
    """Returns our function with the name and the arguments of theirs; None: there is none."""
    if name not in OURS or not isinstance(theirs, types.FunctionType):
        return None
    wanted = _arguments(theirs)
    return next((ours for ours in OURS[name] if _arguments(ours) == wanted and ours is not theirs), None)


def served_globals(
    globals_: Mapping[str, Any], used: set[str], parts: Callable[[str, Callable[..., Any]], Part | None]
) -> dict[str, Any]:
    """Returns the entries of a module's namespace that ours replace, with what replaces them.

    Args:
        globals_: the namespace.
        used: names that its code uses; of a module in it, as ``bias_act`` in ``bias_act.bias_act(…)``, the
            entry is a stand-in with our functions.
        parts: makes what decides at each call, from a name and our function; None: it is not wanted.
    """
    found: dict[str, Any] = {}
    for name in used & globals_.keys():
        value = globals_[name]
        if (ours := ours_for(name, value)) and (part := parts(name, ours)):
            found[name] = _served(value, part)
        elif isinstance(value, types.ModuleType):
            inside = {
                key: _served(entry, part)
                for key, entry in vars(value).items()
                if (ours := ours_for(key, entry)) and (part := parts(key, ours))
            }
            if inside:
                stand_in = types.ModuleType(value.__name__, value.__doc__)
                vars(stand_in).update(vars(value) | inside)
                found[name] = stand_in
    return found


def is_served(entry: Any) -> bool:
    """Whether an entry of a namespace is what ``served_globals`` made."""
    inside = vars(entry).values() if isinstance(entry, types.ModuleType) else (entry,)
    return any(hasattr(value, ORIGINAL) for value in inside if isinstance(value, types.FunctionType))


def _served(original: Callable[..., Any], part: Part) -> Callable[..., Any]:
    @functools.wraps(original)
    def served(*args: Any, **kwargs: Any) -> Any:
        return part(original, None, args, kwargs)

    setattr(served, ORIGINAL, original)
    return served


def part_for(policy: Policy) -> Callable[[str, Callable[..., Any]], Part]:
    """Returns what makes the parts of functions, one for each of ours."""

    @functools.cache
    def part(name: str, ours: Callable[..., Any]) -> Part:
        return Part(name, policy, lambda *_, **__: "", ours)

    return part


def _arguments(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments, also of a function within a decorator that hides them."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    names = list(inspect.signature(function).parameters)
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    inner = [value for value in cells if isinstance(value, types.FunctionType)]
    if names == ["args", "kwargs"] and len(inner) == 1:
        return _arguments(inner[0])
    return names
