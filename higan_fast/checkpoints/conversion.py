"""From a format's tensors to a generator of ours; complaints name each tensor as the file does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from higan_fast.checkpoints.contents import refuse_unknown
from higan_fast.generators.base import Generator
from higan_fast.wording import printable


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
    sources: Mapping[str, str | Taken | Tensor],
    unused: Iterable[str] = (),
) -> Generator:
    """A generator of ours from a file's tensors. Nothing of the file's memory is kept.

    Args:
        family: the class, made as ``family(config)``.
        config: its architecture.
        path: the file, for messages.
        tensors: all the generator's tensors or NumPy arrays in the file, by their own names.
        sources: for each name in ``family(config).state_dict()``: the name in ``tensors``, what it is
            ``taken`` from, or the tensor itself.
        unused: patterns (``re.fullmatch``) of names in ``tensors`` for which we have no place, rightly.

    Raises:
        ValueError: naming the tensor that is missing, left over, of another shape, or not finite.
    """
    with torch.device("meta"):
        generator = family(config)
    expected = generator.state_dict()
    wanted = [name for ours in expected for name in _names(sources[ours])]
    _check_names(path, tensors, wanted, [re.compile(pattern) for pattern in unused])
    expect_values(path, sum(place.numel() for ours, place in expected.items() if _names(sources[ours])))
    with one_thread():
        state = {
            ours: _made(path, tensors, sources[ours], place.shape, ours) for ours, place in expected.items()
        }
    generator.load_state_dict(state, assign=True)
    left = [
        name for name, tensor in (*generator.named_parameters(), *generator.named_buffers()) if tensor.is_meta
    ]
    assert not left, f"{family.__name__} has tensors that its state dict lacks: {left}"
    return generator


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


def as_tensor(path: Path, name: str, value: Any) -> Tensor:
    """A float32 copy of a tensor, an array or a number in a file.

    Raises:
        ValueError: when it is none of these, or has values that are not finite.
    """
    if isinstance(value, np.ndarray | np.generic | float | int) and not isinstance(value, bool):
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{path}: {name} holds {array.dtype}, expected numbers")
        value = torch.from_numpy(np.array(array, dtype=np.float32))
    refuse_unknown(path, value)
    if not isinstance(value, Tensor):
        raise ValueError(f"{path}: {name} is a {type(value).__name__}, expected a tensor")
    tensor = value.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    check_finite(path, name, tensor)
    return tensor


def check_finite(path: Path, name: str, tensor: Tensor) -> None:
    """Raises a ValueError when a tensor has values that are not finite."""
    if tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all():  # one pass, no copy
        raise ValueError(f"{path}: {name} has values that are not finite; the file is damaged")


def expect_values(path: Path, values: int) -> None:
    """Raises a ValueError when a file would become so many values that it has not a byte for each.

    A small damaged file could name one storage many times, or claim a resolution of millions.
    """
    size = sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size
    if values > size:
        raise ValueError(f"{path}: has {size} bytes, and would become {values} values; the file is damaged")


def size_of(path: Path, tensors: Mapping[str, Any], name: str, axis: int, axes: int) -> int:
    """The length of one axis of a tensor of the file.

    Raises:
        ValueError: when the tensor is missing, empty, or has not so many axes.
    """
    shape = list(getattr(tensors.get(name), "shape", ()))
    if len(shape) != axes or 0 in shape:
        problem = f"has shape {shape}, expected {axes} axes" if name in tensors else "is missing"
        raise ValueError(f"{path}: {name} {problem}; the file is damaged")
    return int(shape[axis])


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
            f"{path}: lacks {_listed(missing)}; the file is damaged, or of another architecture than it says"
        )
    used = set(wanted)
    left = [name for name in tensors if name not in used and not any(p.fullmatch(name) for p in unused)]
    if left:
        raise ValueError(
            f"{path}: holds {_listed(left)}, for which this architecture has no place; "
            "the file is damaged, or of a variant that cannot be read"
        )


def _listed(names: list[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(printable, names[:3])) + more


def _made(
    path: Path,
    tensors: Mapping[str, Any],
    source: str | Taken | Tensor,
    expected: torch.Size,
    name_of_ours: str,
) -> Tensor:
    if isinstance(source, Tensor):
        tensor, name = source.to(torch.float32), "a tensor that is computed"
    else:
        names, change = _names(source), None if isinstance(source, str) else source.change
        parts = [as_tensor(path, name, tensors[name]) for name in names]
        name, got = " and ".join(names), " and ".join(str(list(part.shape)) for part in parts)
        if change is None:
            tensor = _reshaped(parts[0], expected)
        else:
            try:
                tensor = change(*parts).contiguous()
            except (RuntimeError, IndexError) as error:  # of an operator that meets another shape
                reason = str(error).splitlines()[0]
                raise ValueError(f"{path}: {name} has shape {got}, which does not fit ({reason})") from error
        if name_of_ours == "synthesis.const" and tensor.ndim == 4 and tensor.shape[2] != tensor.shape[3]:
            raise ValueError(
                f"{path}: this is a generator of images that are not square: its constant, {name}, is "
                f"{tensor.shape[2]} by {tensor.shape[3]}, expected 4 by 4; only square images can be probed"
            )
        if tensor.shape != expected:
            became = "" if tensor.shape == parts[0].shape else f" (ours: {list(tensor.shape)})"
            raise ValueError(f"{path}: {name} has shape {got}{became}, expected {list(expected)}")
    return tensor


def _reshaped(tensor: Tensor, expected: torch.Size) -> Tensor:
    """Without or with axes of length 1, such as [1] for a scalar or [1, C, 1, 1] for a bias."""
    same = [size for size in tensor.shape if size != 1] == [size for size in expected if size != 1]
    return tensor.reshape(expected) if same else tensor
