"""CUDA graphs and streams on a CPU: what the real ones do to memory, and when, without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from higan_fast.engine.streams import SecondStream


class EmulatedTape:
    """Records ops, and replays them on the very tensors that they were recorded on, without Python.

    As on CUDA all recordings work in the same memory: a replay spoils whatever the others have made.
    """

    def __init__(self) -> None:
        self.is_ready, self.problem = True, None
        self.recorded = self.replayed = self.forgotten = 0
        self._all: list[RecordedOps] = []

    def ready(self) -> bool:
        return self.is_ready

    def in_turn(self) -> Any:
        return nullcontext()

    def rehearse(self, run: Callable[[], Tensor]) -> Tensor:
        return run()

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        ops = RecordedOps()
        with ops:
            run()
        if self.problem is not None:
            raise self.problem
        self._all.append(ops)
        self.recorded += 1
        ops.spoil()  # while CUDA records, nothing is computed

        def replay() -> None:
            self.replayed += 1
            for other in self._all:
                other.spoil()
            ops.replay()

        return replay

    def forget(self) -> None:
        self.forgotten += 1
        for ops in self._all:
            ops.spoil()
        self._all.clear()


class RecordedOps(TorchDispatchMode):
    """The ops that run within it, and what they made: the first tensor on each piece of memory."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.given: set[int] = set()
        self.made: dict[int, Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, result))
        self.given |= {_memory(tensor) for tensor in _tensors((args, kwargs))} - self.made.keys()
        for tensor in _tensors(result):
            if _memory(tensor) not in self.given:
                self.made.setdefault(_memory(tensor), tensor)
        return result

    @torch.inference_mode()
    def replay(self) -> None:
        for func, args, kwargs, result in self.calls:
            for old, new in zip(_tensors(result), _tensors(func(*args, **kwargs)), strict=True):
                if _memory(old) != _memory(new):  # no view, and nothing done in place
                    old.copy_(new)

    @torch.inference_mode()
    def spoil(self) -> None:
        for tensor in self.made.values():
            if tensor.is_floating_point():
                tensor.fill_(torch.nan)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class EmulatedStream(SecondStream):
    """Does its work at the last moment at which the second stream may: when the caller's waits for it."""

    def __init__(self) -> None:
        self._stream = self  # any but none
        self.log: list[str] = []

    def _launch(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.log.append("launched")

        def hand_over() -> Tensor:
            self.log.append("handed over")
            return run().clone()

        return hand_over

    def _join(self) -> None:
        self.log.append("joined")
