"""CUDA graphs: a function that runs again on the same shapes is recorded, then replayed in one launch."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial, wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from higan_fast.ops.implementation import use_native

# Limits on the number of recordings, and on the memory of their inputs and results; the least recently used
# recording is dropped first.
MOST_GRAPHS = 128
SHARE_OF_MEMORY = 1 / 8

# Types of attributes that are compared by value; all others are compared by identity.
PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)


class Graphs:
    """Runs functions of one network: eagerly at first, then as recorded CUDA graphs, if there is a tape.

    The first call with inputs of some shapes runs eagerly, and so does all one-time work (compilation,
    preparation, self-tests). The second call rehearses on the recording's own inputs, records, and compares
    the two results. Every later call copies its inputs there, replays, and copies the result, which the next
    replay may overwrite. Calls take effect in their order, even on different streams.

    A recording reads the same memory as when it was made. So it keeps that memory alive, and is dropped once
    the state of the network changes. Functions that cannot be recorded run eagerly.
    """

    def __init__(self, network: torch.nn.Module, tape: Tape | None) -> None:
        """``tape`` comes from ``tape_for``; None: everything runs eagerly."""
        self._network, self._tape = network, tape
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._seen: set[Hashable] = set()
        self._state: object = None

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self._graphs)

    def run(self, name: Hashable, function: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
        """Returns ``function(*tensors)``.

        Args:
            name: identifies what ``function`` does, together with the network and the shapes of the inputs.
            function: a function of the network. It must enter and leave contexts such as autocast itself, so
                that their copies of weights do not outlive the call.
            tensors: its inputs.
        """
        if self._tape is None or not self._may_record(self._tape, tensors):
            return function(*tensors)
        # Two global settings change what is recorded: only_reference(), and deterministic algorithms, which
        # fill new memory with NaN.
        settings = use_native("bias_act", "auto", tensors[0]), torch.are_deterministic_algorithms_enabled()
        key = (name, *map(_described, tensors), *settings)
        if key not in self._seen:
            self._seen.add(key)
            return function(*tensors)
        with self._tape.in_turn():
            if key in self._graphs:
                self._graphs.move_to_end(key)
                return self._graphs[key](tensors)
            try:
                result, graph = _rehearsed_and_recorded(self._tape, function, tensors)
            except Exception as error:  # from CUDA, torch or the network itself
                problem = f"{type(error).__name__}: {error}".splitlines()[0]
            else:
                self._keep(key, graph, self._tape.room)
                return result
        self._give_up(problem)
        return function(*tensors)

    def drop(self) -> None:
        """Drops all recordings and frees their memory."""
        if self._graphs and self._tape is not None:
            self._tape.forget()
        self._graphs.clear()
        self._seen.clear()

    def _may_record(self, tape: Tape, tensors: Sequence[Tensor | None]) -> bool:
        """Whether a recording can replace the call; drops all recordings if the network's state changed."""
        if torch.is_grad_enabled() or not tape.ready():
            return False
        state = _state_of(self._network)
        if state != self._state:
            self.drop()
            self._state = state
        return state is not None

    def _keep(self, key: Hashable, graph: _Graph, room: int) -> None:
        self._graphs[key] = graph
        while len(self._graphs) > 1 and (
            len(self._graphs) > MOST_GRAPHS or sum(kept.nbytes for kept in self._graphs.values()) > room
        ):
            old, _ = self._graphs.popitem(last=False)
            self._seen.discard(old)

    def _give_up(self, problem: str) -> None:
        self.drop()
        self._tape = None
        warnings.warn(
            f"higan_fast: {type(self._network).__name__} cannot be recorded as a CUDA graph ({problem}); "
            "it runs without one, which is slower when kernels are short",
            RuntimeWarning,
            stacklevel=3,
        )


class Tape:
    """The stream on which functions are recorded, and the memory pool that all their recordings share.

    Because they share memory, recordings run one at a time, and each result is copied before the next runs.

    Attributes:
        room: bytes that the inputs and results of all recordings may take together.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._done = torch.cuda.Event()
        self.room = int(SHARE_OF_MEMORY * torch.cuda.get_device_properties(device).total_memory)

    def ready(self) -> bool:
        """Whether replays may be launched: not during another capture, nor under the caller's autocast."""
        return not (torch.cuda.is_current_stream_capturing() or torch.is_autocast_enabled("cuda"))

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Orders launches: work in this context waits for work in earlier ones, even on other streams."""
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(self._done)
        try:
            yield
        finally:
            self._done.record(stream)

    def rehearse(self, run: Callable[[], Tensor]) -> Tensor:
        """Returns the result of ``run`` on the recording stream, so that libraries set up workspaces for it.

        Raises:
            RuntimeError: if ``run`` makes the host wait for the device. Such a function cannot be recorded,
                and finding out before the capture begins is harmless.
        """
        caller = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(caller)
        try:
            with torch.cuda.stream(self._stream), _no_waiting():
                result = run()
        finally:
            caller.wait_stream(self._stream)
        return result.clone()  # in memory of the caller's stream

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Records ``run``; returns a function that replays it, and the tensor that receives each result."""
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # a recording cannot use the blocks cached for eager work
        # torch.cuda.graph leaves its own stream current when the capture fails, so it is not used here.
        with torch.cuda.stream(self._stream):
            with torch.inference_mode(False):  # the first capture creates tensors that later ones modify
                graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                output = run()
            except BaseException:
                self._abandon(graph)
                raise
            graph.capture_end()
        return graph.replay, output

    def _abandon(self, graph: torch.cuda.CUDAGraph) -> None:
        """Ends a capture that has failed.

        If that fails too, torch before 2.12 takes the capture for one that goes on (pytorch/pytorch#180395):
        from then on its allocator refuses to empty the cache, and the device's generator to draw numbers.
        """
        with suppress(RuntimeError):
            graph.capture_end()
        index = torch.cuda.current_device() if self._device.index is None else self._device.index
        with suppress(RuntimeError, AttributeError):
            torch._C._cuda_endAllocateToPool(index, self._pool)  # an error where torch has done so itself
            torch._C._cuda_releasePool(index, self._pool)
            generator = torch.cuda.default_generators[index]
            generator.graphsafe_set_state(generator.clone_state())  # the clone belongs to no capture
        self._pool = torch.cuda.graph_pool_handle()

    def forget(self) -> None:
        """Waits for all replays, whose memory is about to be freed, and starts a new memory pool."""
        self._done.synchronize()
        self._pool = torch.cuda.graph_pool_handle()


