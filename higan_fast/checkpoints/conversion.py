"""From a format's tensors to a generator of ours; complaints name each tensor as the file does."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from higan_fast.checkpoints.contents import Record, refuse_unknown, shown
from higan_fast.generators.base import Generator
from higan_fast.generators.settings import MOST_LAYERS
from higan_fast.image_shapes import size_in_words
from higan_fast.wording import printable

# In the place of a file: tensors of a model in memory, which are shared instead of copied. None of them can
# claim to be larger than it is.
LIVE = Path("<live model>")
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
# Values of one image in a layer, besides as many as the file has bytes. A network for 1024² pixels has as
# many, and drawing an image holds three layers at once: some 400 MiB.
MOST_FEATURES = 2**25
MOST_AXES = 8  # that a message shows

Config = TypeVar("Config")


@dataclass(frozen=True)
class Taken:
    """Where one of our tensors comes from.

    Attributes:
        names: of the tensors in the file from which it is made.
        change: what makes ours of them, given as float32 tensors in the order of ``names``; None: it is the
            only one, reshaped where it has the same number of values in another shape of ones.
    """

    names: tuple[str, ...]
    change: Callable[..., Tensor] | None = None


def taken(*names: str, change: Callable[..., Tensor] | None = None) -> Taken:
    """``taken("conv.weight")``, or ``taken("dense.w", change=Tensor.t)``."""
    return Taken(names, change)


def assemble(
    family: type[Generator],
    config: Any,
    path: Path,
    tensors: Mapping[str, Any],
    sources: Mapping[str, str | Taken | Tensor] | None = None,
    unused: Iterable[str] = (),
    copy: bool = True,
) -> Generator:
    """Returns a generator of ours from a file's tensors.

    Args:
        family: the class, made as ``family(config)``.
        config: its architecture.
        path: the file, for messages.
        tensors: all the generator's tensors or NumPy arrays in the file, by their own names.
        sources: for each name in ``family(config).state_dict()``: the name in ``tensors``, what it is
            ``taken`` from, or the tensor itself; None: all have the same names there.
        unused: patterns (``re.fullmatch``) of names in ``tensors`` for which we have no place, rightly.
        copy: keep nothing of the file's memory; if not, float32 tensors stay where they are.

    Raises:
        ValueError: naming the tensor that is missing, left over, of another shape or type, or not finite; or
            if so small a file claims so large a generator.
    """
    with torch.device("meta"):
        generator = family(config)
    fill(generator, path, tensors, sources, unused, copy)
    _check_claims(path, generator)
    return generator


def fill(
    network: torch.nn.Module,
    path: Path,
    tensors: Mapping[str, Any],
    sources: Mapping[str, str | Taken | Tensor] | None = None,
    unused: Iterable[str] = (),
    copy: bool = True,
) -> None:
    """Gives a network on the device "meta" its tensors; arguments and errors as of ``assemble``."""
    expected = network.state_dict()
    sources = {name: name for name in expected} if sources is None else sources
    wanted = [name for ours in expected for name in _names(sources[ours])]
    _check_names(path, tensors, wanted, [re.compile(pattern) for pattern in unused])
    from_file = sum(place.numel() for ours, place in expected.items() if _names(sources[ours]))
    _check_size(path, from_file, [tensors[name] for name in dict.fromkeys(wanted)])
    with one_thread():
        state = {
            ours: _made(path, tensors, sources[ours], place.shape, copy and path != LIVE)
            for ours, place in expected.items()
        }
    network.load_state_dict(state, assign=True)
    left = [
        name for name, tensor in (*network.named_parameters(), *network.named_buffers()) if tensor.is_meta
    ]
    assert not left, f"{type(network).__name__} has tensors that its state dict lacks: {left}"


def configured(path: Path, kind: type[Config], **values: Any) -> Config:
    """Returns an architecture; errors as of its class, with the file's name in them."""
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@contextmanager
def one_thread() -> Iterator[None]:
    """For many short operations that wait for memory: a second thread gains little there.

    On a busy machine they wait for that thread besides: loading a 1024² StyleGAN2 took 0.8 s, not 0.06 s,
    beside another process on two cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def expect_no_config(path: Path, config: Mapping[str, Any] | None) -> None:
    """Raises a ValueError when settings came for a format that needs none: they would change nothing."""
    if config:
        raise ValueError(f"{path}: says its own architecture; give no config")


def as_tensor(path: Path, name: str, value: Any, copy: bool = True) -> Tensor:
    """Returns a tensor, an array or a number in a file as a float32 tensor.

    Args:
        path: the file, for messages.
        name: of the value, for messages.
        value: floating-point numbers, or a single whole number: many of those would be some code of weights.
        copy: make a new tensor, even of what is a float32 tensor.

    Raises:
        ValueError: if it is something else, or has values that are not finite.
    """
    if isinstance(value, np.ndarray | np.generic | float | int) and not isinstance(value, bool):
        array = np.asarray(value)
        if array.dtype.kind != "f" and not (array.dtype.kind in "iu" and array.size == 1):
            raise _of_other_type(path, name, array.dtype)
        with np.errstate(over="ignore"):  # told below
            value, copy = torch.from_numpy(np.array(array, dtype=np.float32)), False
    refuse_unknown(path, value)
    if not isinstance(value, Tensor):
        kind = shown(value) if isinstance(value, Record) else f"a {printable(type(value).__name__)}"
        raise ValueError(f"{path}: {printable(name)} is {kind}, expected a tensor")
    if value.dtype not in FLOATS and not (value.dtype in INTEGERS and value.numel() == 1):
        raise _of_other_type(path, name, value.dtype)
    tensor = value.detach().to(torch.float32, copy=copy, memory_format=torch.contiguous_format)
    _check_finite(path, name, tensor)
    return tensor


def _of_other_type(path: Path, name: str, dtype: object) -> ValueError:
    kind = printable(str(dtype).removeprefix("torch."))
    return ValueError(f"{path}: {printable(name)} holds {kind}, expected floating-point numbers")


def size_of(path: Path, tensors: Mapping[str, Any], name: str, axis: int, axes: int) -> int:
    """Returns the length of one axis of a tensor of the file.

    Raises:
        ValueError: if the tensor is missing, empty, or has not so many axes.
    """
    shape = tuple(getattr(tensors.get(name), "shape", ()))
    if len(shape) != axes or 0 in shape:
        got = f"has shape {shape_in_words(shape)}, expected {axes} axes"
        problem = got if name in tensors else "is missing"
        raise ValueError(f"{path}: {printable(name)} {problem}; the file is damaged")
    return int(shape[axis])


def numbered(path: Path, names: Container[str], name: str, first: int = 0) -> int:
    """Returns how many tensors with running numbers there are; ``name`` has a gap for the number.

    Raises:
        ValueError: if there are more than any network has layers.
    """
    found = 0
    while name.format(first + found) in names:
        found += 1
        if found > 2 * MOST_LAYERS:
            what = printable(name.format(first))
            raise ValueError(f"{path}: has more than {2 * MOST_LAYERS} layers such as {what}; it is damaged")
    return found


def check_shape(tensor: Tensor, expected: Sequence[int]) -> Tensor:
    """Returns a tensor that is to be combined with another, once it has the shape that this asks for.

    Torch would stretch both along each other's axes, and make a tensor of 6 GB from two of 160 kB.

    Raises:
        RuntimeError: if it has another shape.
    """
    if tuple(tensor.shape) != tuple(expected):
        raise RuntimeError(f"{shape_in_words(tensor.shape)} beside what takes {shape_in_words(expected)}")
    return tensor


def shape_in_words(shape: Sequence[int]) -> str:
    """Returns ``"[3, 5]"``, or how many axes there are when they are many."""
    return str(list(shape)) if len(shape) <= MOST_AXES else f"of {len(shape)} axes"


def _names(source: str | Taken | Tensor) -> tuple[str, ...]:
    if isinstance(source, Tensor):
        return ()
    return (source,) if isinstance(source, str) else source.names


def _check_names(
    path: Path, tensors: Mapping[str, Any], wanted: list[str], unused: list[re.Pattern[str]]
) -> None:
    missing = [name for name in dict.fromkeys(wanted) if name not in tensors]
    if missing:
        raise ValueError(
            f"{path}: lacks {listed(missing)}; the file is damaged, or of another architecture than it says"
        )
    used = set(wanted)
    left = [name for name in tensors if name not in used and not any(p.fullmatch(name) for p in unused)]
    if left:
        raise ValueError(
            f"{path}: holds {listed(left)}, for which this architecture has no place; "
            "the file is damaged, or of a variant that cannot be read"
        )


def listed(names: Collection[str]) -> str:
    """Returns the first few names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(printable(name) for name in islice(names, 3)) + more


