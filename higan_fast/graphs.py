"""CUDA graphs: a function that runs again on the same shapes is recorded, then replayed in one launch."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from higan_fast.graph_memory import Given, Layout, Rows, SharedMemory, fill, rows_of, taken
from higan_fast.ops.implementation import use_native

# Limit on the number of recordings; the least recently used one is dropped first.
MOST_GRAPHS = 128

# A call that would fill less of a recording than this runs without one.
LEAST_FILLED = 1 / 4

# Types of attributes that are compared by value; all others are compared by identity.
PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)


class Graphs:
    """Runs functions of one network: eagerly at first, then as recorded CUDA graphs, if there is a tape.

    The first call with inputs of some shapes runs eagerly, and so does all one-time work (compilation,
    preparation, self-tests). The second call rehearses on the recording's own inputs, and records. Every
    later call copies its inputs there, replays, and copies the result, which the next replay may overwrite;
    the first of these finds out whether recording and rehearsal agreed. Calls take effect in their order,
    even on different streams.

    A recording reads the same memory as when it was made. So it keeps that memory alive, and is dropped once
    the state of the network changes. Functions that cannot be recorded run eagerly.
    """

    def __init__(self, network: torch.nn.Module, tape: Tape | None) -> None:
        """``tape`` comes from ``tape_for``; None: everything runs eagerly."""
        self._network, self._tape = network, tape
        self._inputs, self._results = SharedMemory(), SharedMemory()
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._seen: set[Hashable] = set()
        self._state: object = None

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self._graphs)

    @property
    def records(self) -> bool:
        """Whether calls may be recorded at all."""
        return self._tape is not None

    def run(
        self, name: Hashable, function: Callable[..., Tensor], *given: Given, sizes: Sequence[int] = ()
    ) -> Tensor:
        """Returns what ``function`` gives for some tensors.

        Args:
            name: identifies what ``function`` does, together with the network and the shapes of the inputs.
            function: a function of the network. It must enter and leave contexts such as autocast itself, so
                that their copies of weights do not outlive the call.
            given: its inputs; of ``Rows`` it gets those rows.
            sizes: numbers of rows for which it is recorded, ascending, if each row of its result depends on
                the same row of each input alone. Calls with fewer rows share these recordings: the rest is
                padded, and cut off. A call of which a recording would be mostly padding, or that has more
                rows, is never recorded. None given: every number of rows has a recording of its own.
        """
        if self._tape is None or not self._may_record(self._tape):
            return function(*taken(given))
        num, size = None, None
        if sizes:
            num = next(rows_of(each) for each in given if each is not None)
            size = next((size for size in sizes if size >= num), None)
            if size is None or num < LEAST_FILLED * size:
                return function(*taken(given))
        # Two global settings change what is recorded: only_reference(), and deterministic algorithms, which
        # fill new memory with NaN.
        first = given[0].tensor if isinstance(given[0], Rows) else given[0]
        settings = use_native("bias_act", "auto", first), torch.are_deterministic_algorithms_enabled()
        layouts = [None if each is None else Layout.of(each, size) for each in given]
        key = (name, *layouts, *settings)
        if key not in self._seen:
            self._seen.add(key)
            return function(*taken(given))
        with self._tape.in_turn():
            graph = self._graphs.get(key)
            if graph is not None and graph.reproduces():
                self._graphs.move_to_end(key)
                return graph(given, num)
            problem = "its recording does not reproduce the result of the eager call"
            if graph is None:
                try:
                    result, self._graphs[key] = self._recorded(self._tape, function, given, layouts)
                except Exception as error:  # from CUDA, torch or the network itself
                    problem = f"{type(error).__name__}: {error}".splitlines()[0]
                else:
                    self._let_go()
                    return result if num is None else result[:num]
        self._give_up(problem)
        return function(*taken(given))

    def drop(self) -> None:
        """Drops all recordings and frees their memory."""
        if self._graphs and self._tape is not None:
            self._tape.forget()
        self._graphs.clear()
        self._seen.clear()
        self._inputs.release()
        self._results.release()

    def _may_record(self, tape: Tape) -> bool:
        """Whether a recording can replace the call; drops all recordings if the network's state changed."""
        if torch.is_grad_enabled() or not tape.ready():
            return False
        state = _state_of(self._network)
        if state != self._state:
            self.drop()
            self._state = state
        return state is not None

    def _recorded(
        self,
        tape: Tape,
        function: Callable[..., Tensor],
        given: Sequence[Given],
        layouts: Sequence[Layout | None],
    ) -> tuple[Tensor, _Graph]:
        """Returns the result of a function, and its recording; the host waits for neither.

        Raises:
            Exception: whatever the function or CUDA raise.
        """
        inputs = self._inputs.tensors(layouts)
        fill(inputs, given)
        rehearsed = tape.rehearse(partial(function, *inputs))
        (result,) = self._results.tensors([Layout.of(rehearsed)])
        assert result is not None
        reads = _Reads()

        def watched() -> None:
            with reads:
                output = function(*inputs)
            result.copy_(output)

        replay = tape.record(watched)
        replay()
        agreed = _agree(result, rehearsed)
        return rehearsed, _Graph(inputs, result, replay, list(reads.storages.values()), agreed)

    def _let_go(self) -> None:
        while len(self._graphs) > MOST_GRAPHS:
            old, _ = self._graphs.popitem(last=False)
            self._seen.discard(old)

    def _give_up(self, problem: str) -> None:
        self.drop()
        self._tape = None
        warnings.warn(
            f"higan_fast: {self._network.__class__.__name__} cannot be recorded as a CUDA graph ({problem}); "
            "it runs without one, which is slower when kernels are short",
            RuntimeWarning,
            stacklevel=3,
        )


