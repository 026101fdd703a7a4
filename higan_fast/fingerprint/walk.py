"""Walks through a network, its attributes and its code, and hashes what it meets."""

from __future__ import annotations

import copyreg
import enum
import functools
import hashlib
import random
import threading
import types
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from higan_fast.fingerprint.code import called_modules, global_names, library, module_of, names_in, signature

ATOMS = (types.NoneType, bool, int, float, complex, str, bytes, types.EllipsisType, range, slice)
CONSTANTS = (torch.dtype, torch.layout, torch.memory_format)
# What decides no output. Locks and streams hold nothing; a device is where the network runs, not what it is.
LOCKS = (type(threading.Lock()), type(threading.RLock()))
NOTHING = (torch.device, torch.cuda.Stream, torch.cuda.Event, weakref.ref, *LOCKS)
RANDOM = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
DESCRIPTORS = (
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)
CACHED = type(functools.lru_cache(repr))
FUNCTIONS = (types.FunctionType, staticmethod, classmethod, property, functools.cached_property)
SEQUENCES = (tuple, list, torch.Size)

# Attributes of nn.Module that say nothing of its output, and those whose keys count calls.
OF_MODULES = {
    "training", "_non_persistent_buffers_set", "_is_full_backward_hook", "_backward_hooks",
    "_backward_pre_hooks", "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks", "_compiled_call_impl",
}  # fmt: skip
HOOKS = {
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
}  # fmt: skip


