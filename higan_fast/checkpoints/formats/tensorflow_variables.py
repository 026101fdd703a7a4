"""What the readers of TensorFlow networks share: layouts, sizes, and what settings must be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from higan_fast.checkpoints.contents import shown
from higan_fast.checkpoints.conversion import Taken, taken


def dense(name: str) -> Taken:
    """A weight ``[I, O]``, as ours is: ``[O, I]``."""
    return taken(name, change=Tensor.t)


def conv(name: str) -> Taken:
    """A weight ``[k, k, I, O]``, as ours is: ``[O, I, k, k]``."""
    return taken(name, change=lambda weight: weight.permute(3, 2, 0, 1))


def sizes(variables: Mapping[str, Any], scope: str = "") -> list[int]:
    """4, 8, … as long as there is a block of that size."""
    found = [4]
    while f"{scope}{2 * found[-1]}x{2 * found[-1]}/Conv1/bias" in variables:
        found.append(2 * found[-1])
    return found


def expect(path: Path, settings: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raises a ValueError naming a setting that makes the network one that cannot be read.

    Args:
        path: the file.
        settings: those that it gives; the others have their defaults.
        expected: what each must be: its default, where the file need not give it.
    """
    for name, value in expected.items():
        got = settings.get(name, value)
        got = list(got) if isinstance(got, tuple) else got
        if shown(got) != shown(value):
            raise ValueError(
                f"{path}: {name} is {shown(got)}, expected {value!r}; this variant cannot be read"
            )


def mapping(variables: Mapping[str, Any]) -> dict[str, Taken]:
    """The fully connected layers of both StyleGANs, and the average of ``w``."""
    parts = {"mapping_network.w_avg": taken("dlatent_avg")}
    index = 0
    while index == 0 or f"mapping/Dense{index}/weight" in variables:
        name = f"mapping/Dense{index}"
        parts[f"mapping_network.fc.{index}.weight"] = dense(f"{name}/weight")
        parts[f"mapping_network.fc.{index}.bias"] = taken(f"{name}/bias")
        index += 1
    return parts