def _check_size(path: Path, values: int, stored: Iterable[Any]) -> None:
    """Raises ValueError if a file has fewer bytes than values: it may name one storage many times.

    Args:
        path: the file or folder, whose bytes are counted.
        values: how many of the network's values come from the file.
        stored: the file's tensors.
    """
    size = _size(path)
    values = max(values, sum(math.prod(getattr(value, "shape", ())) for value in stored))
    if values > size:
        raise ValueError(
            f"{path}: has {size:.0f} bytes, and would become {values} values; the file is damaged"
        )


def _check_claims(path: Path, generator: Generator) -> None:
    """Raises ValueError if a small file claims any resolution and number of channels."""
    size, (channels, height, width) = _size(path), generator.image_shape
    features = max(generator.features_of(index) or 0 for index in range(generator.num_layers))
    features = max(features, channels * height * width)
    if height * width > size or features > MOST_FEATURES + size:
        raise ValueError(
            f"{path}: has {size:.0f} bytes, and claims images of {size_in_words(height, width)} pixels, with "
            f"up to {features} values in a layer; no generator of that size is so small"
        )


def _size(path: Path) -> float:
    """How many bytes a file or folder has; no end of them for a model in memory."""
    if path == LIVE:
        return math.inf
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _made(
    path: Path,
    tensors: Mapping[str, Any],
    source: str | Taken | Tensor,
    expected: torch.Size,
    copy: bool,
) -> Tensor:
    if isinstance(source, Tensor):
        tensor, name = source.to(torch.float32), "a tensor that is computed"
        got = shape_in_words(tensor.shape)
    else:
        names, change = _names(source), None if isinstance(source, str) else source.change
        parts = [as_tensor(path, name, tensors[name], copy) for name in names]
        name = " and ".join(map(printable, names))
        got = " and ".join(shape_in_words(part.shape) for part in parts)
        if change is None:
            tensor = _reshaped(parts[0], expected)
        else:
            try:
                tensor = change(*parts).contiguous()
            except (RuntimeError, IndexError) as error:  # of an operator that meets another shape
                reason = printable(str(error).partition("\n")[0])
                raise ValueError(f"{path}: {name} has shape {got}, which does not fit ({reason})") from error
        got += "" if tensor.shape == parts[0].shape else f" (ours: {shape_in_words(tensor.shape)})"
    if tensor.shape != expected:
        raise ValueError(f"{path}: {name} has shape {got}, expected {list(expected)}")
    return tensor


def _reshaped(tensor: Tensor, expected: torch.Size) -> Tensor:
    """Without or with axes of length 1, such as [1] for a scalar or [1, C, 1, 1] for a bias."""
    same = [size for size in tensor.shape if size != 1] == [size for size in expected if size != 1]
    return tensor.reshape(expected) if same else tensor


def _check_finite(path: Path, name: str, tensor: Tensor) -> None:
    if tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all():  # one pass, no copy
        raise ValueError(f"{path}: {printable(name)} has values that are not finite; the file is damaged")