class Tape:
    """The stream on which functions are recorded, and the memory pool that all their recordings share.

    Because they share memory, recordings run one at a time, and each result is copied before the next runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._is_new = True  # nothing was recorded in the pool yet
        self._done = torch.cuda.Event()

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

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """Records ``run``, and returns a function that replays it."""
        graph = torch.cuda.CUDAGraph()
        if self._is_new:  # the first recording takes most of the memory that all of them share
            torch.cuda.synchronize(self._device)
            torch.cuda.empty_cache()  # a recording cannot use the blocks cached for eager work
            self._is_new = False
        # torch.cuda.graph leaves its own stream current when the capture fails, so it is not used here.
        with torch.cuda.stream(self._stream):
            with torch.inference_mode(False):  # the first capture creates tensors that later ones modify
                graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                run()
            except BaseException:
                self._abandon(graph)
                raise
            graph.capture_end()
        return graph.replay

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
        self._start_pool()

    def forget(self) -> None:
        """Waits for all replays, whose memory is about to be freed, and starts a new memory pool."""
        self._done.synchronize()
        self._start_pool()

    def _start_pool(self) -> None:
        self._pool, self._is_new = torch.cuda.graph_pool_handle(), True


def tape_for(device: torch.device) -> Tape | None:
    """Returns a tape for ``Graphs`` on this device; None if it is not a CUDA device."""
    return Tape(device) if device.type == "cuda" else None


class _Graph:
    """A recording, and all memory that it uses."""

    def __init__(
        self,
        inputs: tuple[Tensor | None, ...],
        output: Tensor,
        replay: Callable[[], None],
        reads: list[torch.UntypedStorage],
        agreed: Tensor,
    ) -> None:
        self.inputs, self.output, self.reads = inputs, output, reads
        self._replay, self._agreed = replay, agreed
        self._reproduces: bool | None = None

    def reproduces(self) -> bool:
        """Whether it gave what the rehearsal gave; at its first call only, the host waits for the two."""
        if self._reproduces is None:
            self._reproduces = bool(self._agreed)
        return self._reproduces

    def __call__(self, given: Sequence[Given], num: int | None) -> Tensor:
        """Returns the first ``num`` rows of the result, or all of it."""
        fill(self.inputs, given)
        self._replay()
        return self.output[:num].clone() if num is not None else self.output.clone()


def _agree(found: Tensor, expected: Tensor) -> Tensor:
    """Whether two results agree within 1 % of the largest: the order of sums and 16-bit rounding differ."""
    if not expected.numel():
        return torch.ones((), dtype=torch.bool)
    close = (found - expected).abs() <= 0.01 * expected.abs().nan_to_num().amax()
    return (close | (found == expected) | (found.isnan() & expected.isnan())).all()


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
