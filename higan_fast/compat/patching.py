"""``patch``: our ops in one model of someone else's code; ``patch_namespace``: in a module of it."""

from __future__ import annotations

import os
import threading
import types
from collections.abc import Callable, Collection
from typing import Any, Literal, get_args
from weakref import WeakSet

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from higan_fast.compat.functions import OURS, is_served, part_for, served_globals
from higan_fast.compat.handle import Found, Handle
from higan_fast.compat.layers import KINDS, NETWORKS, Kind
from higan_fast.compat.patched import Part, Policy, give_class, original_class, restore
from higan_fast.generators import Generator
from higan_fast.generators.networks import check_network
from higan_fast.wording import in_words, printable

Check = Literal["first_call", "never"]
Gradients = Literal["ours", "original"]
LAYERS = "layers"
EVERY_MODEL = "every model"


def patch(
    model: nn.Module,
    ops: Literal["auto"] | Collection[str] = "auto",
    check: Check = "first_call",
    gradients: Gradients = "ours",
) -> Handle:
    """Lets our ops serve a model of stylegan2-ada-pytorch, stylegan3, rosinality, genforce or higan.

    What can be served is recognised by signatures and attributes, wherever the classes come from: a pickle of
    NVlabs' brings its own module along. Whole layers are replaced where they are known (with their noise,
    bias and activation in one op), single functions elsewhere. Only this instance changes, and its weights
    never do; copies of it are patched like it, and pickles of it hold the original.

    Args:
        model: a generator, a discriminator, or a part of one.
        ops: what may be served: ``"auto"``, all that is known; or some of ``"layers"`` and the names of
            single functions, such as ``"bias_act"``.
        check: ``"first_call"``: each layer and function is compared with its original once, from the same
            random numbers, and where it differs, the original is put back with a warning; ``"never"``: it
            is not.
        gradients: who serves calls that record a gradient. ``"ours"``: on CPUs ours do, with
            derivatives of any order (kernels for filters and 3×3 convolutions, torch's operators for the
            rest); on CUDA the originals. ``"original"``: the originals everywhere, bit for
            bit: in float32 a leaky ReLU takes its other slope where rounding moves a value across 0, so that
            derivatives through ours differ by about the root of that rounding, 1e-4 to 1e-3.

    Raises:
        TypeError: if the model is no network.
        ValueError: if nothing in the model is known, it is patched already, or an argument is not as stated.
    """
    check_network("model", model)
    wanted, policy, name = _wanted(ops), _policy(check, gradients), printable(type(model).__name__)
    if is_turned_off():
        return Handle.turned_off(name, policy)
    if any(original_class(module) is not type(module) for module in model.modules()):
        raise ValueError("model: it is patched already; call unpatch() of its handle first")
    if isinstance(model, Generator):
        raise ValueError(f"model: got a {name} of higan_fast, which runs our ops already; nothing to patch")
    patcher = _Patcher(policy, wanted)
    patcher.patch(model)
    if not patcher.found.served:
        raise ValueError(
            f"model: got a {name}, in which no layer and no function is known; expected a network of "
            "stylegan2-ada-pytorch, stylegan3, rosinality's stylegan2-pytorch, genforce or higan"
        )

    def undo() -> None:
        for module in list(policy.modules):
            restore(module, policy)

    return Handle(name, policy, patcher.found, undo)


def patch_every_model(check: Check = "first_call", gradients: Gradients = "ours") -> Handle:
    """Lets our ops serve every model of this process that is called, from its first call on.

    Models in which nothing is known stay as they are. Arguments are as of ``patch``. The first call of a
    layer that is called by itself, before any network that has it, is left to the original.
    """
    policy, seen, lock = _policy(check, gradients), WeakSet[nn.Module](), threading.RLock()
    if is_turned_off():
        return Handle.turned_off(EVERY_MODEL, policy)
    patcher = _Patcher(policy, _wanted("auto"))

    def look(module: nn.Module, _: object) -> None:
        if module not in seen and not torch.compiler.is_compiling():
            with lock:
                patcher.patch(module)
                seen.update(module.modules())

    hook = register_module_forward_pre_hook(look)

    def undo() -> None:
        hook.remove()
        for module in list(policy.modules):
            restore(module, policy)

    return Handle(EVERY_MODEL, policy, patcher.found, undo)


def patch_namespace(
    module: types.ModuleType, check: Check = "first_call", gradients: Gradients = "ours"
) -> Handle:
    """Lets our functions serve all code of a module, such as ``training.networks``: everyone who uses it.

    Its functions, and those of modules that it has imported, are replaced in its own namespace where their
    names and arguments are known. Instances unpickled by NVlabs' code live in other modules: ``patch`` those.

    Raises:
        TypeError: if it is no module.
        ValueError: if the module has no function that is known, or is patched already.
    """
    _check_module(module)
    policy, found = _policy(check, gradients), Found()
    if is_turned_off():
        return Handle.turned_off(module.__name__, policy)
    namespace, make_part = vars(module), part_for(policy)
    if any(map(is_served, namespace.values())):
        raise ValueError(f"module: {module.__name__} is patched already; call unpatch() of its handle first")

    def part(name: str, ours: Callable[..., Any]) -> Part:
        found.add(module.__name__, name)
        return make_part(name, ours)

    replaced = served_globals(namespace, set(namespace), part)
    if not replaced:
        raise ValueError(
            f"module: {module.__name__} has no function that is known; expected one of "
            f"{', '.join(sorted(OURS))}, with the arguments of stylegan2-ada-pytorch, stylegan3 or rosinality"
        )
    before = {name: namespace[name] for name in replaced}
    namespace.update(replaced)

    def undo() -> None:
        for name, value in replaced.items():
            if namespace.get(name) is value:
                namespace[name] = before[name]

    return Handle(module.__name__, policy, found, undo)