def tape_for(device: torch.device) -> Tape | None:
    """Returns a tape for ``Graphs`` on this device; None if it is not a CUDA device."""
    return Tape(device) if device.type == "cuda" else None


class _Graph(NamedTuple):
    """A recording and all memory that it uses."""

    inputs: tuple[Tensor | None, ...]
    output: Tensor
    replay: Callable[[], None]
    reads: list[torch.UntypedStorage]

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.inputs, self.output) if tensor is not None)

    def __call__(self, tensors: Sequence[Tensor | None]) -> Tensor:
        _fill(self.inputs, tensors)
        self.replay()
        return self.output.clone()


def _rehearsed_and_recorded(
    tape: Tape, function: Callable[..., Tensor], tensors: Sequence[Tensor | None]
) -> tuple[Tensor, _Graph]:
    """Returns the result of a function, and its recording after checking that both agree.

    Raises:
        Exception: whatever the function or CUDA raise; RuntimeError if the replay does not agree.
    """
    with torch.inference_mode(False):  # so that the inputs can be filled in and out of inference mode
        inputs = tuple(None if tensor is None else torch.empty_like(tensor) for tensor in tensors)
    _fill(inputs, tensors)
    result = tape.rehearse(partial(function, *inputs))
    reads = _Reads()

    def watched() -> Tensor:
        with reads:
            return function(*inputs)

    replay, output = tape.record(watched)
    replay()
    if not _agree(output, result):
        raise RuntimeError("its recording does not reproduce the result of the eager call")
    return result, _Graph(inputs, output, replay, list(reads.storages.values()))


def _agree(found: Tensor, expected: Tensor) -> bool:
    """Whether two results agree within 1 % of the largest: the order of sums and 16-bit rounding differ."""
    largest = float(expected.abs().nan_to_num().amax()) if expected.numel() else 0.0
    return torch.allclose(found, expected, rtol=0, atol=0.01 * largest, equal_nan=True)


class _Reads(TorchDispatchMode):
    """Keeps alive all storages that ops read in this context and did not create, e.g. prepared weights.

    Attributes:
        storages: these storages, by their addresses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, torch.UntypedStorage] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for storage in _storages((args, kwargs)):
            if storage._cdata not in self._made:
                self.storages[storage._cdata] = storage
        result = func(*args, **(kwargs or {}))
        self._made.update(s._cdata for s in _storages(result) if s._cdata not in self.storages)
        return result


def _storages(tree: Any) -> Iterator[torch.UntypedStorage]:
    return (leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _fill(inputs: Sequence[Tensor | None], tensors: Sequence[Tensor | None]) -> None:
    for own, given in zip(inputs, tensors, strict=True):
        if own is not None and given is not None:
            own.copy_(given)


def _described(tensor: Tensor | None) -> Hashable:
    return None if tensor is None else (tensor.shape, tensor.stride(), tensor.dtype, tensor.device)


def _state_of(network: torch.nn.Module) -> object:
    """Returns what a recording depends on; None if a hook, or another runtime, must see every call."""
    state: list[object] = []
    for module in network.modules():
        if module._forward_hooks or module._forward_pre_hooks or getattr(module, "runs_outside_torch", False):
            return None
        state.extend(value if isinstance(value, PLAIN) else id(value) for value in vars(module).values())
        for tensors in (module._parameters, module._buffers):
            for tensor in tensors.values():
                if tensor is not None:
                    # Inference tensors have no version: after a change of theirs, recordings keep what was
                    # prepared from them until Generator.weights_changed.
                    state += [tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version]
    return state


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Context in which it is a RuntimeError if this thread makes the host wait for the device.

    torch's debug mode finds waits that are hidden in ops, and lets pass those that are asked for by name.
    """
    before, thread = torch.cuda.get_sync_debug_mode(), threading.get_ident()
    owners: tuple[Any, ...] = (torch.cuda, torch.cuda.Stream, torch.cuda.Event)
    with ExitStack() as stack:
        stack.callback(_set_sync_debug_mode, before)
        _set_sync_debug_mode("error")
        for owner in owners:
            wait = owner.synchronize
            stack.callback(setattr, owner, "synchronize", wait)
            owner.synchronize = _refusing(wait, thread)
        yield


def _refusing(wait: Callable[..., None], thread: int) -> Callable[..., None]:
    @wraps(wait)
    def synchronize(*args: Any, **options: Any) -> None:
        if threading.get_ident() == thread:
            raise RuntimeError("synchronize() makes the host wait for the device")
        wait(*args, **options)

    return synchronize


def _set_sync_debug_mode(mode: str | int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that this feature is a prototype
        torch.cuda.set_sync_debug_mode(mode)