class Walk:
    """Visits values one after the other, each once.

    Attributes:
        unseen: what could not be looked into, each as the place where it is and its type.
    """

    def __init__(self, seen: Mapping[Any, int] | None = None, unseen: dict[str, None] | None = None) -> None:
        self._digest = hashlib.sha256()
        self._seen: dict[Any, int] = dict(seen or {})
        self._alive: list[object] = []  # an id may be given out again once its object is gone
        self.unseen: dict[str, None] = {} if unseen is None else unseen

    def hexdigest(self) -> str:
        return self._digest.hexdigest()

    def visit(self, value: Any, where: str) -> None:
        """Hashes a value and all that it refers to; ``where`` it is, as a message would say it."""
        if isinstance(value, enum.Enum):
            self._put("enum", type(value).__qualname__, value.name)
        elif type(value) in ATOMS or isinstance(value, CONSTANTS):
            self._put(type(value).__name__, repr(value))
        elif isinstance(value, NOTHING):
            self._put("nothing")
        elif isinstance(value, types.ModuleType):
            self._put("module", library(value.__name__) or value.__name__)
        elif type(value) in (tuple, frozenset) or self._is_new(id(value)):
            # Whether equal constants are one tuple is the compiler's affair, and none of them holds itself.
            self._alive.append(value)
            try:
                self._composite(value, where)
            except RecursionError:
                self._not_seen(value, where)

    def _composite(self, value: Any, where: str) -> None:
        if isinstance(value, torch.nn.Module):
            self._module(value, where)
        elif isinstance(value, torch.Tensor):
            self._tensor(value, where)
        elif isinstance(value, np.ndarray | np.generic):
            self._array(np.asarray(value), where)
        elif isinstance(value, type):
            self._class(value, where)
        elif isinstance(value, types.FunctionType):
            self._function(value, where)
        elif isinstance(value, types.MethodType):
            self._put("method")
            self._each((value.__func__, value.__self__), where)
        elif isinstance(value, types.BuiltinFunctionType):
            self._put("builtin", value.__qualname__, str(value.__module__))
            if not isinstance(value.__self__, types.ModuleType | type | None):
                self.visit(value.__self__, where)
        elif isinstance(value, DESCRIPTORS):
            self._put("descriptor", value.__objclass__.__qualname__, value.__name__)
        elif isinstance(value, property):
            self._each((value.fget, value.fset, value.fdel), where)
        elif isinstance(value, functools.cached_property):
            self.visit(value.func, where)
        elif isinstance(value, staticmethod | classmethod):
            self._put(type(value).__name__)
            self.visit(value.__func__, where)
        elif isinstance(value, types.CodeType):
            self._code(value, where)
        elif type(value) in SEQUENCES:
            self._put(type(value).__name__, len(value))
            self._each(value, where)
        elif isinstance(value, set | frozenset):
            self._set(value, where)
        elif type(value) is dict or isinstance(value, types.MappingProxyType):
            self._put("dict", len(value))
            for key, item in value.items():
                self.visit(key, where)
                self.visit(item, f"{where}[{key!r:.40}]")
        else:
            self._object(value, where)

    def _module(self, module: torch.nn.Module, where: str) -> None:
        if type(module).__name__ == "OptimizedModule":  # what torch.compile makes
            self.visit(module._orig_mod, where)
            return
        if isinstance(module, torch.jit.ScriptModule):
            # Its code and the values of its attributes, as text; the parameters come after.
            self._put("script", module._c.dump_to_str(True, True, False))
            self._each([*module.named_parameters(), *module.named_buffers()], where)
            return
        if where and isinstance(getattr(module, "identity", None), str):
            self.named(module, where)
            return
        self.visit(type(module), where)
        ignored = OF_MODULES | set(getattr(type(module), "not_fingerprinted", ()))
        for name, value in sorted(vars(module).items()):
            if name in HOOKS:
                self._put(name)
                self._each(value.values(), f"{where}.{name}")
            elif name in ("_parameters", "_buffers", "_modules"):
                for key, part in value.items():
                    if name == "_modules" or key not in ignored:
                        self._put(name, key)
                        self.visit(part, f"{where}.{key}".lstrip("."))
            elif name not in ignored and not (value is None and getattr(type(module), name, 0) is None):
                self._put("attribute", name)  # unless it says what its class says
                self.visit(value, f"{where}.{name}".lstrip("."))

    def named(self, module: torch.nn.Module, where: str) -> None:
        """A module whose ``identity`` stands for its code and attributes; its tensors count as they are."""
        self.visit(module.identity, f"{where}.identity".lstrip("."))
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            self.visit(name, name)
            self.visit(tensor, name)

    def _tensor(self, tensor: torch.Tensor, where: str) -> None:
        self._put("tensor", str(tensor.dtype), str(tuple(tensor.shape)))
        try:
            plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
            self._digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
        except (RuntimeError, NotImplementedError, TypeError):  # sparse, quantised, or without data
            self._not_seen(tensor, where)

    def _array(self, array: np.ndarray[Any, Any], where: str) -> None:
        self._put("array", array.dtype.str, str(array.shape))
        if array.dtype.hasobject:
            self._each(array.ravel().tolist(), where)
        else:
            self._digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def _class(self, cls: type, where: str) -> None:
        self._put("class", cls.__qualname__)
        package = library(cls.__module__)
        if package and module_of(cls) is not None:
            self._put(cls.__module__, package)
            return
        self._each(cls.__bases__, where)
        for name, member in sorted(vars(cls).items()):
            special = name.startswith("__") and name.endswith("__")
            if name.startswith(("_abc_", "__annotate")) or (special and not isinstance(member, FUNCTIONS)):
                continue
            self._put("member", name)
            self.visit(member, f"{cls.__qualname__}.{name}")

    def _function(self, function: types.FunctionType, where: str) -> None:
        self._put("function", function.__qualname__)
        name = str(function.__globals__.get("__name__", ""))
        package = library(name)
        if package:
            self._put(name, package)
        if not package or "<" in function.__qualname__:
            self._code(function.__code__, where, function.__doc__)
        self._each((function.__defaults__, function.__kwdefaults__), where)
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._put("closure", variable)
            try:
                self.visit(cell.cell_contents, f"{where} → {variable}".removeprefix(" → "))
            except ValueError:  # it has no value yet
                self._put("empty")
        self._each(sorted(vars(function).items()), where)
        if not package:
            self._globals(function, where)

    def _globals(self, function: types.FunctionType, where: str) -> None:
        """The globals that a user's function reads, and what it reads of modules that are no package's."""
        names = names_in(function.__code__)
        for name in global_names(function.__code__):
            if name in function.__globals__:
                self._put("global", name)
                self._global(function.__globals__[name], names, f"{where} → {name}".removeprefix(" → "))
        for module in called_modules(function.__code__):
            self._global(module, names, where)

    def _global(self, value: Any, names: frozenset[str], where: str) -> None:
        if not isinstance(value, types.ModuleType) or library(value.__name__):
            self.visit(value, where)
        elif self._is_new((id(value), names)):
            for name in sorted(names & set(vars(value))):
                self._put("of module", name)
                self._global(vars(value)[name], names, f"{where}.{name}")

    def _code(self, code: types.CodeType, where: str, doc: str | None = None) -> None:
        """What runs, rather than its source: a comment changes nothing, nor does a file edited since."""
        self._put("code", *signature(code))
        for index, constant in enumerate(code.co_consts):
            if not (index == 0 and constant == doc and code.co_name != "<lambda>"):
                self.visit(constant, where)

    def _set(self, values: Iterable[Any], where: str) -> None:
        digests = []
        for value in values:
            walk = Walk(self._seen, self.unseen)
            walk.visit(value, where)
            digests.append(walk.hexdigest())
        self._put("set", *sorted(digests))

    def _object(self, value: Any, where: str) -> None:
        """Any other object, by what a copy of it would be made of."""
        if isinstance(value, RANDOM):
            self._put("random")
            self._not_seen(value, where)
            return
        self.visit(type(value), where)
        if isinstance(value, CACHED):  # what it remembers decides nothing
            self.visit(value.__wrapped__, where)
            return
        if type(value).__module__ == "torch._ops":
            self._put(str(value))
            return
        try:
            reducer = copyreg.dispatch_table.get(type(value))
            made_of = reducer(value) if reducer else value.__reduce_ex__(2)
        except Exception:  # whatever it raises where it cannot be copied
            self._not_seen(value, where)
            return
        if isinstance(made_of, str):
            self._put("name", made_of)
            return
        ignored = getattr(type(value), "not_fingerprinted", ())
        for index, part in enumerate(made_of):
            if index == 2 and isinstance(part, dict):
                for name, item in sorted(part.items(), key=lambda pair: str(pair[0])):
                    if name in ignored:
                        continue
                    self._put("attribute", str(name))
                    self.visit(item, f"{where}.{name}".lstrip("."))
            else:
                self.visit(list(part) if hasattr(part, "__next__") else part, where)

    def _each(self, values: Iterable[Any], where: str) -> None:
        for value in values:
            self.visit(value, where)

    def _is_new(self, key: Any) -> bool:
        """Whether something is met for the first time; else notes which one it is."""
        if key in self._seen:
            self._put("again", self._seen[key])
            return False
        self._seen[key] = len(self._seen)
        return True

    def _not_seen(self, value: Any, where: str) -> None:
        self.unseen[f"{where or 'the network'} ({type(value).__module__}.{type(value).__qualname__})"] = None

    def _put(self, *words: object) -> None:
        for word in words:
            data = str(word).encode("utf-8", "surrogatepass")
            self._digest.update(b"%d:%b," % (len(data), data))
