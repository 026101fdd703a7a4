"""One module whose calls are served by our ops: it gets a class of its own, derived from the one it had.

So the module stays where it is, with its parameters, hooks and attributes, and only ``forward`` is another.
What a pickle holds is the module as it was, so that it opens without this package.
"""

from __future__ import annotations

import copy
import copyreg
import threading
import warnings
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from higan_fast.compat.agreement import difference
from higan_fast.compat.tally import Tally, active, counting
from higan_fast.generators.prepared import is_watched

Serve = Callable[..., Any]

_copyreg: Any = copyreg  # parts of it are not in its type


class _Thread(threading.local):
    """Whether the originals run in this thread, to be compared with ours."""

    originals = False


_thread = _Thread()


class Policy:
    """What all patched parts of one model share.

    Attributes:
        tally: where their calls are counted.
        check: whether a part is compared with its original before it serves.
        gradients: whether our ops serve calls that record a gradient; otherwise the originals do.
        modules: the modules that are patched, copies of them included.
    """

    def __init__(self, check: bool, gradients: bool) -> None:
        self.tally, self.check, self.gradients = Tally(), check, gradients
        self.modules: WeakSet[nn.Module] = WeakSet()

    def why_original(self, tensors: list[Tensor]) -> str:
        """Why the original must run, whatever it computes; empty: ours may."""
        device = tensors[0].device.type if tensors else "cpu"
        if torch.is_autocast_enabled(device):
            return "autocast"
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            if not self.gradients:
                return "a gradient is needed, and gradients='original'"
            if device == "cuda":
                return "a gradient is needed on CUDA"  # where the originals have kernels for it
        return ""


class Part:
    """A layer or a function that ours replaces: decides at each call which of both runs.

    Args:
        name: what a report calls it.
        policy: of the whole model.
        why_not: what ours do not take, from the arguments; empty: they take all.
        serve: ours.
    """

    def __init__(self, name: str, policy: Policy, why_not: Callable[..., str], serve: Serve) -> None:
        self.name, self.policy = name, policy
        self.why_not, self.serve = why_not, serve
        self.put_back = ""  # why it never serves again
        self._to_check, self._lock = policy.check, threading.RLock()

    def __call__(
        self, original: Serve, of: nn.Module | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Runs ours or ``original`` with these arguments.

        Args:
            original: what ours replace.
            of: the module whose parameters the call reads; None: a function.
            args, kwargs: those of the call.
        """
        compiling = torch.compiler.is_compiling()
        if not compiling and _thread.originals:
            return original(*args, **kwargs)
        tensors = _tensors(args, kwargs)
        parameters = list(of.parameters()) if of is not None and torch.is_grad_enabled() else []
        try:
            reason = (
                self.put_back
                or self.policy.why_original([*tensors, *parameters])
                or self.why_not(*args, **kwargs)
            )
        except (TypeError, AttributeError, IndexError):  # a call that the original refuses, or knows more of
            reason = "arguments of other kinds"
        if reason:
            if not compiling:
                active(self.policy.tally).add(self.name, "original", reason)
            return _called(original, args, kwargs)
        if self._to_check and not is_watched():
            with self._lock:
                if self._to_check:
                    return self._first(original, args, kwargs)
        if compiling:
            return self.serve(*args, **kwargs)
        with counting(active(self.policy.tally)):
            return self.serve(*args, **kwargs)

    def _first(self, original: Serve, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs both, from the same random numbers, and puts the original back where ours differ."""
        devices = sorted({t.device.index for t in _tensors(args, kwargs) if t.device.type == "cuda"})
        expected, problem = None, ""
        with torch.random.fork_rng(devices), torch.no_grad():
            before, _thread.originals = _thread.originals, True
            try:
                expected = _called(original, args, kwargs)
            except RuntimeError as error:  # such as a plugin that does not compile
                problem = str(error).splitlines()[0] if str(error) else type(error).__name__
            finally:
                _thread.originals = before
        states = torch.get_rng_state(), [torch.cuda.get_rng_state(device) for device in devices]
        tally, calls = active(self.policy.tally), Tally()
        with counting(calls):
            found = self.serve(*args, **kwargs)
        self._to_check = False
        self.put_back = "" if problem else difference(found, expected)
        if not self.put_back:
            tally.add_all(calls)
            if problem:
                tally.add(self.name, "unchecked", f"the original failed: {problem}")
            return found
        tally.add(self.name, "original", self.put_back)  # what ours gave is nobody's
        warnings.warn(
            f"higan_fast: {self.name} differs from the original ({self.put_back}), which is put back",
            RuntimeWarning,
            stacklevel=4,
        )
        torch.set_rng_state(states[0])
        for device, state in zip(devices, states[1], strict=True):
            torch.cuda.set_rng_state(state, device)
        return _called(original, args, kwargs)

    def twin(self, why_not: Callable[..., str], serve: Serve) -> Part:
        """The same for a copy of the module."""
        other = Part(self.name, self.policy, why_not, serve)
        other.put_back, other._to_check = self.put_back, self._to_check
        return other


def give_class(module: nn.Module, methods: Callable[[nn.Module], dict[str, Any]], policy: Policy) -> None:
    """Gives a module a class of its own.

    Args:
        module: the module.
        methods: the methods that it gets, by name; called again for a copy of the module.
        policy: of the whole model.
    """
    original: Any = type(module)

    def reduce(self: nn.Module, protocol: Any) -> Any:
        reduced: Any = _as_it_was(self, original).__reduce_ex__(protocol)
        function, args, *rest = reduced
        if function is _copyreg.__newobj__:  # which asks for the class that the module has
            function, args = _copyreg._reconstructor, (original, object, None)
        return (function, args, *rest)

    def deep_copy(self: nn.Module, memo: dict[int, Any]) -> Any:
        copied = original.__new__(original)
        memo[id(self)] = copied
        state = copy.deepcopy(self.__getstate__(), memo)
        copied.__setstate__(state)
        give_class(copied, methods, policy)
        return copied

    namespace = {
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
        "__reduce_ex__": reduce,
        "_higan_fast_original": original,
        "_higan_fast_policy": policy,
        **methods(module),
    }
    if not hasattr(original, "__deepcopy__"):
        namespace["__deepcopy__"] = deep_copy
    module.__class__ = type(original)(original.__name__, (original,), namespace)
    policy.modules.add(module)


def original_class(module: nn.Module) -> Any:
    """The class that a module has, or had before it was patched."""
    return vars(type(module)).get("_higan_fast_original", type(module))


def restore(module: nn.Module, policy: Policy) -> None:
    """Gives a module the class back that it had, if it was ``policy`` that took it."""
    if vars(type(module)).get("_higan_fast_policy") is policy:
        module.__class__ = original_class(module)


def _as_it_was(module: nn.Module, original: type[nn.Module]) -> nn.Module:
    """The same module under the class that it had, sharing everything."""
    bare = original.__new__(original)
    object.__setattr__(bare, "__dict__", module.__dict__)
    return bare


def _tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    return [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]


def _called(original: Serve, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls an original with features in its own layout: it may view what ours leave channels-last."""
    return original(*map(_in_layout, args), **{name: _in_layout(value) for name, value in kwargs.items()})


def _in_layout(value: Any) -> Any:
    return value.contiguous() if isinstance(value, Tensor) and value.ndim == 4 else value
