"""CUDA graphs: what runs again on inputs of the same shapes is recorded, and from then on a single launch."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from higan_fast.ops.implementation import use_native

# The inputs and results of more of them than this are let go, and those of the longest unused first.
MOST_GRAPHS = 128
SHARE_OF_MEMORY = 1 / 8

# Attributes of a network that are compared by what they are; of all others, which object it is.
PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)


class Graphs:
    """Runs functions of one network: at first as they come, then as recordings, where there is a tape.

    The first call with inputs of some shapes compiles, prepares and tests whatever is done once. The second
    rehearses on inputs of the recording's own, records, and compares. Every later one copies its inputs
    there, replays, and copies the result, which the next recording may overwrite. All that happens in the
    order of the calls, whatever streams they are on.

    A recording reads what it read when it was made: so it keeps all of that alive, and is forgotten as soon
    as the network is no longer in the state in which it was. What cannot be recorded runs as it comes.
    """

    def __init__(self, network: torch.nn.Module, tape: Tape | None) -> None:
        """``tape``: as ``tape_for`` gives it; None: everything runs as it comes."""
        self._network, self._tape = network, tape
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._seen: set[Hashable] = set()
        self._state: object = None

    def __len__(self) -> int:
        """How many recordings there are."""
        return len(self._graphs)

    def run(self, name: Hashable, function: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
        """``function(*tensors)``.

        Args:
            name: says, with the network and the inputs' shapes, all that ``function`` does.
            function: of the network; it enters and leaves its own contexts, such as autocast, whose copies of
                weights live no longer than that.
        """
        if self._tape is None or not self._may_record(self._tape, tensors):
            return function(*tensors)
        # The last two: ops that were told to run their references, and what fills fresh memory with NaN.
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
            except Exception as error:  # of CUDA, of torch, or of the network itself
                problem = f"{type(error).__name__}: {error}".splitlines()[0]
            else:
                self._keep(key, graph, self._tape.room)
                return result
        self._give_up(problem)
        return function(*tensors)

    def drop(self) -> None:
        """Forgets all recordings, and lets their memory go."""
        if self._graphs and self._tape is not None:
            self._tape.forget()
        self._graphs.clear()
        self._seen.clear()

    def _may_record(self, tape: Tape, tensors: Sequence[Tensor | None]) -> bool:
        """Whether a recording does all that the function would do; forgets those of another state."""
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
            "it runs without one, which costs time where kernels are short",
            RuntimeWarning,
            stacklevel=3,
        )


class Tape:
    """A stream on which functions are recorded, and the memory in which all of their recordings work.

    Since they share it, they run one after the other, and a result is read before the next one runs.

    Attributes:
        room: how many bytes the recordings' inputs and results may take together.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._done = torch.cuda.Event()
        self.room = int(SHARE_OF_MEMORY * torch.cuda.get_device_properties(device).total_memory)

    def ready(self) -> bool:
        """Whether replays may be launched: not while somebody else records, or autocasts around us."""
        return not (torch.cuda.is_current_stream_capturing() or torch.is_autocast_enabled("cuda"))

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """What is launched within waits for what was launched so before, also on another stream."""
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(self._done)
        try:
            yield
        finally:
            self._done.record(stream)

    def rehearse(self, run: Callable[[], Tensor]) -> Tensor:
        """What ``run`` gives on the recordings' stream, for which libraries then have working memory.

        Raises:
            RuntimeError: when it makes the host wait for the device. That could not be recorded either, but
                before a recording has begun it is harmless.
        """
        caller = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(caller)
        before = torch.cuda.get_sync_debug_mode()
        _set_sync_debug_mode("error")
        try:
            with torch.cuda.stream(self._stream):
                result = run()
        finally:
            _set_sync_debug_mode(before)
            caller.wait_stream(self._stream)
        return result.clone()  # in memory of the caller's stream

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """A replay of ``run``, and where each leaves its result."""
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # a recording can use nothing of what is kept for eager work
        # Not torch.cuda.graph: when that fails it leaves its own stream as the current one.
        with torch.cuda.stream(self._stream):
            with torch.inference_mode(False):  # the first recording makes tensors that later ones change
                graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                output = run()
            except BaseException:
                with suppress(RuntimeError):
                    graph.capture_end()
                self._pool = torch.cuda.graph_pool_handle()
                raise
            graph.capture_end()
        return graph.replay, output

    def forget(self) -> None:
        """Waits for the recordings, whose memory is about to be let go; later ones get other memory."""
        self._done.synchronize()
        self._pool = torch.cuda.graph_pool_handle()


def tape_for(device: torch.device) -> Tape | None:
    """What ``Graphs`` record on; None where there is no CUDA."""
    return Tape(device) if device.type == "cuda" else None


class _Graph(NamedTuple):
    """A recording, and all memory that it works on."""

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
    """What a function gives, and its recording, which has been seen to give the same.

    Raises:
        Exception: whatever the function or CUDA raise, or that the recording gave something else.
    """
    with torch.inference_mode(False):  # inputs that can be filled with and without inference mode
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
        raise RuntimeError("its recording gave something else than the call before")
    return result, _Graph(inputs, output, replay, list(reads.storages.values()))


def _agree(found: Tensor, expected: Tensor) -> bool:
    """Whether a recording does what was recorded: kernels may sum in another order, and 16 bits round."""
    largest = float(expected.abs().nan_to_num().amax()) if expected.numel() else 0.0
    return torch.allclose(found, expected, rtol=0, atol=0.01 * largest, equal_nan=True)


class _Reads(TorchDispatchMode):
    """Keeps what ops read within it and did not make: weights, and forms of them that somebody prepared.

    Attributes:
        storages: by their addresses.
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
    """All that a recording of a network takes for given; None when a hook wants to see every call."""
    state: list[object] = []
    for module in network.modules():
        if module._forward_hooks or module._forward_pre_hooks:
            return None
        state.extend(value if isinstance(value, PLAIN) else id(value) for value in vars(module).values())
        for tensors in (module._parameters, module._buffers):
            for tensor in tensors.values():
                if tensor is not None:
                    # What is prepared of an inference tensor is prepared anew in each call.
                    state += [tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version]
    return state


def _set_sync_debug_mode(mode: str | int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is a prototype
        torch.cuda.set_sync_debug_mode(mode)
