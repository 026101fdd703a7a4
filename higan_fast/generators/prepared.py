"""What layers prepare from their weights, kept until a weight changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.jit._trace import is_tracing

from higan_fast.ops.modulated_conv2d import normalize_weight, square_weight
from higan_fast.ops.winograd import are_enough, weight_at_points

T = TypeVar("T")

# At most so many rows and columns of a tensor are looked at, to see changes that torch does not count.
GLIMPSE = 8


class Kept(Generic[T]):
    """Keeps what was last made from some tensors, until one of them changes.

    These changes are seen:

    - what torch counts: it gives a tensor another version after every change in place, such as an
      optimizer's step or ``load_state_dict``. Tensors that were made in inference mode have none;
    - other memory, as after ``to`` or ``parameter.data = …``. The old memory is held until then, so that no
      new tensor gets its address;
    - on CPUs, changes in place that torch does not count, which are those through ``.data``, through NumPy,
      and of tensors that were made in inference mode. Up to 64 numbers, spread over each tensor, are compared
      at every call. A change that leaves all of them as they were is missed.

    On other devices the last ones need ``forget`` (``Generator.weights_changed``): to look at numbers, the
    host would have to wait for the device at every call.

    Nothing is kept while a gradient is needed, nor while a compiler or a tracer watches, whose graph must
    read the tensors themselves.
    """

    def __init__(self) -> None:
        self._last: _Last[T] | None = None  # replaced as a whole: threads share it

    def get(self, tensors: Sequence[Tensor], options: Hashable, make: Callable[[], T]) -> T:
        """Returns what ``make`` makes of these tensors with these options; it runs where either changed."""
        if is_watched() or (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
            return make()
        places, last = (options, *map(_place, tensors)), self._last
        if last is None or last.places != places or last.seen != [part.tobytes() for part in last.glimpses]:
            glimpses = [part for part in map(_glimpse, tensors) if part is not None]
            seen = [part.tobytes() for part in glimpses]
            with torch.inference_mode(False), torch.no_grad():
                made = make()
            last = _Last(places, glimpses, seen, [tensor.untyped_storage() for tensor in tensors], made)
            self._last = last
        return last.made

    def forget(self) -> None:
        """Makes the next call make everything anew."""
        self._last = None

    def __getstate__(self) -> dict[str, object]:
        return {"_last": None}  # a copied module starts with nothing


class _Last(NamedTuple, Generic[T]):
    """What was made, and of what: places, numbers seen there, and the memory, which stays theirs."""

    places: tuple[Hashable, ...]
    glimpses: list[NDArray[Any]]
    seen: list[bytes]
    memory: list[torch.UntypedStorage]
    made: T


def _place(tensor: Tensor) -> Hashable:
    version = None if tensor.is_inference() else tensor._version
    return tensor.data_ptr(), version, tensor.shape, tensor.dtype, tensor.device


def _glimpse(tensor: Tensor) -> NDArray[Any] | None:
    """Returns a view of some numbers spread over a tensor on the CPU, as bits; None on other devices."""
    if tensor.device.type != "cpu":
        return None
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.itemsize]
    most = [GLIMPSE**2] if tensor.ndim == 1 else [GLIMPSE] * 2 + [1] * (tensor.ndim - 2)
    spread = [
        slice(size // 2 % -(-size // num), None, -(-size // num)) if size else slice(None)
        for size, num in zip(tensor.shape, most[: tensor.ndim], strict=True)
    ]
    view: NDArray[Any] = tensor.detach().view(bits).numpy()[*spread, ...]
    return view


class Prepared(NamedTuple):
    """A weight in the form that kernels need.

    Attributes:
        kernel: ``[O, I, k, k]`` in the features' dtype.
        gain: ``[O]``, the divisor already applied to ``kernel``; float16 only, otherwise None.
        square: ``[O, I]``, ``W2`` of the original weight (see ``square_weight``).
        points: the weight for Winograd's convolution, where that is faster (see ``weight_at_points``).
    """

    kernel: Tensor
    gain: Tensor | None
    square: Tensor
    points: Tensor | None


class WeightCache:
    """Keeps the last prepared form of one weight until the weight changes; ``Kept`` says what it sees."""

    def __init__(self) -> None:
        self._kept: Kept[Prepared] = Kept()

    def get(self, weight: Tensor, dtype: torch.dtype, up: int, pixels: int) -> Prepared:
        """Returns the form for such features: see ``prepare``."""

        def make() -> Prepared:
            return prepare(weight if torch.is_grad_enabled() else weight.detach(), dtype, up, pixels)

        return self._kept.get([weight], (dtype, up, are_enough(pixels)), make)

    def forget(self) -> None:
        """Makes the next call prepare the weight anew."""
        self._kept.forget()


def is_watched() -> bool:
    """Whether what runs now becomes a graph that runs again later, perhaps with other weights."""
    return torch.compiler.is_compiling() or bool(is_tracing())


def prepare(weight: Tensor, dtype: torch.dtype, up: int, pixels: int) -> Prepared:
    """Returns a weight ``[O, I, k, k]`` in the form for such features.

    Args:
        weight: the weight.
        dtype: of the features.
        up: of the convolution.
        pixels: of one sample of the features.
    """
    square, gain, kernel = square_weight(weight), None, weight
    if dtype == torch.float16:
        kernel, gain = normalize_weight(weight)
    if up == 2:  # a transposed convolution reads [I, O, k, k]
        kernel = (
            kernel.to(dtype).transpose(0, 1).contiguous(memory_format=torch.channels_last).transpose(0, 1)
        )
    else:
        kernel = kernel.to(dtype, memory_format=torch.channels_last)
    points = None
    if up == 1 and dtype == torch.float32 and not is_watched():  # a graph would make them at each call
        points = weight_at_points(weight, pixels)
    return Prepared(kernel, gain, square, points)