def is_turned_off() -> bool:
    """Whether the user has turned everything off, with ``HIGAN_FAST_DISABLE=1``."""
    return os.environ.get("HIGAN_FAST_DISABLE", "") == "1"


def _policy(check: str, gradients: str) -> Policy:
    for name, value, known in (("check", check, Check), ("gradients", gradients, Gradients)):
        if value not in get_args(known):
            raise ValueError(f"{name}: got {value!r}, expected one of {list(get_args(known))}")
    return Policy(check == "first_call", gradients == "ours")


def _wanted(ops: str | Collection[str]) -> set[str]:
    known = {LAYERS, *OURS}
    if isinstance(ops, str):
        wanted = known if ops == "auto" else {ops}
    else:
        wanted = set(map(str, ops)) if isinstance(ops, Collection) else set()
    if not wanted <= known or not wanted:
        given = ops if isinstance(ops, str) or not isinstance(ops, Collection) else sorted(map(str, ops))
        raise ValueError(f"ops: got {in_words(given)}, expected 'auto' or some of {', '.join(sorted(known))}")
    return wanted


def _check_module(module: object) -> None:
    if not isinstance(module, types.ModuleType):
        instead = (
            "patch(it) serves a network" if isinstance(module, nn.Module) else "import it, and give that"
        )
        raise TypeError(
            f"module: got {in_words(module)}, expected a module, such as training.networks; {instead}"
        )


class _Patcher:
    def __init__(self, policy: Policy, wanted: set[str]) -> None:
        self.policy, self.wanted, self.found = policy, wanted, Found()
        self.make_part = part_for(policy)

    def patch(self, model: nn.Module) -> None:
        """Patches all modules that are known, and adds them to ``found``; TorchScript's have no code."""
        modules = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
        kinds = {
            module: next((kind for kind in KINDS if kind.recognises(module)), None) for module in modules
        }
        in_known = {
            child
            for module in modules
            if any(is_network(module) for is_network in NETWORKS)
            for child in module.modules()
        }
        for module, kind in kinds.items():
            if original_class(module) is not type(module):  # patched already
                continue
            if kind is not None and LAYERS in self.wanted:
                self._patch_layer(module, kind, keeps_layout=module not in in_known)
                self.found.add(kind.family, kind.name)
            elif names := self._patch_functions(module):
                self.found.add("single functions", *names)

    def _patch_layer(self, module: nn.Module, kind: Kind, keeps_layout: bool) -> None:
        original, first = type(module), Part(kind.name, self.policy, kind.why_not, kind.serve)

        def methods(of: nn.Module) -> dict[str, Any]:
            kept = kind.keep(of)
            kept.keeps_layout = keeps_layout
            part = first.twin(
                lambda module, *args, **kwargs: kind.why_not(kept, module, *args, **kwargs),
                lambda module, *args, **kwargs: kind.serve(kept, module, *args, **kwargs),
            )

            def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
                return part(original.forward, self, (self, *args), kwargs)

            return {"forward": forward}

        give_class(module, methods, self.policy)

    def _patch_functions(self, module: nn.Module) -> set[str]:
        """Gives a module methods whose globals have our functions; returns the names of these."""
        made: dict[str, Any] = {}
        names: set[str] = set()

        def part(name: str, ours: Callable[..., Any]) -> Part | None:
            if name not in self.wanted:
                return None
            names.add(name)
            return self.make_part(name, ours)

        for name, function in _methods(type(module)).items():
            used = set(function.__code__.co_names)
            replaced = served_globals(function.__globals__, used, part)
            if replaced:
                globals_ = {**function.__globals__, **replaced}
                if "__name__" not in used:  # by which a compiler would look up the globals of the module
                    globals_.pop("__name__", None)
                copied = types.FunctionType(
                    function.__code__,
                    globals_,
                    function.__name__,
                    function.__defaults__,
                    function.__closure__,
                )
                copied.__kwdefaults__ = function.__kwdefaults__
                made[name] = copied
        if made:
            give_class(module, lambda _: made, self.policy)
        return names


def _methods(of: type) -> dict[str, types.FunctionType]:
    """The plain methods of a class and of those it is derived from, up to torch's."""
    found: dict[str, types.FunctionType] = {}
    for base in of.__mro__:
        if base is nn.Module:
            break
        for name, value in vars(base).items():
            if isinstance(value, types.FunctionType) and not name.startswith("__"):
                found.setdefault(name, value)
    return found
